// The matrix products of a dense layer alone, as a step computes them on one thread: forward and
// backward-data a unit of rows at a time, the weight gradient with its packing and the fold over the shards.
// As a share of the multiply-add peak of one core, measured in the same run; by the processor time of the
// thread, so that other work disturbs it less. Usage: products_benchmark [Google Benchmark's options]

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "fma_peak.h"
#include "onednn.h"
#include "trainer/core/buffer.h"
#include "trainer/core/random.h"
#include "trainer/core/team.h"
#include "trainer/core/tree.h"
#include "trainer/nn/onednn_facts.h"
#include "trainer/nn/pass.h"
#include "turned_weights.h"
#include "weight_gradient.h"

namespace trainer::benchmarks {
namespace {

struct Shape {
  std::int64_t inputs, outputs, batch;
  std::int64_t shards() const { return default_shards(batch); }
  std::int64_t unit() const { return nn::unit_rows(batch, shards()); }
};

const std::vector<Shape> kShapes = {{1024, 1024, 2048}, {784, 1024, 2048}, {512, 512, 256}, {784, 512, 256}};

Buffer<float> drawn(std::int64_t count) {
  Buffer<float> values(count);
  RandomStream stream(RandomKey(1, Purpose::self_test), static_cast<std::uint64_t>(count));
  for (float& value : values.span()) value = stream.uniform_float() - 0.5f;
  return values;
}

/// What a layer works on. In bf16 rows and weights are there rounded: rounding is measured on its own.
struct Layer {
  explicit Layer(const Shape& s, nn::Precision precision)
      : shape(s),
        panel(factory.preferred_panel(s.inputs, s.outputs)),
        x(drawn(s.batch * s.inputs)),
        y(drawn(s.batch * s.outputs)),
        weights(drawn(s.inputs * s.outputs)),
        gradient(s.inputs * s.outputs),
        bias(drawn(s.outputs)),
        products(s.inputs, s.outputs, true, precision),
        packed(products.packed_floats(s.batch)) {}
  Shape shape;
  nn::KernelFactory factory{1};
  std::int64_t panel;
  Buffer<float> x, y, weights, gradient, bias;
  nn::WeightGradient products;
  Buffer<float> packed;
};

void for_units(const Shape& shape, const auto& work) {
  for (std::int64_t first = 0; first < shape.batch; first += shape.unit()) work(first);
}

/// A product's operations against the peak.
void count(benchmark::State& state, const Shape& shape, double peak) {
  const double operations = 2.0 * static_cast<double>(shape.inputs * shape.outputs * shape.batch);
  state.counters["GF/s"] =
      benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["share_of_peak"] =
      benchmark::Counter(operations / peak, benchmark::Counter::kIsIterationInvariantRate);
}

void forward(benchmark::State& state, const Shape& shape, double peak) {
  Layer layer(shape, nn::Precision::f32);
  const nn::Kernel kernel =
      layer.factory.dense_forward(shape.unit(), shape.inputs, shape.outputs, layer.panel, true);
  for (auto _ : state)
    for_units(shape, [&](std::int64_t row) {
      kernel(0, {layer.x.data() + row * shape.inputs, layer.weights.data(), layer.bias.data(),
                 layer.y.data() + row * shape.outputs});
    });
  count(state, shape, peak);
}

void backward_data(benchmark::State& state, const Shape& shape, double peak) {
  Layer layer(shape, nn::Precision::f32);
  const nn::Kernel kernel =
      layer.factory.dense_backward_data(shape.unit(), shape.inputs, shape.outputs, layer.panel);
  for (auto _ : state)
    for_units(shape, [&](std::int64_t row) {
      kernel(0, {layer.y.data() + row * shape.outputs, layer.weights.data(),
                 layer.x.data() + row * shape.inputs});
    });
  count(state, shape, peak);
}

/// Once a step.
void turn(benchmark::State& state, const Shape& shape) {
  Layer layer(shape, nn::Precision::f32);
  const nn::TurnedWeights place{shape.inputs, shape.outputs};
  Buffer<float> turned(place.size());
  for (auto _ : state)
    for (std::int64_t part = 0; part < place.parts(); ++part)
      place.turn(layer.weights.data(), part, turned.data());
}

void bf16_forward(benchmark::State& state, const Shape& shape, double peak, bool rounding) {
  const Layer layer(shape, nn::Precision::bf16);
  nn::KernelFactory factory(1);
  const nn::Bf16Matrix matrix{shape.inputs, shape.outputs,
                              factory.preferred_bf16_panel(shape.inputs, shape.outputs)};
  const nn::Kernel kernel = factory.bf16_product(shape.unit(), matrix, true);
  const std::int64_t depth = nn::padded_depth(shape.inputs);
  Buffer<nn::Bf16> rows(shape.batch * depth), weights(matrix.size());
  Buffer<float> y(shape.batch * shape.outputs), bias(shape.outputs);
  nn::round_rows(layer.x.data(), shape.batch, shape.inputs, rows.data());
  for (std::int64_t panel = 0; panel < matrix.panels(); ++panel)
    nn::round_transposed_weights(layer.weights.data(), {shape.inputs, shape.outputs, layer.panel}, matrix,
                                 panel, weights.data());
  for (auto _ : state)
    for_units(shape, [&](std::int64_t row) {
      if (rounding)
        nn::round_rows(layer.x.data() + row * shape.inputs, shape.unit(), shape.inputs,
                       rows.data() + row * depth);
      kernel(0, {rows.data() + row * depth, weights.data(), bias.data(), y.data() + row * shape.outputs});
    });
  count(state, shape, peak);
}

void weight_gradient(benchmark::State& state, const Shape& shape, double peak, nn::Precision precision,
                     bool packing) {
  Layer layer(shape, precision);
  const auto rows_of = [&](std::int64_t shard) { return cut(shape.batch, shape.shards(), shard); };
  const std::vector<nn::Leaf> leaves = nn::leaves_of({0, shape.shards()}, rows_of);
  Buffer<float> aside(nn::most_set_aside(leaves) * nn::WeightGradient::kBlockFloats);
  const auto pack = [&] {
    for (std::int64_t shard = 0; shard < shape.shards(); ++shard)
      layer.products.pack(layer.x.data(), layer.y.data(), rows_of(shard), rows_of(shard), shape.batch,
                          layer.packed.data());
  };
  pack();
  for (auto _ : state) {
    if (packing) pack();
    // In tiles, as a step's threads take them.
    constexpr std::int64_t kColumns = 64;
    const auto [inputs, outputs, lanes] = layer.products.block();
    const std::int64_t blocks = 264 / inputs;
    for (std::int64_t column = 0; column < shape.outputs; column += kColumns)
      for (std::int64_t block = 0; block < layer.products.blocks(); block += blocks)
        layer.products.fold(
            layer.packed.data(), shape.batch, leaves,
            {block, std::min(layer.products.blocks(), block + blocks)},
            {column, std::min(shape.outputs, column + kColumns)}, aside.data(),
            {.weights = layer.gradient.data() + column * shape.inputs + block * inputs * kColumns,
             .stride = kColumns,
             .next_vector = lanes});
  }
  count(state, shape, peak);
}

void add(const Shape& shape, double peak) {
  const std::string name = std::to_string(shape.inputs) + "x" + std::to_string(shape.outputs) +
                           "/batch:" + std::to_string(shape.batch) + "/";
  const auto register_one = [&](const std::string& part, const auto& run) {
    benchmark::RegisterBenchmark((name + part).c_str(), run)->Unit(benchmark::kMillisecond);
  };
  using nn::Precision;
  register_one("forward", [=](benchmark::State& state) { forward(state, shape, peak); });
  register_one("backward_data", [=](benchmark::State& state) { backward_data(state, shape, peak); });
  if (!nn::WeightGradient::possible()) return;
  register_one("weight_gradient",
               [=](benchmark::State& state) { weight_gradient(state, shape, peak, Precision::f32, false); });
  register_one("weight_gradient+pack",
               [=](benchmark::State& state) { weight_gradient(state, shape, peak, Precision::f32, true); });
  if (nn::KernelFactory::turns(shape.outputs,
                               nn::KernelFactory(1).preferred_panel(shape.inputs, shape.outputs)))
    register_one("turn_weights", [=](benchmark::State& state) { turn(state, shape); });
  if (!nn::has_bf16()) return;
  register_one("bf16/forward", [=](benchmark::State& state) { bf16_forward(state, shape, peak, false); });
  register_one("bf16/forward+round",
               [=](benchmark::State& state) { bf16_forward(state, shape, peak, true); });
  register_one("bf16/weight_gradient",
               [=](benchmark::State& state) { weight_gradient(state, shape, peak, Precision::bf16, false); });
  register_one("bf16/weight_gradient+pack",
               [=](benchmark::State& state) { weight_gradient(state, shape, peak, Precision::bf16, true); });
}

}  // namespace
}  // namespace trainer::benchmarks

int main(int argc, char** argv) {
  using namespace trainer::benchmarks;
  trainer::make_unnamed_teams_serial();
  const double peak = std::max(fma_peak(1, 0.5), fma_peak(1, 0.5));
  std::printf("one thread, f32 peak %.1f GF/s, %s\n", peak * 1e-9, trainer::nn::onednn_version().c_str());
  for (const Shape& shape : kShapes) add(shape, peak);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
