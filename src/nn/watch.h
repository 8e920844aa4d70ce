#pragma once

// What a training step shows of itself when it is asked to. Private to this room.

#include <cstdint>
#include <span>
#include <vector>

#include "operations.h"
#include "trainer/nn/pass.h"

namespace trainer::nn {

/// Gathers one rank's part of an Observation. Every value stands by (tile or norm, shard) until it is added
/// up in a fixed order, so that nothing depends on which thread or rank computed it.
class Watch {
 public:
  Watch(const Network::Plan& plan, Range run, int threads) : plan_(plan), run_(run), threads_(threads) {}

  /// Announces a tile of the parameters' gradients, in a fixed order; returns its number.
  std::int64_t add_tile(const Tiled* owner);

  /// Forgets the last step. To be called before a step that is watched.
  void begin();
  /// For View::active.
  std::uint8_t* const* active() { return active_pointers_.data(); }
  /// A tile's part of one shard's gradient, summed over `rows`. By any thread, for different tiles.
  void see_tile(std::int64_t number, std::int64_t shard, const View& view, Range rows, const Tile& tile,
                const float* record);
  /// A batch norm's part of one shard's gradient.
  void see_norm(std::int64_t index, std::int64_t shard, const float* gradient, std::int64_t count);
  void finish();

  /// After finish(), by shard of the run.
  std::span<const double> shard_squares() const { return shard_squares_; }

  /// Doubles of a shard's record, which combine() folds over shards.
  std::int64_t record_size() const;
  void write_record(std::int64_t shard, std::int64_t rows, double* record) const;
  void combine(double* left, const double* right) const;
  Observation read(const double* total, std::int64_t rows, const std::vector<ParameterLayer>& layers) const;

 private:
  std::size_t place(std::int64_t index, std::int64_t shard) const {
    return static_cast<std::size_t>(index * run_.size() + shard - run_.begin);
  }
  std::int64_t sums() const { return 3 + static_cast<std::int64_t>(dense_.size()); }

  const Network::Plan& plan_;
  Range run_;
  int threads_;
  std::vector<const Tiled*> owners_;                               // by tile
  std::vector<const Dense*> dense_;                                // in the order of their tiles
  std::vector<double> tile_squares_, tile_deltas_, norm_squares_;  // [tiles or norms][shards of the run]
  std::vector<double> shard_squares_;
  std::vector<std::vector<std::uint8_t>> active_;  // by thread: [watched units]
  std::vector<std::uint8_t*> active_pointers_;
};

}  // namespace trainer::nn
