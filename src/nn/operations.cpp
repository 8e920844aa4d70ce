#include "operations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "trainer/core/error.h"
#include "trainer/core/random_normals.h"
#include "trainer/core/vectorise.h"

namespace trainer::nn {
namespace {

float* at(float* const* buffers, int index, std::int64_t width, std::int64_t row) {
  return buffers[index] + row * width;
}
float* value(const View& view, const Slot& slot, std::int64_t row) {
  return at(view.values, slot.value, slot.width, row);
}
float* gradient(const View& view, const Slot& slot, std::int64_t row) {
  return at(view.gradients, slot.gradient, slot.width, row);
}

TRAINER_VECTORISED void relu_forward(const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] < 0.0f ? 0.0f : x[i];  // a nan stays a nan
}

TRAINER_VECTORISED void relu_backward(const float* y, const float* dy, float* dx, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}

TRAINER_VECTORISED void leaky_forward(float slope, const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] < 0.0f ? slope * x[i] : x[i];
}

TRAINER_VECTORISED void leaky_backward(float slope, const float* y, const float* dy, float* dx,
                                       std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = y[i] > 0.0f ? dy[i] : slope * dy[i];
}

TRAINER_VECTORISED void mark_active(const float* y, std::uint8_t* active, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) active[i] = y[i] != 0.0f ? 1 : active[i];
}

TRAINER_VECTORISED void smaller_of_zero(const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] < 0.0f ? x[i] : 0.0f;
}

/// y: exp(min(x, 0)) before, elu(x) after. exp(x) - 1 is a Taylor sum where it would cancel; 9 terms leave
/// less than 1e-9 of it.
TRAINER_VECTORISED void elu_forward(float alpha, const float* x, float* y, std::int64_t count) {
  constexpr float kNear = -0.5f;
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = x[i];
    float sum = 1.0f;
    for (int k = 9; k >= 2; --k) sum = 1.0f + sum * v * (1.0f / static_cast<float>(k));
    const float below = v <= kNear ? y[i] - 1.0f : sum * v;  // a nan stays a nan
    y[i] = v > 0.0f ? v : alpha * below;
  }
}

TRAINER_VECTORISED void elu_backward(float alpha, const float* y, const float* dy, float* dx,
                                     std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = y[i] > 0.0f ? dy[i] : dy[i] * (y[i] + alpha);
}

TRAINER_VECTORISED void minus_absolute(const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = -std::abs(x[i]);
}

/// y: exp(-|x|) before, max(x, 0) + ln(1 + exp(-|x|)) after; ln(1 + u) is 2 artanh(u / (2 + u)).
TRAINER_VECTORISED void softplus_forward(const float* x, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float s = y[i] / (2.0f + y[i]), q = s * s;
    const float sum =
        1.0f + q * (1.0f / 3 + q * (1.0f / 5 + q * (1.0f / 7 + q * (1.0f / 9 + q * (1.0f / 11 + q / 13)))));
    y[i] = (x[i] < 0.0f ? 0.0f : x[i]) + 2.0f * s * sum;
  }
}

/// Sums whose order is that of 16 lanes, then lane by lane, whatever the width of the vectors.
constexpr std::int64_t kLanes = 16;

double sum_of_lanes(const double* lanes) {
  double sum = 0;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) sum += lanes[lane];
  return sum;
}

TRAINER_VECTORISED double row_sum(const float* x, std::int64_t width) {
  double lanes[kLanes] = {};
  std::int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(x[c + lane]);
  for (std::int64_t lane = 0; c < width; ++c, ++lane) lanes[lane] += static_cast<double>(x[c]);
  return sum_of_lanes(lanes);
}

TRAINER_VECTORISED double row_squared_deviations(const float* x, double mean, std::int64_t width) {
  double lanes[kLanes] = {};
  const auto square = [mean](float value) {
    const double d = static_cast<double>(value) - mean;
    return d * d;
  };
  std::int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += square(x[c + lane]);
  for (std::int64_t lane = 0; c < width; ++c, ++lane) lanes[lane] += square(x[c]);
  return sum_of_lanes(lanes);
}

TRAINER_VECTORISED void normalise_row(const float* x, float* y, float mean, float inverse, const float* scale,
                                      const float* shift, std::int64_t width) {
  for (std::int64_t c = 0; c < width; ++c) y[c] = (x[c] - mean) * inverse * scale[c] + shift[c];
}

/// The sums of dy scale and of dy scale xhat over a row.
TRAINER_VECTORISED void row_gradient_sums(const float* x, const float* dy, float mean, float inverse,
                                          const float* scale, std::int64_t width, double* sum,
                                          double* sum_x) {
  double lanes[kLanes] = {}, lanes_x[kLanes] = {};
  const auto add = [&](std::int64_t lane, std::int64_t c) {
    const double g = static_cast<double>(dy[c] * scale[c]);
    lanes[lane] += g;
    lanes_x[lane] += g * static_cast<double>((x[c] - mean) * inverse);
  };
  std::int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane) add(lane, c + lane);
  for (std::int64_t lane = 0; c < width; ++c, ++lane) add(lane, c);
  *sum = sum_of_lanes(lanes);
  *sum_x = sum_of_lanes(lanes_x);
}

TRAINER_VECTORISED void normalise_row_backward(const float* x, const float* dy, float* dx, float mean,
                                               float inverse, const float* scale, float mean_dy,
                                               float mean_dy_x, std::int64_t width) {
  for (std::int64_t c = 0; c < width; ++c) {
    const float xhat = (x[c] - mean) * inverse;
    dx[c] = inverse * (dy[c] * scale[c] - mean_dy - xhat * mean_dy_x);
  }
}

TRAINER_VECTORISED void add_row_gradients(const float* x, const float* dy, float mean, float inverse,
                                          double* sum, double* sum_x, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c) {
    const double g = static_cast<double>(dy[c]);
    sum[c] += g;
    sum_x[c] += g * static_cast<double>((x[c] - mean) * inverse);
  }
}

TRAINER_VECTORISED void add_absolute(const float* x, double* lanes, std::int64_t count) {
  std::int64_t c = 0;
  for (; c + kLanes <= count; c += kLanes)
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] += static_cast<double>(std::abs(x[c + lane]));
  for (std::int64_t lane = 0; c < count; ++c, ++lane) lanes[lane] += static_cast<double>(std::abs(x[c]));
}

TRAINER_VECTORISED void add_scaled(float factor, const float* numbers, const float* x, float* y,
                                   std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] + factor * numbers[i];
}

TRAINER_VECTORISED void normalise(const float* x, float* y, const float* mean, const float* inverse,
                                  const float* scale, const float* shift, std::int64_t width) {
  for (std::int64_t c = 0; c < width; ++c) y[c] = (x[c] - mean[c]) * inverse[c] * scale[c] + shift[c];
}

TRAINER_VECTORISED void normalise_backward(const float* x, const float* dy, float* dx, const float* mean,
                                           const float* inverse, const float* scale, const float* mean_dy,
                                           const float* mean_dy_x, std::int64_t width) {
  for (std::int64_t c = 0; c < width; ++c) {
    const float xhat = (x[c] - mean[c]) * inverse[c];
    dx[c] = scale[c] * inverse[c] * (dy[c] - mean_dy[c] - xhat * mean_dy_x[c]);
  }
}

TRAINER_VECTORISED void add_to_double(const float* x, double* sum, std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c) sum[c] += static_cast<double>(x[c]);
}

TRAINER_VECTORISED void add_squared_deviation(const float* x, const double* mean, double* m2,
                                              std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c) {
    const double d = static_cast<double>(x[c]) - mean[c];
    m2[c] += d * d;
  }
}

TRAINER_VECTORISED void add_gradient_sums(const float* x, const float* dy, const float* mean,
                                          const float* inverse, double* sum, double* sum_x,
                                          std::int64_t count) {
  for (std::int64_t c = 0; c < count; ++c) {
    const double g = static_cast<double>(dy[c]);
    sum[c] += g;
    sum_x[c] += g * static_cast<double>((x[c] - mean[c]) * inverse[c]);
  }
}

TRAINER_VECTORISED void add(const float* x, float* sum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += x[i];
}

TRAINER_VECTORISED void add_two(const float* x, const float* y, float* sum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] = x[i] + y[i];
}

TRAINER_VECTORISED void drop(const std::uint32_t* words, std::uint32_t threshold, float factor,
                             const float* x, float* y, std::uint8_t* mask, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const bool kept = words[i] >= threshold;
    mask[i] = kept ? 1 : 0;
    y[i] = kept ? x[i] * factor : 0.0f;
  }
}

TRAINER_VECTORISED void drop_backward(const std::uint8_t* mask, float factor, const float* dy, float* dx,
                                      std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = mask[i] != 0 ? dy[i] * factor : 0.0f;
}

}  // namespace

// ---- dense

void Dense::prepare(KernelFactory& factory, std::int64_t rows, bool training) {
  if (training && bf16_forward_) return prepare_bf16(factory, rows);
  Kernels& kernels = kernels_[rows];
  if (!kernels.forward)
    kernels.forward = factory.dense_forward(rows, in_.width, out_.width, panel_, bias_ >= 0);
  if (training && in_.needs_gradient && !kernels.backward)
    kernels.backward = factory.dense_backward_data(rows, in_.width, out_.width, panel_);
}

void Dense::prepare_bf16(KernelFactory& factory, std::int64_t rows) {
  Kernels& kernels = kernels_[rows];
  if (!kernels.bf16_forward) kernels.bf16_forward = factory.bf16_product(rows, *bf16_forward_, bias_ >= 0);
  if (bf16_backward_ && !kernels.bf16_backward)
    kernels.bf16_backward = factory.bf16_product(rows, *bf16_backward_, false);
}

void Dense::arrange(KernelFactory& factory, Network::Plan& plan, Precision precision) {
  if (precision == Precision::bf16) {
    round(factory, plan);
  } else if (in_.needs_gradient && KernelFactory::turns(out_.width, panel_)) {
    turned_ = plan.turned_weights;
    plan.turned_weights += turned().size();
  }
  if (arranged_parts() > 0) plan.arranged.push_back(this);
}

void Dense::round(KernelFactory& factory, Network::Plan& plan) {
  const auto place = [&](std::optional<Bf16Matrix>& matrix, std::int64_t depth, std::int64_t columns) {
    matrix = {depth, columns, factory.preferred_bf16_panel(depth, columns), plan.bf16_weights};
    plan.bf16_weights += matrix->size();
    plan.bf16_depth = std::max(plan.bf16_depth, padded_depth(depth));
  };
  place(bf16_forward_, in_.width, out_.width);
  if (in_.needs_gradient) place(bf16_backward_, out_.width, in_.width);
}

std::int64_t Dense::arranged_parts() const {
  if (turned_ >= 0) return turned().parts();
  return (bf16_forward_ ? bf16_forward_->panels() : 0) + (bf16_backward_ ? bf16_backward_->panels() : 0);
}

void Dense::arrange_part(const View& view, std::int64_t part) const {
  if (turned_ >= 0)
    turned().turn(view.parameters + weight_, part, view.turned_weights + turned_);
  else
    round_part(view, part);
}

void Dense::round_part(const View& view, std::int64_t part) const {
  const float* const weights = view.parameters + weight_;
  const std::int64_t forward = bf16_forward_->panels();
  if (part < forward)
    round_transposed_weights(weights, weight_place(), *bf16_forward_, part,
                             view.bf16_weights + bf16_forward_->offset);
  else
    round_weights(weights, weight_place(), *bf16_backward_, part - forward,
                  view.bf16_weights + bf16_backward_->offset);
}

void Dense::forward(const View& view, const Unit& unit, int thread) const {
  const Kernels& kernels = kernels_.at(unit.rows.size());
  float* x = value(view, in_, unit.rows.begin);
  float* y = value(view, out_, unit.rows.begin);
  auto* parameters = const_cast<float*>(view.parameters);  // oneDNN's handles are not const; it only reads
  if (view.bf16_weights != nullptr) {
    Bf16* const rows = view.bf16_rows[thread];
    Bf16* const weights = view.bf16_weights + bf16_forward_->offset;
    round_rows(x, unit.rows.size(), in_.width, rows);
    if (bias_ >= 0)
      kernels.bf16_forward(thread, {rows, weights, parameters + bias_, y});
    else
      kernels.bf16_forward(thread, {rows, weights, y});
    return;
  }
  if (bias_ >= 0) {
    kernels.forward(thread, {x, parameters + weight_, parameters + bias_, y});
  } else {
    kernels.forward(thread, {x, parameters + weight_, y});
  }
}

void Dense::backward(const View& view, const Unit& unit, int thread) const {
  if (!in_.needs_gradient) return;
  if (view.bf16_weights != nullptr) {
    Bf16* const rows = view.bf16_rows[thread];
    round_rows(gradient(view, out_, unit.rows.begin), unit.rows.size(), out_.width, rows);
    return kernels_.at(unit.rows.size())
        .bf16_backward(
            thread, {rows, view.bf16_weights + bf16_backward_->offset, gradient(view, in_, unit.rows.begin)});
  }
  float* const weights = turned_ >= 0 ? view.turned_weights + turned_
                                      : const_cast<float*>(view.parameters) + weight_;  // only read
  kernels_.at(unit.rows.size())
      .backward(thread,
                {gradient(view, out_, unit.rows.begin), weights, gradient(view, in_, unit.rows.begin)});
}

/// Whole blocks and whole panels.
std::vector<Tile> Dense::kernel_tiles() const {
  constexpr std::int64_t kMostInputs = 264, kColumns = 64;
  const auto [inputs, outputs, lanes] = kernel_->block();
  require(panel_ == out_.width || panel_ % kColumns == 0 || panel_ == lanes, ErrorKind::internal,
          "a panel of ", panel_, " outputs is cut by tiles of ", kColumns, " or vectors of ", lanes);
  const std::int64_t blocks = kMostInputs / inputs, parts = (kernel_->blocks() + blocks - 1) / blocks;
  std::vector<Tile> tiles;
  for (std::int64_t o = 0; o < out_.width; o += kColumns)
    for (std::int64_t part = 0; part < parts; ++part) {
      const Range part_blocks = cut(kernel_->blocks(), parts, part);
      tiles.push_back({{part_blocks.begin * inputs, std::min(part_blocks.end * inputs, in_.width)},
                       {o, std::min(o + kColumns, out_.width)}});
    }
  return tiles;
}

std::vector<Tile> Dense::tiles() const {
  if (kernel_) return kernel_tiles();
  // Tile shapes decide bits (through the product's blocking), so they follow from the layer's shape alone.
  // Both sides at most 128: the stack of partial sums stays in a core's second-level cache, and small layers
  // have tiles for many threads; measured in benchmarks/README.md.
  constexpr std::int64_t kSide = 128;
  const std::int64_t grain = panel_ < out_.width ? panel_ : 1;
  const std::int64_t groups = out_.width / grain;
  const std::int64_t output_parts = (out_.width + kSide - 1) / kSide;
  const std::int64_t input_parts = (in_.width + kSide - 1) / kSide;
  std::vector<Tile> tiles;
  for (std::int64_t o = 0; o < output_parts; ++o) {
    const Range outputs = cut(groups, output_parts, o);
    for (std::int64_t i = 0; i < input_parts; ++i)
      tiles.push_back({cut(in_.width, input_parts, i), {outputs.begin * grain, outputs.end * grain}});
  }
  return tiles;
}

std::int64_t Dense::tile_floats(const Tile& tile) const {
  return (tile.inputs.size() + 1) * tile.outputs.size();
}

bool Dense::has_bias_of(const Tile& tile) const {
  return bias_ >= 0 && (kernel_ ? tile.inputs.end == in_.width : tile.inputs.begin == 0);
}

/// Of the first weight of a tile: that of the next input is panel_ floats further.
float* Dense::weights_of(const Tile& tile, float* flat) const {
  const std::int64_t output = tile.outputs.begin;
  return flat + weight_ + output / panel_ * panel_ * in_.width + tile.inputs.begin * panel_ + output % panel_;
}

namespace {

/// The blocks of a tile, the last one's with the bias.
Range blocks_of(const WeightGradient& kernel, const Tile& tile, std::int64_t inputs) {
  return {tile.inputs.begin / kernel.block().inputs,
          tile.inputs.end == inputs ? kernel.blocks() : tile.inputs.end / kernel.block().inputs};
}

}  // namespace

void Dense::pack(const View& view, Range rows, Range shard) const {
  kernel_->pack(value(view, in_, 0), gradient(view, out_, 0), rows, shard, view.packed_capacity, view.packed);
}

void Dense::fold(const View& view, std::span<const Leaf> leaves, const Tile& tile, float* flat,
                 float* aside) const {
  const std::int64_t lanes = kernel_->block().lanes;
  kernel_->fold(view.packed, view.packed_capacity, leaves, blocks_of(*kernel_, tile, in_.width), tile.outputs,
                aside,
                {.weights = weights_of(tile, flat),
                 .stride = panel_,
                 .next_vector = panel_ == lanes ? panel_ * in_.width : lanes,
                 .bias = has_bias_of(tile) ? flat + bias_ + tile.outputs.begin : nullptr});
}

void Dense::product(const View& view, Range rows, const Tile& tile, float* record, float* aside) const {
  const std::int64_t m = tile.inputs.size(), n = tile.outputs.size();
  if (kernel_) {
    float* const biases = record + m * n;
    std::fill_n(biases, n, 0.0f);
    const Leaf leaf{rows};
    return kernel_->fold(view.packed, view.packed_capacity, {&leaf, 1}, blocks_of(*kernel_, tile, in_.width),
                         tile.outputs, aside,
                         {.weights = record,
                          .stride = n,
                          .next_vector = kernel_->block().lanes,
                          .bias = has_bias_of(tile) ? biases : nullptr});
  }
  const float* x = value(view, in_, rows.begin) + tile.inputs.begin;
  const float* dy = gradient(view, out_, rows.begin) + tile.outputs.begin;
  multiply_transposed(m, n, rows.size(), x, in_.width, dy, out_.width, record, n);
  float* bias = record + m * n;
  std::memset(bias, 0, static_cast<std::size_t>(n) * sizeof(float));
  if (!has_bias_of(tile)) return;
  for (std::int64_t r = 0; r < rows.size(); ++r) add(dy + r * out_.width, bias, n);
}

void Dense::store(const Tile& tile, const float* record, float* flat) const {
  const std::int64_t n = tile.outputs.size();
  for (std::int64_t first = tile.outputs.begin; first < tile.outputs.end;) {
    const std::int64_t panel = first / panel_;
    const std::int64_t end = std::min(tile.outputs.end, (panel + 1) * panel_);
    float* to = flat + weight_ + panel * panel_ * in_.width + first % panel_;
    const float* from = record + (first - tile.outputs.begin);
    for (std::int64_t i = tile.inputs.begin; i < tile.inputs.end; ++i, from += n)
      std::memcpy(to + i * panel_, from, static_cast<std::size_t>(end - first) * sizeof(float));
    first = end;
  }
  if (has_bias_of(tile))
    std::memcpy(flat + bias_ + tile.outputs.begin, record + tile.inputs.size() * n,
                static_cast<std::size_t>(n) * sizeof(float));
}

double Dense::absolute_gradients(const View& view, Range rows, const Tile& tile) const {
  if (tile.inputs.begin > 0) return 0;
  double lanes[kLanes] = {};
  for (std::int64_t r = rows.begin; r < rows.end; ++r)
    add_absolute(gradient(view, out_, r) + tile.outputs.begin, lanes, tile.outputs.size());
  return sum_of_lanes(lanes);
}

// ---- batch norm

void BatchNorm::moments(const View& view, Range rows, Range columns, double* mean, double* m2) const {
  const std::int64_t count = columns.size();
  std::fill(mean, mean + count, 0.0);
  std::fill(m2, m2 + count, 0.0);
  const auto row = [&](std::int64_t r) { return value(view, in_, r) + columns.begin; };
  for (std::int64_t r = rows.begin; r < rows.end; ++r) add_to_double(row(r), mean, count);
  for (std::int64_t c = 0; c < count; ++c) mean[c] /= static_cast<double>(rows.size());
  for (std::int64_t r = rows.begin; r < rows.end; ++r) add_squared_deviation(row(r), mean, m2, count);
}

void BatchNorm::gradient_sums(const View& view, const Unit& unit, Range columns, double* sum,
                              double* sum_x) const {
  const NormState& state = view.norms[index_];
  const std::int64_t group = (state.per_shard ? unit.shard : 0) * in_.width + columns.begin;
  std::fill(sum, sum + columns.size(), 0.0);
  std::fill(sum_x, sum_x + columns.size(), 0.0);
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r)
    add_gradient_sums(value(view, in_, r) + columns.begin, gradient(view, out_, r) + columns.begin,
                      state.mean.data() + group, state.inverse_deviation.data() + group, sum, sum_x,
                      columns.size());
}

void BatchNorm::set_group(NormState& state, std::int64_t group, const double* mean, const double* m2,
                          std::int64_t rows) const {
  for (std::int64_t c = 0; c < in_.width; ++c) {
    const double variance = m2[c] / static_cast<double>(rows);
    state.mean[group * in_.width + c] = static_cast<float>(mean[c]);
    state.inverse_deviation[group * in_.width + c] =
        static_cast<float>(1.0 / std::sqrt(variance + spec_.epsilon));
  }
}

void BatchNorm::update_running(float* statistics, const double* mean, const double* m2,
                               std::int64_t rows) const {
  if (rows < 2) return;
  for (std::int64_t c = 0; c < in_.width; ++c) {
    float& running_mean = statistics[running_mean_ + c];
    float& running_variance = statistics[running_variance_ + c];
    const double variance = m2[c] / static_cast<double>(rows - 1);
    running_mean = static_cast<float>((1 - spec_.momentum) * running_mean + spec_.momentum * mean[c]);
    running_variance =
        static_cast<float>((1 - spec_.momentum) * running_variance + spec_.momentum * variance);
  }
}

void BatchNorm::set_running(float* statistics, const double* mean, const double* m2,
                            std::int64_t rows) const {
  for (std::int64_t c = 0; c < in_.width; ++c) {
    statistics[running_mean_ + c] = static_cast<float>(mean[c]);
    statistics[running_variance_ + c] = static_cast<float>(m2[c] / static_cast<double>(rows - 1));
  }
}

void BatchNorm::set_from_running(NormState& state, const float* statistics) const {
  for (std::int64_t c = 0; c < in_.width; ++c) {
    state.mean[c] = statistics[running_mean_ + c];
    const double variance = static_cast<double>(statistics[running_variance_ + c]);
    state.inverse_deviation[c] = static_cast<float>(1.0 / std::sqrt(variance + spec_.epsilon));
  }
}

void BatchNorm::forward(const View& view, const Unit& unit, int /*thread*/) const {
  const NormState& state = view.norms[index_];
  const std::int64_t group = state.per_shard ? unit.shard * in_.width : 0;
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r)
    normalise(value(view, in_, r), value(view, out_, r), state.mean.data() + group,
              state.inverse_deviation.data() + group, view.parameters + scale_, view.parameters + shift_,
              in_.width);
}

void BatchNorm::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!in_.needs_gradient) return;
  const NormState& state = view.norms[index_];
  const std::int64_t group = state.per_shard ? unit.shard * in_.width : 0;
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r)
    normalise_backward(value(view, in_, r), gradient(view, out_, r), gradient(view, in_, r),
                       state.mean.data() + group, state.inverse_deviation.data() + group,
                       view.parameters + scale_, state.mean_gradient.data() + group,
                       state.mean_gradient_x.data() + group, in_.width);
}

void BatchNorm::store(const float* sum, const float* sum_x, float* flat) const {
  std::memcpy(flat + shift_, sum, static_cast<std::size_t>(in_.width) * sizeof(float));
  std::memcpy(flat + scale_, sum_x, static_cast<std::size_t>(in_.width) * sizeof(float));
}

// ---- layer norm

void LayerNorm::forward(const View& view, const Unit& unit, int /*thread*/) const {
  const auto width = static_cast<double>(in_.width);
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r) {
    const float* x = value(view, in_, r);
    float* moments = value(view, moments_, r);
    const double mean = row_sum(x, in_.width) / width;
    const double variance = row_squared_deviations(x, mean, in_.width) / width;
    moments[0] = static_cast<float>(mean);
    moments[1] = static_cast<float>(1.0 / std::sqrt(variance + epsilon_));
    normalise_row(x, value(view, out_, r), moments[0], moments[1], view.parameters + scale_,
                  view.parameters + shift_, in_.width);
  }
}

void LayerNorm::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!in_.needs_gradient) return;
  const auto width = static_cast<double>(in_.width);
  const float* scale = view.parameters + scale_;
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r) {
    const float *x = value(view, in_, r), *dy = gradient(view, out_, r), *moments = value(view, moments_, r);
    double sum = 0, sum_x = 0;
    row_gradient_sums(x, dy, moments[0], moments[1], scale, in_.width, &sum, &sum_x);
    normalise_row_backward(x, dy, gradient(view, in_, r), moments[0], moments[1], scale,
                           static_cast<float>(sum / width), static_cast<float>(sum_x / width), in_.width);
  }
}

namespace {
constexpr std::int64_t kNormTile = 128;  // columns
}

std::vector<Tile> LayerNorm::tiles() const {
  const std::int64_t parts = (in_.width + kNormTile - 1) / kNormTile;
  std::vector<Tile> tiles;
  for (std::int64_t part = 0; part < parts; ++part) tiles.push_back({{0, 0}, cut(in_.width, parts, part)});
  return tiles;
}

void LayerNorm::product(const View& view, Range rows, const Tile& tile, float* record,
                        float* /*aside*/) const {
  const std::int64_t begin = tile.outputs.begin, count = tile.outputs.size();
  std::array<double, 2 * kNormTile> sums{};
  for (std::int64_t r = rows.begin; r < rows.end; ++r) {
    const float* moments = value(view, moments_, r);
    add_row_gradients(value(view, in_, r) + begin, gradient(view, out_, r) + begin, moments[0], moments[1],
                      sums.data(), sums.data() + count, count);
  }
  std::copy_n(sums.begin(), 2 * count, record);
}

void LayerNorm::store(const Tile& tile, const float* record, float* flat) const {
  const std::int64_t count = tile.outputs.size();
  std::copy_n(record, count, flat + shift_ + tile.outputs.begin);
  std::copy_n(record + count, count, flat + scale_ + tile.outputs.begin);
}

// ---- activations

void Relu::forward(const View& view, const Unit& unit, int thread) const {
  const float* x = value(view, in_, unit.rows.begin);
  float* y = value(view, out_, unit.rows.begin);
  const std::int64_t count = unit.rows.size() * in_.width;
  if (slope_ > 0)
    leaky_forward(slope_, x, y, count);
  else
    relu_forward(x, y, count);
  if (view.active == nullptr || flags_ < 0) return;
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r)
    mark_active(value(view, out_, r), view.active[thread] + flags_, in_.width);
}

void Relu::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!in_.needs_gradient) return;
  const float* y = value(view, out_, unit.rows.begin);
  const float* dy = gradient(view, out_, unit.rows.begin);
  float* dx = gradient(view, in_, unit.rows.begin);
  const std::int64_t count = unit.rows.size() * in_.width;
  if (slope_ > 0)
    leaky_backward(slope_, y, dy, dx, count);
  else
    relu_backward(y, dy, dx, count);
}

void Elu::prepare(KernelFactory& factory, std::int64_t rows, bool /*training*/) {
  Kernel& exp = exp_[rows];
  if (!exp) exp = factory.elementwise(Function::exp, rows * in_.width);
}

void Elu::forward(const View& view, const Unit& unit, int thread) const {
  const float* x = value(view, in_, unit.rows.begin);
  float* y = value(view, out_, unit.rows.begin);
  const std::int64_t count = unit.rows.size() * in_.width;
  smaller_of_zero(x, y, count);
  exp_.at(unit.rows.size())(thread, {y, y});
  elu_forward(alpha_, x, y, count);
}

void Elu::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!in_.needs_gradient) return;
  elu_backward(alpha_, value(view, out_, unit.rows.begin), gradient(view, out_, unit.rows.begin),
               gradient(view, in_, unit.rows.begin), unit.rows.size() * in_.width);
}

void Softplus::prepare(KernelFactory& factory, std::int64_t rows, bool training) {
  Kernels& kernels = kernels_[rows];
  const std::int64_t count = rows * in_.width;
  if (!kernels.exp) kernels.exp = factory.elementwise(Function::exp, count);
  if (training && in_.needs_gradient && !kernels.backward)
    kernels.backward = factory.elementwise_backward(Function::softplus, count);
}

void Softplus::forward(const View& view, const Unit& unit, int thread) const {
  const float* x = value(view, in_, unit.rows.begin);
  float* y = value(view, out_, unit.rows.begin);
  const std::int64_t count = unit.rows.size() * in_.width;
  minus_absolute(x, y, count);
  kernels_.at(unit.rows.size()).exp(thread, {y, y});
  softplus_forward(x, y, count);
}

void Softplus::backward(const View& view, const Unit& unit, int thread) const {
  if (!in_.needs_gradient) return;
  kernels_.at(unit.rows.size())
      .backward(thread, {value(view, in_, unit.rows.begin), gradient(view, out_, unit.rows.begin),
                         gradient(view, in_, unit.rows.begin)});
}

void Smooth::prepare(KernelFactory& factory, std::int64_t rows, bool training) {
  Kernels& kernels = kernels_[rows];
  if (!kernels.forward) kernels.forward = factory.elementwise(function_, rows * in_.width);
  if (training && in_.needs_gradient && !kernels.backward)
    kernels.backward = factory.elementwise_backward(function_, rows * in_.width);
}

void Smooth::forward(const View& view, const Unit& unit, int thread) const {
  kernels_.at(unit.rows.size())
      .forward(thread, {value(view, in_, unit.rows.begin), value(view, out_, unit.rows.begin)});
}

void Smooth::backward(const View& view, const Unit& unit, int thread) const {
  if (!in_.needs_gradient) return;
  const Slot& kept = derivative_from_output(function_) ? out_ : in_;
  kernels_.at(unit.rows.size())
      .backward(thread, {value(view, kept, unit.rows.begin), gradient(view, out_, unit.rows.begin),
                         gradient(view, in_, unit.rows.begin)});
}

void Softmax::prepare(KernelFactory& factory, std::int64_t rows, bool /*training*/) {
  Kernel& kernel = kernels_[rows];
  if (!kernel) kernel = factory.softmax(rows, in_.width);
}

void Softmax::forward(const View& view, const Unit& unit, int thread) const {
  kernels_.at(unit.rows.size())(thread,
                                {value(view, in_, unit.rows.begin), value(view, out_, unit.rows.begin)});
}

void Softmax::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!in_.needs_gradient) return;
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r) {
    const float* p = value(view, out_, r);
    const float* dy = gradient(view, out_, r);
    float* dx = gradient(view, in_, r);
    double dot = 0;
    for (std::int64_t c = 0; c < in_.width; ++c)
      dot += static_cast<double>(p[c]) * static_cast<double>(dy[c]);
    for (std::int64_t c = 0; c < in_.width; ++c) dx[c] = p[c] * (dy[c] - static_cast<float>(dot));
  }
}

// ---- dropout and noise

namespace {

/// One stream a sample; columns beyond a block go on in the stream of the block's own address.
constexpr std::int64_t kBlock = 1024;

std::uint64_t stream_of(std::int64_t sample, std::int64_t column) {
  return static_cast<std::uint64_t>(sample) * 16384 + static_cast<std::uint64_t>(column / kBlock);
}

/// What dropout and noise do when they are off: nothing, or a copy where they have a buffer of their own.
void pass_on(const View& view, const Unit& unit, const Slot& in, const Slot& out) {
  if (in.value == out.value) return;
  std::memcpy(value(view, out, unit.rows.begin), value(view, in, unit.rows.begin),
              static_cast<std::size_t>(unit.rows.size() * in.width) * sizeof(float));
}

}  // namespace

Dropout::Dropout(Slot in, Slot out, int index, double rate)
    : in_(in),
      out_(out),
      index_(index),
      threshold_(static_cast<std::uint32_t>(std::min(rate * 4294967296.0, 4294967295.0))),
      factor_(static_cast<float>(1.0 / (1.0 - rate))) {}

void Dropout::forward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!view.draws) return pass_on(view, unit, in_, out_);
  const RandomKey key(view.seed, Purpose::dropout, view.step, static_cast<std::uint32_t>(index_));
  std::array<std::uint32_t, kBlock> words;
  std::array<std::uint8_t, kBlock> forgotten;
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r) {
    for (std::int64_t c = 0; c < in_.width; c += kBlock) {
      const std::int64_t count = std::min(kBlock, in_.width - c);
      random_words(key, stream_of(view.samples[r], c), words.data(), count);
      drop(words.data(), threshold_, factor_, value(view, in_, r) + c, value(view, out_, r) + c,
           view.masks == nullptr ? forgotten.data() : view.masks[index_] + r * in_.width + c, count);
    }
  }
}

void Dropout::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!in_.needs_gradient) return;
  drop_backward(view.masks[index_] + unit.rows.begin * in_.width, factor_,
                gradient(view, out_, unit.rows.begin), gradient(view, in_, unit.rows.begin),
                unit.rows.size() * in_.width);
}

void Noise::forward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!view.draws) return pass_on(view, unit, in_, out_);
  const RandomKey key(view.seed, Purpose::noise, view.step, static_cast<std::uint32_t>(index_));
  std::array<float, kBlock> numbers;
  for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r) {
    for (std::int64_t c = 0; c < in_.width; c += kBlock) {
      const std::int64_t count = std::min(kBlock, in_.width - c);
      random_normals(key, stream_of(view.samples[r], c), numbers.data(), count);
      add_scaled(deviation_, numbers.data(), value(view, in_, r) + c, value(view, out_, r) + c, count);
    }
  }
}

// ---- residual

void Fork::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!in_.needs_gradient) return;
  add(gradient(view, body_, unit.rows.begin), gradient(view, in_, unit.rows.begin),
      unit.rows.size() * in_.width);
}

void Join::forward(const View& view, const Unit& unit, int /*thread*/) const {
  add_two(value(view, body_, unit.rows.begin), value(view, shortcut_, unit.rows.begin),
          value(view, out_, unit.rows.begin), unit.rows.size() * out_.width);
}

void Join::backward(const View& view, const Unit& unit, int /*thread*/) const {
  if (!out_.needs_gradient) return;
  const auto bytes = static_cast<std::size_t>(unit.rows.size() * out_.width) * sizeof(float);
  const float* dy = gradient(view, out_, unit.rows.begin);
  if (shortcut_.needs_gradient) std::memcpy(gradient(view, shortcut_, unit.rows.begin), dy, bytes);
  if (body_.needs_gradient && body_.gradient != out_.gradient)
    std::memcpy(gradient(view, body_, unit.rows.begin), dy, bytes);
}

}  // namespace trainer::nn
