#include "watch.h"

#include <algorithm>

#include "trainer/core/sums.h"

namespace trainer::nn {
namespace {

/// Flags go into doubles, 48 into each, exactly.
constexpr std::int64_t kFlags = 48;

void set_flag(double* packed, std::int64_t index) {
  double& word = packed[index / kFlags];
  word = static_cast<double>(static_cast<std::uint64_t>(word) | std::uint64_t{1} << (index % kFlags));
}
bool has_flag(const double* packed, std::int64_t index) {
  return (static_cast<std::uint64_t>(packed[index / kFlags]) >> (index % kFlags) & 1) != 0;
}
double either(double left, double right) {
  return static_cast<double>(static_cast<std::uint64_t>(left) | static_cast<std::uint64_t>(right));
}

}  // namespace

std::int64_t Watch::add_tile(const Tiled* owner) {
  const auto* dense = dynamic_cast<const Dense*>(owner);
  if (dense != nullptr && (dense_.empty() || dense_.back() != dense)) dense_.push_back(dense);
  owners_.push_back(owner);
  return static_cast<std::int64_t>(owners_.size()) - 1;
}

void Watch::begin() {
  const auto shards = static_cast<std::size_t>(run_.size());
  tile_squares_.assign(owners_.size() * shards, 0.0);
  tile_deltas_.assign(owners_.size() * shards, 0.0);
  norm_squares_.assign(static_cast<std::size_t>(plan_.norms) * shards, 0.0);
  active_.assign(static_cast<std::size_t>(threads_),
                 std::vector<std::uint8_t>(static_cast<std::size_t>(plan_.watched_units)));
  active_pointers_.clear();
  for (auto& flags : active_) active_pointers_.push_back(flags.data());
}

void Watch::see_tile(std::int64_t number, std::int64_t shard, const View& view, Range rows, const Tile& tile,
                     const float* record) {
  const Tiled& owner = *owners_[static_cast<std::size_t>(number)];
  tile_squares_[place(number, shard)] = sum_of_squares(record, owner.tile_floats(tile));
  tile_deltas_[place(number, shard)] = owner.absolute_gradients(view, rows, tile);
}

void Watch::see_norm(std::int64_t index, std::int64_t shard, const float* gradient, std::int64_t count) {
  norm_squares_[place(index, shard)] = sum_of_squares(gradient, count);
}

void Watch::finish() {
  shard_squares_.assign(static_cast<std::size_t>(run_.size()), 0.0);
  for (std::int64_t shard = run_.begin; shard < run_.end; ++shard) {
    double& sum = shard_squares_[place(0, shard)];
    for (std::int64_t t = 0; t < static_cast<std::int64_t>(owners_.size()); ++t)
      sum += tile_squares_[place(t, shard)];
    for (std::int64_t n = 0; n < plan_.norms; ++n) sum += norm_squares_[place(n, shard)];
  }
}

// A record: the sums of squares, the number of shards, the sum of |delta| of each dense layer, then flags of
// active units.
std::int64_t Watch::record_size() const { return sums() + (plan_.watched_units + kFlags - 1) / kFlags; }

void Watch::write_record(std::int64_t shard, std::int64_t rows, double* record) const {
  std::fill_n(record, record_size(), 0.0);
  record[0] = shard_squares_[place(0, shard)];
  record[1] = record[0] / static_cast<double>(rows);
  record[2] = 1;
  std::int64_t tile = 0;
  for (std::size_t d = 0; d < dense_.size(); ++d) {
    while (owners_[static_cast<std::size_t>(tile)] != dense_[d]) ++tile;
    for (; tile < static_cast<std::int64_t>(owners_.size()) &&
           owners_[static_cast<std::size_t>(tile)] == dense_[d];
         ++tile)
      record[3 + d] += tile_deltas_[place(tile, shard)];
  }
  // Which shard made a unit of this rank active is not known, and need not be.
  for (const auto& flags : active_)
    for (std::int64_t u = 0; u < plan_.watched_units; ++u)
      if (flags[static_cast<std::size_t>(u)] != 0) set_flag(record + sums(), u);
}

void Watch::combine(double* left, const double* right) const {
  for (std::int64_t i = 0; i < record_size(); ++i)
    left[i] = i < sums() ? left[i] + right[i] : either(left[i], right[i]);
}

Observation Watch::read(const double* total, std::int64_t rows,
                        const std::vector<ParameterLayer>& layers) const {
  Observation result{.squares = total[0],
                     .squares_per_row = total[1],
                     .shards = static_cast<std::int64_t>(total[2]),
                     .dense = {},
                     .relus = {}};
  for (std::size_t layer = 0; layer < layers.size(); ++layer)
    for (std::size_t d = 0; d < dense_.size(); ++d)
      if (dense_[d]->layer == static_cast<int>(layer))
        result.dense.push_back(
            {layers[layer].path, total[3 + d] / static_cast<double>(rows * dense_[d]->width())});
  for (const auto& watched : plan_.watched) {
    std::int64_t dead = 0;
    for (std::int64_t u = watched.flags; u < watched.flags + watched.width; ++u)
      if (!has_flag(total + sums(), u)) ++dead;
    result.relus.push_back({watched.path, watched.width, dead});
  }
  return result;
}

}  // namespace trainer::nn
