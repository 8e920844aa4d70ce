#include "streamed.h"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "content.h"
#include "labels.h"
#include "memory_room.h"
#include "pack.h"
#include "prefetch_row.h"
#include "scale_row.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

DataFacts with_blocks(const Source& source) {
  DataFacts facts = source.facts;
  facts.blocks = blocks_of(source);
  return facts;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

}  // namespace

StreamedData::StreamedData(const comm::Communicator& world, const comm::Communicator& node, Source source,
                           std::int64_t all_bytes, MemoryLimit limit)
    : OpenedSet(with_blocks(source), source.place),
      node_(node),
      source_(std::move(source)),
      all_bytes_(all_bytes),
      limit_(std::move(limit)),
      cache_(facts_, [this](std::int64_t block, const RowStore& store) { read_block(block, store); }) {
  // The ranks of a node share the work; each node looks at all of the sample, since its files may be others.
  const std::vector<std::int64_t> sample = sampled_blocks(facts_);
  std::string mine;
  comm::together(world, [&] {
    const Range part = cut(static_cast<std::int64_t>(sample.size()), node.size(), node.rank());
    for (std::int64_t i = part.begin; i < part.end; ++i) {
      const std::int64_t block = sample[static_cast<std::size_t>(i)];
      mine += content_digest(cache_.get(block)->store, facts_, block_rows(facts_, block).size()) + "\n";
    }
  });
  std::string all;
  for (const std::string& part : node.all_gather(mine)) all += part;
  facts_.fingerprint = fingerprint_of(source_, lines_of(all));
  comm::require_same(world, "the content of the data (--data)", facts_.fingerprint);
}

void StreamedData::read_block(std::int64_t block, const RowStore& store) const {
  const std::lock_guard lock(reading_);
  source_.read(block_rows(facts_, block), store);
}

void StreamedData::require_room(const EpochOrder& order, std::int64_t batch) const {
  require_window_room(facts_, order, batch, all_bytes_, limit_);
}

void StreamedData::approach(const EpochOrder& order, std::int64_t epoch, std::int64_t place,
                            std::int64_t count) const {
  const std::int64_t needed = WindowReader::windows_for(order, count);
  if (!reader_ || reader_->windows() < needed) {
    reader_.reset();  // its memory goes first
    try {
      reader_ = std::make_unique<WindowReader>(
          node_, needed, order.window_blocks(), facts_,
          [this](std::int64_t block, const RowStore& store) { read_block(block, store); });
    } catch (const comm::AgreedError& error) {  // of this node alone: the job must end by it
      throw Error(error.kind(), error.what());
    }
  }
  const Range windows = WindowReader::windows_of(order, epoch, place, count);
  const Range last = order.places_of(epoch, (windows.end - 1) % order.windows());
  const double done = static_cast<double>(place + count - last.begin) / static_cast<double>(last.size());
  reader_->approach(order, windows, done);
}

/// take(i, row): row i of those asked for, as a store of this one row.
template <class Take>
void StreamedData::visit(std::span<const std::int64_t> rows, const Take& take) const {
  constexpr std::size_t kAtOnce = 32;
  std::array<RowStore, kAtOnce> found;
  std::array<std::int64_t, kAtOnce> place{};
  const auto prefetch = [&](const RowStore& row) {
    if (row.bytes != nullptr) prefetch_row(row.bytes, facts_.features);
    if (row.floats != nullptr) prefetch_row(row.floats, facts_.features);
  };
  for (std::size_t begin = 0; begin < rows.size(); begin += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, rows.size() - begin);
    std::size_t ahead = 0;  // rows in windows
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t row = rows[begin + i];
      const std::int64_t block =
          std::upper_bound(facts_.blocks.begin(), facts_.blocks.end(), row) - facts_.blocks.begin() - 1;
      std::optional<RowStore> store;
      if (reader_) store = reader_->find(block);
      const std::int64_t within = row - facts_.blocks[static_cast<std::size_t>(block)];
      if (store) {
        found[ahead] = from_row(*store, facts_, within);
        place[ahead++] = static_cast<std::int64_t>(begin + i);
      } else {
        const std::shared_ptr<const Block> held = cache_.get(block);
        take(static_cast<std::int64_t>(begin + i), from_row(held->store, facts_, within));
      }
    }
    for (std::size_t i = 0; i < std::min(kRowsAhead, ahead); ++i) prefetch(found[i]);
    for (std::size_t i = 0; i < ahead; ++i) {
      if (i + kRowsAhead < ahead) prefetch(found[i + kRowsAhead]);
      take(place[i], found[i]);
    }
  }
}

void StreamedData::gather(std::span<const std::int64_t> rows, float* inputs) const {
  const std::int64_t columns = facts_.features;
  visit(rows, [&](std::int64_t i, const RowStore& row) {
    if (row.bytes != nullptr)
      std::copy_n(row.bytes, columns, inputs + i * columns);
    else
      std::copy_n(row.floats, columns, inputs + i * columns);
  });
}

void StreamedData::gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling,
                                 float* inputs) const {
  const std::int64_t columns = facts_.features;
  require(scaling.features() == columns, ErrorKind::internal, "a scaling of ", scaling.features(),
          " columns met data of ", columns);
  visit(rows, [&](std::int64_t i, const RowStore& row) {
    if (row.bytes != nullptr)
      scale_row(row.bytes, scaling, inputs + i * columns);
    else
      scale_row(row.floats, scaling, inputs + i * columns);
  });
}

void StreamedData::gather_classes(std::span<const std::int64_t> rows, std::int32_t* classes) const {
  require(facts_.kind == TargetKind::classes, ErrorKind::internal, "classes were asked of data without them");
  visit(rows, [&](std::int64_t i, const RowStore& row) { classes[i] = *row.classes; });
}

void StreamedData::read_classes(Range rows, std::int32_t* classes) const {
  require(facts_.kind == TargetKind::classes, ErrorKind::internal, "classes were asked of data without them");
  const std::lock_guard lock(reading_);
  source_.read(rows, {.classes = classes});
}

void StreamedData::gather_values(std::span<const std::int64_t> rows, float* values) const {
  require(facts_.kind == TargetKind::values, ErrorKind::internal, "values were asked of data without them");
  const std::int64_t columns = facts_.targets;
  visit(rows,
        [&](std::int64_t i, const RowStore& row) { std::copy_n(row.values, columns, values + i * columns); });
}

std::vector<std::int64_t> StreamedData::count_labels(const ShareWork& share) const {
  const std::int64_t parts = std::clamp<std::int64_t>(std::ssize(facts_.blocks) / 16, 64, 4096);
  const auto blocks = static_cast<std::int64_t>(facts_.blocks.size());
  std::vector<std::int64_t> counts;
  const auto add = [&](const std::vector<std::int64_t>& more) {
    counts.resize(std::max(counts.size(), more.size()));
    for (std::size_t c = 0; c < more.size(); ++c) counts[c] += more[c];
  };
  const auto part = [&](std::int64_t i) {
    std::vector<std::int64_t> all;
    std::vector<std::int32_t> labels(static_cast<std::size_t>(largest_block_rows(facts_)));
    const Range mine = cut(blocks, parts, i);
    for (std::int64_t block = mine.begin; block < mine.end; ++block) {
      const Range rows = block_rows(facts_, block);
      source_.read(rows, {.classes = labels.data()});
      const auto some =
          data::count_labels({labels.data(), static_cast<std::size_t>(rows.size())}, facts_.name);
      all.resize(std::max(all.size(), some.size()));
      for (std::size_t c = 0; c < some.size(); ++c) all[c] += some[c];
    }
    return bytes_of(all);
  };
  for (const std::string& one : share(parts, part)) add(values_of<std::int64_t>(one));
  return counts;
}

}  // namespace trainer::data
