// The layout of a network's parameters and their first values.
#include "trainer/nn/network.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "message_of.h"
#include "trainer/core/random.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::nn {
namespace {

constexpr const char* kModel =
    "dense(128) batch_norm relu residual(dense(33) relu dense(20, bias=false) batch_norm) dropout(0.1) "
    "dense(outputs)";
Network make_network() { return Network(Model(kModel, 48, 10), 1); }

TEST(Layout, ListsTheTensorsOfTheCheckpoint) {
  const Network network = make_network();
  std::vector<std::string> names;
  for (const Tensor& tensor : network.parameters()) {
    std::string name = tensor.path;
    for (const std::int64_t extent : tensor.shape) name += " " + std::to_string(extent);
    names.push_back(name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "00_dense/weight 128 48", "00_dense/bias 128", "01_batch_norm/scale 128",
                       "01_batch_norm/shift 128", "03_residual/projection/weight 20 128",
                       "03_residual/00_dense/weight 33 128", "03_residual/00_dense/bias 33",
                       "03_residual/02_dense/weight 20 33", "03_residual/03_batch_norm/scale 20",
                       "03_residual/03_batch_norm/shift 20", "05_dense/weight 10 20", "05_dense/bias 10"}));
  EXPECT_EQ(network.parameter_count(),
            128 * 48 + 3 * 128 + 20 * 128 + 33 * 128 + 33 + 20 * 33 + 2 * 20 + 10 * 20 + 10);
  std::vector<std::string> statistics;
  for (const Tensor& tensor : network.statistics()) statistics.push_back(tensor.path);
  EXPECT_EQ(statistics,
            (std::vector<std::string>{"01_batch_norm/running_mean", "01_batch_norm/running_variance",
                                      "03_residual/03_batch_norm/running_mean",
                                      "03_residual/03_batch_norm/running_variance"}));
}

TEST(Layout, AlignsTensorsAndKeepsThemApart) {
  const Network network = make_network();
  std::int64_t end = 0;
  for (const Tensor& tensor : network.parameters()) {
    EXPECT_EQ(tensor.offset % 16, 0) << tensor.path;
    EXPECT_GE(tensor.offset, end) << tensor.path;
    EXPECT_EQ(tensor.size, std::accumulate(tensor.shape.begin(), tensor.shape.end(), std::int64_t{1},
                                           std::multiplies<>()));
    end = tensor.offset + tensor.size;
  }
  EXPECT_LE(end, network.parameter_floats());
  EXPECT_LT(network.parameter_floats() - end, 16);
}

TEST(Layout, LayersStandInTheOrderOfBackward) {
  const Network network = make_network();
  std::vector<std::string> paths;
  std::int64_t begin = network.parameter_floats();
  std::vector<int> tensors;
  for (const ParameterLayer& layer : network.layers()) {
    paths.push_back(layer.path);
    EXPECT_EQ(layer.offset + layer.size, begin) << layer.path;  // contiguous, from the end to the start
    begin = layer.offset;
    for (const int t : layer.tensors) {
      const Tensor& tensor = network.parameters()[static_cast<std::size_t>(t)];
      EXPECT_EQ(tensor.path.rfind(layer.path + "/", 0), 0u);
      EXPECT_TRUE(layer.offset <= tensor.offset && tensor.offset + tensor.size <= layer.offset + layer.size);
      tensors.push_back(t);
    }
  }
  EXPECT_EQ(begin, 0);
  EXPECT_EQ(tensors.size(), network.parameters().size());
  EXPECT_EQ(paths, (std::vector<std::string>{"05_dense", "03_residual/03_batch_norm", "03_residual/02_dense",
                                             "03_residual/00_dense", "03_residual/projection",
                                             "01_batch_norm", "00_dense"}));
}

TEST(Layout, GoesToTheCheckpointAndBack) {
  const Network network = make_network();
  std::vector<float> flat(static_cast<std::size_t>(network.parameter_floats()));
  std::map<std::string, std::vector<float>> checkpoint;
  float next = 1;
  for (const Tensor& tensor : network.parameters()) {
    auto& values = checkpoint[tensor.path];
    for (std::int64_t i = 0; i < tensor.size; ++i) values.push_back(next++);
    Network::from_checkpoint(tensor, values, flat.data());
  }
  for (const Tensor& tensor : network.parameters())
    EXPECT_EQ(Network::to_checkpoint(tensor, flat.data()), checkpoint.at(tensor.path)) << tensor.path;
  for (const Tensor& tensor : network.parameters()) {
    if (!tensor.is_dense_weight()) continue;
    const std::int64_t outputs = tensor.shape[0], inputs = tensor.shape[1], panel = tensor.panel;
    EXPECT_EQ(outputs % panel, 0);
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t i = 0; i < inputs; ++i)
        EXPECT_EQ(
            flat[static_cast<std::size_t>(tensor.offset + ((o / panel) * inputs + i) * panel + o % panel)],
            checkpoint.at(tensor.path)[static_cast<std::size_t>(o * inputs + i)]);
  }
}

TEST(Layout, UsesPanelsWhereTheKernelsWantThem) {
  const Network network = make_network();
  const bool wide_vectors = onednn_isa().rfind("AVX512", 0) == 0;
  EXPECT_EQ(network.parameters()[0].panel, wide_vectors ? 64 : 8) << onednn_isa();
}

TEST(Layout, RefusesValuesOfTheWrongSize) {
  const Network network = make_network();
  std::vector<float> flat(static_cast<std::size_t>(network.parameter_floats()));
  EXPECT_THROW(Network::from_checkpoint(network.parameters()[0], std::vector<float>(3), flat.data()), Error);
}

TEST(Layout, RefusesNetsThatCannotBeTrainedOrAreAbsurd) {
  expect_usage_error([] { Network(Model("relu", 3, 3), 1); }, "nothing in it can be trained");
  expect_usage_error([] { Network(Model("dense(16777216) dense(16777216) dense(outputs)", 3, 3), 1); },
                     "narrower");
}

// ---- first values

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};

Moments moments_of(const std::string& init, std::int64_t inputs, std::int64_t outputs) {
  const Network network(Model("dense(" + std::to_string(outputs) + ", init=" + init + ")", inputs, outputs),
                        1);
  std::vector<float> flat(static_cast<std::size_t>(network.parameter_floats()));
  network.initialise(7, flat.data(), nullptr);
  const std::vector<float> values = Network::to_checkpoint(network.parameters()[0], flat.data());
  Moments moments;
  const auto count = static_cast<double>(values.size());
  for (const float v : values) moments.mean += static_cast<double>(v) / count;
  for (const float v : values)
    moments.deviation += std::pow(static_cast<double>(v) - moments.mean, 2) / count;
  moments.deviation = std::sqrt(moments.deviation);
  for (const float v : values) moments.largest = std::max(moments.largest, std::abs(static_cast<double>(v)));
  return moments;
}

void expect_moments(const Moments& moments, double deviation, double count) {
  EXPECT_NEAR(moments.mean, 0, 5 * deviation / std::sqrt(count));
  EXPECT_NEAR(moments.deviation / deviation, 1, 5 / std::sqrt(2 * count));
}

TEST(FirstValues, HaveTheMomentsOfTheirInitialiser) {
  constexpr std::int64_t kInputs = 80, kOutputs = 192;
  constexpr double kCount = kInputs * kOutputs;
  expect_moments(moments_of("he", kInputs, kOutputs), std::sqrt(2.0 / kInputs), kCount);
  EXPECT_GT(moments_of("he", kInputs, kOutputs).largest,
            3 * std::sqrt(2.0 / kInputs));  // normal, not uniform
  const double bound = std::sqrt(6.0 / (kInputs + kOutputs));
  expect_moments(moments_of("glorot", kInputs, kOutputs), bound / std::sqrt(3.0), kCount);
  EXPECT_LE(moments_of("glorot", kInputs, kOutputs).largest, bound);
  EXPECT_GT(moments_of("glorot", kInputs, kOutputs).largest, 0.99 * bound);
  expect_moments(moments_of("normal(0.3)", kInputs, kOutputs), 0.3, kCount);
  expect_moments(moments_of("uniform(0.3)", kInputs, kOutputs), 0.3 / std::sqrt(3.0), kCount);
  EXPECT_EQ(moments_of("zeros", kInputs, kOutputs).largest, 0);
  EXPECT_NEAR(moments_of("constant(-0.25)", kInputs, kOutputs).mean, -0.25, 1e-9);
  EXPECT_NEAR(moments_of("constant(-0.25)", kInputs, kOutputs).deviation, 0, 1e-9);
}

TEST(FirstValues, OfEverythingButWeightsAreNeutral) {
  const Network network = make_network();
  std::vector<float> parameters(static_cast<std::size_t>(network.parameter_floats()), 9);
  std::vector<float> statistics(static_cast<std::size_t>(network.statistic_floats()), 9);
  network.initialise(7, parameters.data(), statistics.data());
  for (const Tensor& tensor : network.parameters()) {
    if (tensor.is_dense_weight()) continue;
    const float expected = tensor.kind == Tensor::Kind::scale ? 1 : 0;
    EXPECT_EQ(Network::to_checkpoint(tensor, parameters.data()),
              std::vector<float>(static_cast<std::size_t>(tensor.size), expected));
  }
  for (const Tensor& tensor : network.statistics()) {
    const float expected = tensor.kind == Tensor::Kind::running_variance ? 1 : 0;
    EXPECT_EQ(Network::to_checkpoint(tensor, statistics.data()),
              std::vector<float>(static_cast<std::size_t>(tensor.size), expected));
  }
}

/// Row o of tensor t is drawn from the stream (seed, initialise, t; o): the meaning of a seed must not
/// change, nor depend on how weights are laid out in memory.
TEST(FirstValues, AreAPureFunctionOfSeedTensorAndElement) {
  for (const std::uint64_t seed : {1, 2, 123'456'789}) {
    const Network network = make_network();
    std::vector<float> flat(static_cast<std::size_t>(network.parameter_floats()));
    std::vector<float> statistics(static_cast<std::size_t>(network.statistic_floats()));
    network.initialise(seed, flat.data(), statistics.data());
    for (std::size_t t = 0; t < network.parameters().size(); ++t) {
      const Tensor& tensor = network.parameters()[t];
      if (!tensor.is_dense_weight()) continue;
      const std::vector<float> values = Network::to_checkpoint(tensor, flat.data());
      const RandomKey key(seed, Purpose::initialise, 0, static_cast<std::uint32_t>(t));
      const bool he = tensor.initialiser.kind == Initialiser::Kind::he;
      const double bound =
          std::sqrt((he ? 2.0 : 6.0) / static_cast<double>(tensor.shape[1] + (he ? 0 : tensor.shape[0])));
      std::size_t i = 0;
      for (std::int64_t o = 0; o < tensor.shape[0]; ++o) {
        RandomStream row(key, static_cast<std::uint64_t>(o));
        for (std::int64_t c = 0; c < tensor.shape[1]; ++c, ++i)
          ASSERT_EQ(values[i],
                    static_cast<float>(he ? bound * row.normal() : bound * (2 * row.uniform() - 1)))
              << tensor.path << " " << o << " " << c;
      }
    }
  }
}

TEST(FirstValues, DifferBySeedAndByLayer) {
  const Network network(Model("dense(8) tanh dense(8) tanh dense(8)", 8, 8), 1);
  std::vector<float> one(static_cast<std::size_t>(network.parameter_floats())), two = one;
  network.initialise(1, one.data(), nullptr);
  network.initialise(2, two.data(), nullptr);
  const auto weight = [&](std::size_t t, const std::vector<float>& flat) {
    return Network::to_checkpoint(network.parameters()[t], flat.data());
  };
  EXPECT_NE(weight(0, one), weight(0, two));
  EXPECT_NE(weight(0, one), weight(2, one));
  EXPECT_NE(weight(2, one), weight(4, one));
}

}  // namespace
}  // namespace trainer::nn
