#include "trainer/data/order.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "source.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kWindowBytes = std::int64_t{128} << 20;
constexpr const char* kExpected = "expected rows, chunks, chunks(window) or none";

RandomKey key_of(std::uint64_t seed, std::int64_t epoch, std::int64_t window = -1) {
  return {seed, Purpose::order, static_cast<std::uint64_t>(epoch), static_cast<std::uint32_t>(window + 1)};
}

/// `chunks(window)`: 0 without a number.
std::int64_t window_of(const ParsedText& text, const Term& term) {
  if (!term.has_parentheses) return 0;
  ArgumentReader arguments(text, term);
  const std::int64_t window = arguments.integer("window", 1, std::int64_t{1} << 30, std::nullopt);
  arguments.finish();
  return window;
}

}  // namespace

bool is_large(const DataFacts& facts) { return decoded_bytes(facts) > kLargeData; }

std::string resolved_shuffle(const std::string& option, const DataFacts& facts) {
  if (option.empty() && !is_large(facts)) return "rows";
  const ParsedText text("--shuffle", option.empty() ? "chunks" : option);
  const auto& terms = text.sequence();
  if (terms.size() != 1) text.fail_at(terms.empty() ? 0 : terms[1].offset, kExpected);
  const Term& term = terms[0];
  if (term.name == "chunks") {
    const std::int64_t asked = window_of(text, term);
    const std::int64_t fits = kWindowBytes / std::max<std::int64_t>(1, largest_block_bytes(facts));
    return trainer::text("chunks(", asked > 0 ? asked : std::max<std::int64_t>(2, fits), ")");
  }
  if (term.has_parentheses || (term.name != "rows" && term.name != "none" && term.name != "false"))
    text.fail_at(term.offset, kExpected);
  return term.name == "false" ? "none" : term.name;
}

EpochOrder::EpochOrder(std::uint64_t seed, RowSet rows, const std::string& shuffle,
                       const std::vector<std::int64_t>& blocks)
    : seed_(seed), rows_(std::move(rows)) {
  require(!rows_.empty(), ErrorKind::internal, "an order of no rows was asked for");
  const ParsedText text("--shuffle", shuffle.empty() ? "rows" : shuffle);
  if (text.sequence().size() != 1) text.fail_at(0, kExpected);
  const Term& term = text.sequence().front();
  if (term.name == "chunks") {
    kind_ = Kind::chunks;
    window_ = window_of(text, term);
    if (window_ == 0) text.fail_at(term.offset, "expected chunks(window) with a number of blocks");
  } else if (term.name == "none" || term.name == "false") {
    kind_ = Kind::none;
  } else if (term.name != "rows") {
    text.fail_at(term.offset, kExpected);
  }
  if (kind_ == Kind::rows) return;
  const std::size_t count = std::max<std::size_t>(1, blocks.size());
  std::int64_t place = 0;
  for (std::size_t b = 0; b < count; ++b) {
    const std::int64_t end = b + 1 < blocks.size() ? rows_.count_below(blocks[b + 1]) : rows_.size();
    if (end > place) blocks_.push_back({static_cast<std::int64_t>(b), place, end - place});
    place = end;
  }
  if (kind_ == Kind::none) window_ = 4;  // read ahead of the step; no order hangs on it
  window_ = std::min(window_, static_cast<std::int64_t>(blocks_.size()));
  std::vector<std::int64_t> least;
  for (const Block& block : blocks_) least.push_back(block.rows);
  std::partial_sort(least.begin(), least.begin() + window_, least.end());
  least_window_rows_ = std::accumulate(least.begin(), least.begin() + window_, std::int64_t{0});
}

std::shared_ptr<const EpochOrder::Epoch> EpochOrder::epoch(std::int64_t number) const {
  const std::lock_guard lock(mutex_);
  if (latest_ && latest_->number == number) return latest_;
  if (former_ && former_->number == number) return former_;
  auto made = std::make_shared<Epoch>();
  made->number = number;
  made->before.push_back(0);
  const auto count = static_cast<std::int64_t>(blocks_.size());
  const Permutation permutation(key_of(seed_, number), count);
  for (std::int64_t i = 0; i < count; ++i) {
    made->blocks.push_back(static_cast<std::size_t>(kind_ == Kind::none ? i : permutation(i)));
    made->before.push_back(made->before.back() + blocks_[made->blocks.back()].rows);
  }
  former_ = std::exchange(latest_, made);
  return made;
}

std::int64_t EpochOrder::windows() const {
  return (static_cast<std::int64_t>(blocks_.size()) + window_ - 1) / window_;
}

Range EpochOrder::blocks_in(std::int64_t window) const {
  return {window * window_, std::min(static_cast<std::int64_t>(blocks_.size()), (window + 1) * window_)};
}

std::int64_t EpochOrder::window_at(std::int64_t number, std::int64_t place) const {
  const auto epoch_now = epoch(number);
  const auto& before = epoch_now->before;
  return (std::upper_bound(before.begin(), before.end(), place) - before.begin() - 1) / window_;
}

Range EpochOrder::places_of(std::int64_t number, std::int64_t window) const {
  const auto epoch_now = epoch(number);
  const Range range = blocks_in(window);
  return {epoch_now->before[static_cast<std::size_t>(range.begin)],
          epoch_now->before[static_cast<std::size_t>(range.end)]};
}

std::vector<std::int64_t> EpochOrder::blocks_of(std::int64_t number, std::int64_t window) const {
  const auto epoch_now = epoch(number);
  std::vector<std::int64_t> list;
  const Range range = blocks_in(window);
  for (std::int64_t i = range.begin; i < range.end; ++i)
    list.push_back(blocks_[epoch_now->blocks[static_cast<std::size_t>(i)]].index);
  return list;
}

std::int64_t EpochOrder::row_at(std::int64_t number, std::int64_t place) const {
  std::int64_t row = 0;
  rows_at(number, place, {&row, 1});
  return row;
}

void EpochOrder::rows_at(std::int64_t number, std::int64_t place, std::span<std::int64_t> out) const {
  if (out.empty()) return;
  if (kind_ == Kind::none) return rows_.rows_at(place, out);
  if (kind_ == Kind::rows) {
    const Permutation permutation(key_of(seed_, number), size());
    for (std::int64_t& row : out) row = rows_[permutation(place++)];
    return;
  }
  const auto epoch_now = epoch(number);
  const auto& before = epoch_now->before;
  for (std::size_t i = 0; i < out.size();) {
    const std::int64_t window = window_at(number, place);
    const Range range = blocks_in(window);
    const auto first = before.begin() + range.begin, last = before.begin() + range.end;
    const Permutation permutation(key_of(seed_, number, window), *last - *first);
    for (; i < out.size() && place < *last; ++i, ++place) {
      const std::int64_t within = *first + permutation(place - *first);
      const auto found = std::upper_bound(first, last, within) - 1;
      const Block& block = blocks_[epoch_now->blocks[static_cast<std::size_t>(found - before.begin())]];
      out[i] = rows_[block.place + within - *found];
    }
  }
}

}  // namespace trainer::data
