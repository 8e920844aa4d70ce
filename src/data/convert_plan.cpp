#include "convert_plan.h"

#include <algorithm>
#include <utility>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// A block is cut where it is so many times as large as a portion: its pieces are then decompressed again.
constexpr std::int64_t kLargestBlock = 8;

}  // namespace

Plan plan_with_test(const comm::Communicator& world, const Request& request, bool without_test) {
  Request asked = request;
  asked.validation.clear();
  if (without_test) asked.test.clear();
  std::vector<SplitRole> roles;
  Plan plan = whole_plan(world, asked, roles);
  if (without_test) plan.splits.resize(1);
  return plan;
}

std::vector<Range> portions_of(const Source& source, const DataFacts& facts, std::int64_t bytes) {
  if (!source.any_rows) return {{0, facts.rows}};
  const std::int64_t row_bytes = std::max<std::int64_t>(1, decoded_bytes(with_rows(facts, 1)));
  const std::int64_t wanted = std::max<std::int64_t>(1, bytes / row_bytes);
  const std::int64_t most = std::max<std::int64_t>(1, bytes * kLargestBlock / row_bytes);
  std::vector<Range> portions;
  for (std::size_t b = 0; b < facts.blocks.size(); ++b) {
    const Range block = block_rows(facts, static_cast<std::int64_t>(b));
    if (!portions.empty() && block.end - portions.back().begin <= wanted) {
      portions.back().end = block.end;
      continue;
    }
    for (std::int64_t row = block.begin; row < block.end; row += most)
      portions.push_back({row, std::min(block.end, row + most)});
  }
  return portions;
}

}  // namespace trainer::data
