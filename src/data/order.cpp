#include "trainer/data/order.h"

#include <numeric>
#include <utility>

#include "trainer/core/error.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

bool shuffles(const std::string& shuffle) {
  if (shuffle.empty() || shuffle == "rows") return true;
  require(shuffle == "none" || shuffle == "false", ErrorKind::usage, "--shuffle: '", shuffle,
          "' is not known; expected rows or none");
  return false;
}

Permutation permutation_of(std::uint64_t seed, std::int64_t epoch, std::int64_t size) {
  return {RandomKey(seed, Purpose::order, static_cast<std::uint64_t>(epoch)), size};
}

}  // namespace

EpochOrder::EpochOrder(std::uint64_t seed, std::vector<std::int64_t> rows, const std::string& shuffle)
    : seed_(seed), rows_(std::move(rows)), shuffled_(shuffles(shuffle)) {
  require(!rows_.empty(), ErrorKind::internal, "an order of no rows was asked for");
}

std::int64_t EpochOrder::row_at(std::int64_t epoch, std::int64_t place) const {
  std::int64_t row = 0;
  rows_at(epoch, place, {&row, 1});
  return row;
}

void EpochOrder::rows_at(std::int64_t epoch, std::int64_t place, std::span<std::int64_t> out) const {
  if (!shuffled_) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = rows_[static_cast<std::size_t>(place) + i];
    return;
  }
  const Permutation permutation = permutation_of(seed_, epoch, size());
  for (std::int64_t& row : out) row = rows_[static_cast<std::size_t>(permutation(place++))];
}

}  // namespace trainer::data
