#include "trainer/train/self_test.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "trainer/core/buffer.h"
#include "trainer/core/digest.h"
#include "trainer/core/random.h"
#include "trainer/core/team.h"
#include "trainer/nn/pass.h"

namespace trainer::train {
namespace {

/// Fixed inputs and targets, drawn row by row.
class DrawnRows final : public nn::RowSource {
 public:
  DrawnRows(std::int64_t inputs, std::int64_t outputs) : inputs_(inputs), outputs_(outputs) {}
  void inputs(Range rows, float* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      RandomStream stream(RandomKey(0, Purpose::self_test, 0), static_cast<std::uint64_t>(r));
      for (std::int64_t c = 0; c < inputs_; ++c) *out++ = stream.uniform_float();
    }
  }
  void classes(Range rows, std::int32_t* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      *out++ = static_cast<std::int32_t>(r % std::max<std::int64_t>(2, outputs_));
  }
  void values(Range rows, float* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      for (std::int64_t c = 0; c < outputs_; ++c) *out++ = (r + c) % 3 == 0 ? 1.0f : 0.0f;
  }
  std::int64_t sample(std::int64_t row) const override { return row; }

 private:
  std::int64_t inputs_, outputs_;
};

/// One shard needs no folding.
class OneShard final : public nn::ShardFold {
 public:
  void start(int, std::span<const double> records, std::int64_t) override {
    records_.assign(records.begin(), records.end());
  }
  void finish(int, const Combine&, std::span<double> total) override {
    std::copy(records_.begin(), records_.end(), total.begin());
  }

 private:
  std::vector<double> records_;
};

}  // namespace

std::string arithmetic_digest(const nn::Network& network, const nn::Loss& loss, nn::TargetForm form,
                              const optim::Optimizer& optimizer, std::int64_t batch, std::int64_t shards,
                              int threads) {
  const std::int64_t floats = network.parameter_floats();
  Buffer<float> parameters(floats), statistics(network.statistic_floats());
  network.initialise(0, parameters.data(), statistics.data());
  const Team team(threads);
  OneShard fold;
  const std::array<std::int64_t, 1> batches = {batch};
  const Range last{shards - 1, shards};  // the one shard that has rows whatever the batch
  nn::TrainingPass pass(network, loss, form, team, {shards, last, {last}}, batches, fold);
  const DrawnRows source(network.model().inputs(), network.model().outputs());
  const auto sums = pass.forward(source, batch, 0, 1, parameters.data(), statistics.data());
  Digest digest;
  digest.add(sums.data(), sums.size_bytes());
  pass.backward([](int) {});
  digest.add(pass.gradient(0), static_cast<std::size_t>(floats) * sizeof(float));

  const std::array<std::int64_t, 1> sizes = {nn::InferencePass::kChunk};
  nn::InferencePass inference(network, loss, form, threads, sizes);
  inference.set(parameters.data(), statistics.data());
  std::vector<float> outputs(static_cast<std::size_t>(sizes[0] * network.model().outputs()));
  const nn::LossSums evaluated = inference.run(source, {0, sizes[0]}, 0, outputs.data());
  digest.add(&evaluated, sizeof(evaluated));
  digest.add(outputs.data(), outputs.size() * sizeof(float));

  std::vector<Buffer<float>> state;
  std::vector<float*> pointers;
  for (std::size_t k = 0; k < optimizer.state_names().size(); ++k)
    pointers.push_back(state.emplace_back(floats).data());
  std::vector<float> gradient(pass.gradient(0), pass.gradient(0) + floats);
  if (optimizer.is_layerwise())
    optimizer.direction(parameters.data(), gradient.data(), pointers, floats, 1, true);
  optimizer.update(parameters.data(), gradient.data(), pointers, floats, 0.01, 1, true);
  digest.add(parameters.data(), static_cast<std::size_t>(floats) * sizeof(float));
  digest.add(statistics.data(), static_cast<std::size_t>(statistics.size()) * sizeof(float));
  for (int i = 1; i <= 64; ++i) {
    const double x = static_cast<double>(i) / 7;
    const std::array<double, 4> values = {std::exp(-x), std::log(x), std::cos(x), std::pow(0.999, x)};
    digest.add(values.data(), sizeof(values));
  }
  return digest.hex();
}

}  // namespace trainer::train
