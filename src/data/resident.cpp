#include "resident.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "content.h"
#include "labels.h"
#include "prefetch_row.h"
#include "scale_row.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

template <class Raw>
void gather_rows(const Raw* all, std::span<const std::int64_t> rows, const Scaling& scaling, float* out) {
  const std::int64_t columns = scaling.features();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i + kRowsAhead < rows.size()) prefetch_row(all + rows[i + kRowsAhead] * columns, columns);
    scale_row(all + rows[i] * columns, scaling, out + static_cast<std::int64_t>(i) * columns);
  }
}

template <class Raw>
void gather_raw(const Raw* all, std::int64_t columns, std::span<const std::int64_t> rows, float* out) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Raw* const row = all + rows[i] * columns;
    std::copy(row, row + columns, out + static_cast<std::int64_t>(i) * columns);
  }
}

/// Collective. Memory may be short on one node only, and then on all of its ranks alike: agree, so that no
/// node waits for it.
comm::SharedArray reserve(const comm::Communicator& world, const comm::Communicator& node,
                          const DataFacts& facts) {
  std::int64_t bytes = 0;
  comm::together(world, [&] { bytes = bytes_needed(facts); });
  std::exception_ptr failure;  // collective over the node, so every rank of a node fails or none
  std::optional<comm::SharedArray> memory;
  try {
    memory.emplace(node, bytes);
  } catch (...) {
    failure = std::current_exception();
  }
  comm::agree_on_error(world, failure);
  return std::move(*memory);
}

}  // namespace

ResidentData::ResidentData(const comm::Communicator& world, const comm::Communicator& node,
                           const Source& source)
    : OpenedSet(source.facts, source.place), memory_(reserve(world, node, source.facts)) {
  facts_.blocks = blocks_of(source);
  store_ = store_in(memory_.data(), facts_);
  std::string digest;
  comm::together(world, [&] {
    if (!memory_.fills()) return;
    read_all(source, world);
    digest = fingerprint(source);
  });
  memory_.publish();
  const std::string of_first = node.broadcast(digest, 0);
  facts_.fingerprint = memory_.fills() ? digest : of_first;
  comm::require_same(world, "the content of the data (--data)", facts_.fingerprint);
}

void ResidentData::read_all(const Source& source, const comm::Communicator& world) {
  if (!source.any_rows) return source.read({0, facts_.rows}, store_);
  for (std::int64_t block = 0; block < static_cast<std::int64_t>(facts_.blocks.size()); ++block) {
    const Range rows = block_rows(facts_, block);
    source.read(rows, from_row(store_, facts_, rows.begin));
    world.watchdog().step_took(0);  // a sign of life for the ranks that wait for this one
  }
}

std::string ResidentData::fingerprint(const Source& source) const {
  std::vector<std::string> digests;
  for (const std::int64_t block : sampled_blocks(facts_)) {
    const Range rows = block_rows(facts_, block);
    digests.push_back(content_digest(from_row(store_, facts_, rows.begin), facts_, rows.size()));
  }
  return fingerprint_of(source, digests);
}

void ResidentData::gather(std::span<const std::int64_t> rows, float* inputs) const {
  if (store_.bytes != nullptr) {
    gather_raw(store_.bytes, facts_.features, rows, inputs);
  } else {
    gather_raw(store_.floats, facts_.features, rows, inputs);
  }
}

void ResidentData::gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling,
                                 float* inputs) const {
  require(scaling.features() == facts_.features, ErrorKind::internal, "a scaling of ", scaling.features(),
          " columns met data of ", facts_.features);
  if (store_.bytes != nullptr) {
    gather_rows(store_.bytes, rows, scaling, inputs);
  } else {
    gather_rows(store_.floats, rows, scaling, inputs);
  }
}

void ResidentData::gather_classes(std::span<const std::int64_t> rows, std::int32_t* classes) const {
  require(store_.classes != nullptr, ErrorKind::internal, "classes were asked of data without them");
  for (std::size_t i = 0; i < rows.size(); ++i) classes[i] = store_.classes[rows[i]];
}

void ResidentData::gather_values(std::span<const std::int64_t> rows, float* values) const {
  require(store_.values != nullptr, ErrorKind::internal, "values were asked of data without them");
  gather_raw(store_.values, facts_.targets, rows, values);
}

std::vector<std::int64_t> ResidentData::count_labels(const ShareWork&) const {
  require(store_.classes != nullptr, ErrorKind::internal, "classes were asked of data without them");
  return data::count_labels({store_.classes, static_cast<std::size_t>(facts_.rows)}, facts_.name);
}

}  // namespace trainer::data
