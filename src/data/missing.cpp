#include "missing.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "pack.h"
#include "trainer/core/buffer.h"
#include "trainer/core/error.h"
#include "trainer/data/row_set.h"

namespace trainer::data {
namespace {

bool lacks_value(const float* values, std::int64_t count) {
  return values != nullptr && std::any_of(values, values + count, [](float v) { return std::isnan(v); });
}

/// Runs of rows with all values, as bytes.
std::string whole_rows(const Source& source, Range block) {
  const DataFacts facts = with_rows(source.facts, block.size());
  Buffer<std::byte> memory(decoded_bytes(facts));
  RowStore store = store_in(memory.data(), facts);
  store.classes = nullptr;  // a missing class is an error
  source.read(block, store);
  std::vector<Range> runs;
  for (std::int64_t row = 0; row < block.size(); ++row) {
    const RowStore one = from_row(store, facts, row);
    if (lacks_value(one.floats, facts.features) || lacks_value(one.values, facts.targets)) continue;
    if (runs.empty() || runs.back().end != block.begin + row)
      runs.push_back({block.begin + row, block.begin + row});
    ++runs.back().end;
  }
  return bytes_of(runs);
}

std::vector<std::int64_t> places_in(const RowSet& kept, const std::vector<std::int64_t>& firsts) {
  std::vector<std::int64_t> places;
  for (const std::int64_t first : firsts) {
    const std::int64_t place = kept.count_below(first);
    if (place < kept.size() && (places.empty() || place > places.back())) places.push_back(place);
  }
  return places;
}

/// Rows that lie in `span` with few others between them: pieces of the file are read once, not once a run.
void read_with_gaps(const Source& source, const RowSet& kept, Range span, Range places, const RowStore& out) {
  const DataFacts facts = with_rows(source.facts, span.size());
  Buffer<std::byte> memory(decoded_bytes(facts));
  RowStore all = store_in(memory.data(), facts);
  if (out.bytes == nullptr) all.bytes = nullptr;
  if (out.floats == nullptr) all.floats = nullptr;
  if (out.classes == nullptr) all.classes = nullptr;
  if (out.values == nullptr) all.values = nullptr;
  source.read(span, all);
  for (std::int64_t place = places.begin; place < places.end; ++place) {
    const RowStore from = from_row(all, facts, kept[place] - span.begin);
    const RowStore to = from_row(out, facts, place - places.begin);
    if (to.bytes != nullptr) std::copy_n(from.bytes, facts.features, to.bytes);
    if (to.floats != nullptr) std::copy_n(from.floats, facts.features, to.floats);
    if (to.classes != nullptr) *to.classes = *from.classes;
    if (to.values != nullptr) std::copy_n(from.values, facts.targets, to.values);
  }
}

}  // namespace

std::string missing_remedy(const Request& request, bool target) {
  if (request.without_targets) return "fill it in, or say --missing mean";  // each row is predicted
  return text("fill it in, leave the row out, or say --missing drop", target ? "" : " or mean");
}

Source without_missing(Source source, const ShareWork& share, std::string& origin) {
  const std::vector<std::int64_t> blocks = blocks_of(source);
  const auto count = static_cast<std::int64_t>(blocks.size());
  std::vector<Range> runs;
  for (const std::string& bytes : share(count, [&](std::int64_t b) {
         const auto next = static_cast<std::size_t>(b) + 1;
         return whole_rows(source,
                           {blocks[next - 1], next < blocks.size() ? blocks[next] : source.facts.rows});
       })) {
    const std::vector<Range> some = values_of<Range>(bytes);
    runs.insert(runs.end(), some.begin(), some.end());
  }
  const auto kept = std::make_shared<const RowSet>(runs);
  const std::int64_t dropped = source.facts.rows - kept->size();
  if (dropped == 0) return source;
  require(!kept->empty(), ErrorKind::data, "--missing drop: all ", source.facts.rows, " rows of ",
          source.facts.name, " lack a value; leave the columns out that have none");
  origin += text(", ", dropped, " rows with missing values left out");

  const auto all = std::make_shared<const Source>(std::move(source));
  Source out = *all;
  out.facts.rows = kept->size();
  out.pieces = places_in(*kept, all->pieces);
  out.files = places_in(*kept, all->files);
  if (all->place) out.place = [all, kept](std::int64_t row) { return all->place((*kept)[row]); };
  out.read = [all, kept](Range rows, const RowStore& store) {
    if (rows.size() == 0) return;
    const Range span{(*kept)[rows.begin], (*kept)[rows.end - 1] + 1};
    constexpr std::int64_t kFewGaps = 4;
    if (span.size() > rows.size() && span.size() <= kFewGaps * rows.size())
      return read_with_gaps(*all, *kept, span, rows, store);
    for (std::int64_t place = rows.begin; place < rows.end;) {
      const std::int64_t row = (*kept)[place];
      std::int64_t together = 1;  // rows that lie together
      while (place + together < rows.end && (*kept)[place + together] == row + together) ++together;
      all->read({row, row + together}, from_row(store, all->facts, place - rows.begin));
      place += together;
    }
  };
  if (all->groups)
    out.groups = [all, kept](const std::string& path) {
      const std::vector<std::int64_t> groups = all->groups(path);
      std::vector<std::int64_t> some;
      for (const std::int64_t row : kept->list()) some.push_back(groups[static_cast<std::size_t>(row)]);
      return some;
    };
  return out;
}

}  // namespace trainer::data
