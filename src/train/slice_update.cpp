#include "slice_update.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>

#include "trainer/core/finite.h"
#include "trainer/core/sums.h"
#include "trainer/optim/average.h"

namespace trainer::train {
namespace {

/// Floats of a chunk: large enough for a thread, small enough for its first-level cache.
constexpr std::int64_t kChunkFloats = 4096;

}  // namespace

std::vector<comm::Segment> SliceUpdate::segments(const nn::Network& network) {
  std::vector<comm::Segment> list;
  for (const auto& layer : network.layers()) {
    comm::Segment& segment = list.emplace_back(comm::Segment{layer.offset, layer.size});
    for (const int tensor : layer.tensors)
      segment.tensors.push_back(network.parameters()[static_cast<std::size_t>(tensor)].offset - layer.offset);
  }
  return list;
}

SliceUpdate::SliceUpdate(const comm::Communicator& world, const Team& team, const nn::Network& network,
                         const optim::Optimizer& optimizer, const comm::GradientExchange& exchange,
                         std::int64_t block, Settings settings)
    : world_(world),
      team_(team),
      network_(network),
      optimizer_(optimizer),
      exchange_(exchange),
      block_(block),
      settings_(settings) {
  std::int64_t floats = 0;
  for (std::size_t layer = 0; layer < network_.layers().size(); ++layer) {
    slice_begin_.push_back(floats);
    add_chunks(static_cast<int>(layer));
    floats += exchange_.own_slice(static_cast<int>(layer)).size();
  }
  if (optimizer_.is_layerwise())
    gradient_ = Buffer<float>(floats);
  else
    for (int t = 0; t < team_.size(); ++t) chunk_gradients_.emplace_back(std::max(block_, kChunkFloats));
  for (std::size_t k = 0; k < optimizer_.state_names().size(); ++k) state_.emplace_back(floats);
  if (settings_.average > 0) average_ = Buffer<float>(floats);
  if (settings_.tensor_norms) before_ = Buffer<float>(floats);
  loss_block_sums_ = block_sums_;
  lay_out_norms();
}

void SliceUpdate::add_chunks(int layer) {
  const nn::ParameterLayer& parameters = network_.layers()[static_cast<std::size_t>(layer)];
  const Range slice = exchange_.own_slice(layer);
  for (std::size_t t = 0; t < parameters.tensors.size(); ++t) {
    const auto first_float = [&](std::size_t index) {
      return index == parameters.tensors.size()
                 ? parameters.offset + parameters.size
                 : network_.parameters()[static_cast<std::size_t>(parameters.tensors[index])].offset;
    };
    const std::int64_t begin = std::max(slice.begin, first_float(t));
    const std::int64_t end = std::min(slice.end, first_float(t + 1));
    const std::int64_t step = std::max<std::int64_t>(1, kChunkFloats / block_) * block_;
    for (std::int64_t at = begin; at < end; at += step) {
      const Range floats{at, std::min(end, at + step)};
      chunks_.push_back(
          {layer, parameters.tensors[t], floats, slice_begin_.back() + at - slice.begin, block_sums_.size()});
      block_sums_.resize(block_sums_.size() +
                         static_cast<std::size_t>((floats.size() + block_ - 1) / block_));
    }
  }
}

/// Each rank sends the sums of its blocks, layer by layer; `block_places_` puts them into the order of the
/// blocks, which no number of ranks changes.
void SliceUpdate::lay_out_norms() {
  const auto ranks = static_cast<std::size_t>(world_.size());
  std::vector<std::size_t> taken(ranks, 0);
  std::vector<std::pair<std::size_t, std::size_t>> owners;  // rank, its block
  const std::vector<comm::Segment> layers = segments(network_);
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    std::size_t rank = 0;
    for (const Range& one : comm::blocks_of(layers[layer], block_)) {
      while (exchange_.slice(static_cast<int>(layer), static_cast<int>(rank)).end <= one.begin) ++rank;
      owners.emplace_back(rank, taken[rank]++);
      const auto& tensors = network_.layers()[layer].tensors;
      const auto& begins = layers[layer].tensors;
      const auto next = std::ranges::upper_bound(begins, one.begin - layers[layer].offset);
      block_tensors_.push_back(tensors[static_cast<std::size_t>(next - begins.begin()) - 1]);
    }
  }
  most_blocks_ = std::max<std::size_t>(1, *std::ranges::max_element(taken));
  for (const auto& [rank, index] : owners) block_places_.push_back(rank * most_blocks_ + index);
  const auto fold_of = [&](std::size_t records) {
    return std::make_unique<comm::SmallFold>(
        world_, comm::TreeDeal(world_.size(), world_.size()),
        static_cast<std::int64_t>(records * most_blocks_ * sizeof(double)));
  };
  norm_fold_ = fold_of(1);
  if (optimizer_.is_layerwise() || settings_.tensor_norms) tensor_fold_ = fold_of(kSums);
}

bool SliceUpdate::is_penalised(int tensor) const {
  return settings_.penalty.all_parameters ||
         network_.parameters()[static_cast<std::size_t>(tensor)].is_dense_weight();
}

/// By block of the chunk: the sum of squares of its values. `sums` begins with this rank's first block.
void SliceUpdate::sum_squares(const Chunk& chunk, const float* values, double* sums) const {
  const std::int64_t count = chunk.floats.size();
  for (std::int64_t b = 0; b * block_ < count; ++b)
    sums[chunk.block + static_cast<std::size_t>(b)] =
        sum_of_squares(values + b * block_, std::min(block_, count - b * block_));
}

/// Collective. `mine`: a sum for each of this rank's blocks.
void SliceUpdate::start_total(std::span<const double> mine) {
  sent_sums_.assign(most_blocks_, 0.0);
  std::ranges::copy(mine, sent_sums_.begin());
  norm_fold_->start(sent_sums_.data());
}

double SliceUpdate::finish_total() {
  all_sums_.resize(most_blocks_ * static_cast<std::size_t>(world_.size()));
  std::memcpy(all_sums_.data(), norm_fold_->finish(), all_sums_.size() * sizeof(double));
  double sum = 0;
  for (const std::size_t place : block_places_) sum += all_sums_[place];
  return sum;
}

/// Collective. `mine`: kSums times a sum for each of most_blocks_ blocks.
std::vector<SliceUpdate::TensorSums> SliceUpdate::fold_by_tensor(std::span<const double> mine) {
  tensor_fold_->start(mine.data());
  std::vector<double> all(mine.size() * static_cast<std::size_t>(world_.size()));
  std::memcpy(all.data(), tensor_fold_->finish(), all.size() * sizeof(double));
  std::vector<TensorSums> sums(network_.parameters().size());
  for (std::size_t b = 0; b < block_places_.size(); ++b) {
    const std::size_t rank = block_places_[b] / most_blocks_, index = block_places_[b] % most_blocks_;
    for (std::size_t sum = 0; sum < kSums; ++sum)
      sums[static_cast<std::size_t>(block_tensors_[b])][sum] +=
          all[(rank * kSums + sum) * most_blocks_ + index];
  }
  return sums;
}

float* SliceUpdate::room_for_gradient(const Chunk& chunk, int thread) {
  return optimizer_.is_layerwise() ? gradient_.data() + chunk.at
                                   : chunk_gradients_[static_cast<std::size_t>(thread)].data();
}

void SliceUpdate::average_gradient(const Chunk& chunk, float* mine) const {
  const std::int64_t count = chunk.floats.size();
  exchange_.fold(chunk.layer, chunk.floats.begin - exchange_.own_slice(chunk.layer).begin, count, mine);
  optim::divide(mine, count, static_cast<float>(batch_));
}

void SliceUpdate::add_penalty(const Chunk& chunk, const float* parameters, float* mine) const {
  const optim::Penalty& penalty = settings_.penalty;
  if (penalty.any() && is_penalised(chunk.tensor))
    optim::add_penalty_gradient(mine, parameters + chunk.floats.begin, chunk.floats.size(), penalty.l1,
                                penalty.l2);
}

void SliceUpdate::fold(Range layers, std::int64_t batch, const float* parameters, bool observe) {
  batch_ = batch;
  const auto first_of = [this](std::int64_t layer) {
    return std::ranges::lower_bound(chunks_, layer, {}, &Chunk::layer) - chunks_.begin();
  };
  const std::int64_t first = first_of(layers.begin);
  team_.run(first_of(layers.end) - first, [&](std::int64_t c, int thread) {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(first + c)];
    float* mine = room_for_gradient(chunk, thread);
    average_gradient(chunk, mine);
    if (observe) sum_squares(chunk, mine, loss_block_sums_.data());
    if (observe && before_.size() > 0)
      std::copy_n(parameters + chunk.floats.begin, chunk.floats.size(), before_.data() + chunk.at);
    add_penalty(chunk, parameters, mine);
    sum_squares(chunk, mine, block_sums_.data());
  });
}

double SliceUpdate::not_finite_layer() const {
  for (std::size_t c = 0; c < chunks_.size(); ++c) {
    const std::size_t end = c + 1 < chunks_.size() ? chunks_[c + 1].block : block_sums_.size();
    for (std::size_t b = chunks_[c].block; b < end; ++b)
      if (!std::isfinite(block_sums_[b])) return chunks_[c].layer;
  }
  return -1;
}

void SliceUpdate::start_gradient_norm() { start_total(block_sums_); }

double SliceUpdate::finish_gradient_norm() { return std::sqrt(finish_total()); }

double SliceUpdate::loss_gradient_square() {
  start_total(loss_block_sums_);
  return finish_total();
}

SliceUpdate::Place SliceUpdate::place(const Chunk& chunk, float* parameters, float* gradient) {
  Place place{parameters + chunk.floats.begin, gradient, {}, chunk.floats.size(), is_penalised(chunk.tensor)};
  for (std::size_t k = 0; k < state_.size(); ++k) place.arrays[k] = state_[k].data() + chunk.at;
  return place;
}

/// Turns the gradients into directions. By tensor: the factor of the rate.
std::vector<double> SliceUpdate::trust_ratios(float* parameters, std::int64_t step) {
  std::vector<double> mine(kSums * most_blocks_, 0.0);  // of parameters, gradient, direction
  team_.run(std::ssize(chunks_), [&](std::int64_t c, int) {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    const Place at = place(chunk, parameters, gradient_.data() + chunk.at);
    sum_squares(chunk, at.parameters, mine.data());
    sum_squares(chunk, at.gradient, mine.data() + most_blocks_);
    optimizer_.direction(at.parameters, at.gradient, {at.arrays.data(), state_.size()}, at.count, step,
                         at.decayed);
    sum_squares(chunk, at.gradient, mine.data() + 2 * most_blocks_);
  });
  const std::vector<TensorSums> sums = fold_by_tensor(mine);
  std::vector<double> ratios;
  for (std::size_t t = 0; t < sums.size(); ++t)
    ratios.push_back(optimizer_.trust_ratio(std::sqrt(sums[t][0]), std::sqrt(sums[t][1]),
                                            std::sqrt(sums[t][2]), is_penalised(static_cast<int>(t))));
  return ratios;
}

std::vector<TensorNorms> SliceUpdate::tensor_norms(const float* parameters) {
  std::vector<double> mine(kSums * most_blocks_, 0.0);  // of gradient, values, update
  std::ranges::copy(loss_block_sums_, mine.begin());
  team_.run(std::ssize(chunks_), [&](std::int64_t c, int) {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    const float* now = parameters + chunk.floats.begin;
    float* before = before_.data() + chunk.at;
    sum_squares(chunk, now, mine.data() + most_blocks_);
    for (std::int64_t i = 0; i < chunk.floats.size(); ++i) before[i] = now[i] - before[i];
    sum_squares(chunk, before, mine.data() + 2 * most_blocks_);
  });
  std::vector<TensorNorms> norms;
  for (const TensorSums& sums : fold_by_tensor(mine))
    norms.push_back({std::sqrt(sums[0]), std::sqrt(sums[1]), std::sqrt(sums[2])});
  return norms;
}

void SliceUpdate::average(const float* parameters, std::int64_t step) {
  const auto share = static_cast<float>(optim::average_share(settings_.average, step));
  team_.run(std::ssize(chunks_), [&](std::int64_t c, int) {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    optim::approach(average_.data() + chunk.at, parameters + chunk.floats.begin, chunk.floats.size(), share);
  });
}

double SliceUpdate::update(float* parameters, double rate, std::int64_t step, double factor) {
  if (optimizer_.is_layerwise() && factor != 1)
    optim::multiply(gradient_.data(), gradient_.size(), static_cast<float>(factor));
  const std::vector<double> ratios =
      optimizer_.is_layerwise() ? trust_ratios(parameters, step) : std::vector<double>();
  std::atomic<int> not_finite{-1};
  team_.run(std::ssize(chunks_), [&](std::int64_t c, int thread) {
    const Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
    float* const gradient = room_for_gradient(chunk, thread);
    if (!optimizer_.is_layerwise()) {
      average_gradient(chunk, gradient);
      add_penalty(chunk, parameters, gradient);
      if (factor != 1) optim::multiply(gradient, chunk.floats.size(), static_cast<float>(factor));
    }
    const Place at = place(chunk, parameters, gradient);
    const std::span<float* const> state(at.arrays.data(), state_.size());
    const double ratio = ratios.empty() ? 1.0 : ratios[static_cast<std::size_t>(chunk.tensor)];
    optimizer_.update(at.parameters, at.gradient, state, at.count, rate * ratio, step, at.decayed);
    bool finite = all_finite(at.parameters, at.count);
    for (const float* array : state) finite = finite && all_finite(array, at.count);
    if (!finite) not_finite = chunk.layer;
  });
  return not_finite.load();
}

double SliceUpdate::penalty(const float* parameters) const {
  const optim::Penalty& penalty = settings_.penalty;
  if (!penalty.any()) return 0;
  double sum = 0;
  for (const auto& layer : network_.layers())
    for (const int t : layer.tensors)
      if (is_penalised(t)) {
        const nn::Tensor& tensor = network_.parameters()[static_cast<std::size_t>(t)];
        sum += optim::penalty_value(parameters + tensor.offset, tensor.size, penalty.l1, penalty.l2);
      }
  return sum;
}

std::vector<float> SliceUpdate::gather_state(std::size_t index) const { return gather(state_[index]); }

void SliceUpdate::set_state(std::size_t index, std::span<const float> flat) { scatter(flat, state_[index]); }

std::vector<float> SliceUpdate::gather(const Buffer<float>& slices) const {
  std::vector<float> flat;
  if (world_.rank() == 0) flat.resize(static_cast<std::size_t>(network_.parameter_floats()));
  for (std::size_t layer = 0; layer < network_.layers().size(); ++layer) {
    const std::int64_t count = exchange_.own_slice(static_cast<int>(layer)).size();
    const std::vector<float> whole = world_.gather(slices.data() + slice_begin_[layer], count, 0);
    const auto offset = world_.rank() == 0 ? network_.layers()[layer].offset : 0;
    std::ranges::copy(whole, flat.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return flat;
}

void SliceUpdate::scatter(std::span<const float> flat, Buffer<float>& slices) const {
  for (std::size_t layer = 0; layer < network_.layers().size(); ++layer) {
    const Range slice = exchange_.own_slice(static_cast<int>(layer));
    std::copy_n(flat.begin() + static_cast<std::ptrdiff_t>(slice.begin), slice.size(),
                slices.data() + slice_begin_[layer]);
  }
}

std::int64_t SliceUpdate::bytes_sent() const {
  return norm_fold_->bytes_sent() + (tensor_fold_ ? tensor_fold_->bytes_sent() : 0);
}

std::int64_t SliceUpdate::memory_bytes() const {
  std::int64_t sum = (gradient_.size() + average_.size() + before_.size()) * 4;
  for (const auto& buffer : chunk_gradients_) sum += buffer.size() * 4;
  for (const auto& buffer : state_) sum += buffer.size() * 4;
  return sum;
}

}  // namespace trainer::train
