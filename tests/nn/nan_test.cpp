// A number that is not finite must stay visible: a loss or a gradient that hides it would let a run go on
// with ruined weights.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "one_step.h"

namespace trainer::nn {
namespace {

/// Of the dense layer after one or two layers.
std::string last_weight(const std::string& layers) {
  return layers.find(' ') == std::string::npos ? "02_dense/weight" : "03_dense/weight";
}

class NotFinite : public testing::TestWithParam<std::string> {};

TEST_P(NotFinite, InputsShow) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    OneStep net("dense(3) " + GetParam() + " dense(2)", "softmax_cross_entropy", 2, 2, TargetForm::classes,
                2);
    reference::Batch batch{.rows = 2, .inputs = {1, bad, 2, 3}, .classes = {0, 1}, .samples = {0, 1}};
    const double loss = net.run(batch).loss;
    double gradients = 0;
    for (const std::string& path : {std::string("00_dense/weight"), last_weight(GetParam())})
      for (const double g : net.gradient(path)) gradients += g;
    EXPECT_FALSE(std::isfinite(loss) && std::isfinite(gradients))
        << bad << ": loss " << loss << ", gradients " << gradients;
  }
}

TEST_P(NotFinite, WeightsShow) {
  OneStep net("dense(3) " + GetParam() + " dense(2)", "softmax_cross_entropy", 2, 2, TargetForm::classes, 2);
  std::vector<float> weight = net.get("00_dense/weight");
  weight[0] = std::numeric_limits<float>::quiet_NaN();
  net.set("00_dense/weight", weight);
  reference::Batch batch{.rows = 2, .inputs = {1, 4, 2, 3}, .classes = {0, 1}, .samples = {0, 1}};
  const double loss = net.run(batch).loss;
  double gradients = 0;
  for (const std::string& path : {std::string("00_dense/weight"), last_weight(GetParam())})
    for (const double g : net.gradient(path)) gradients += g;
  EXPECT_FALSE(std::isfinite(loss) && std::isfinite(gradients))
      << "loss " << loss << ", gradients " << gradients;
}

INSTANTIATE_TEST_SUITE_P(Layers, NotFinite,
                         testing::Values("relu", "sigmoid", "tanh", "softmax", "batch_norm", "layer_norm",
                                         "dropout(0.1)", "noise(0.1)", "leaky_relu", "elu", "gelu", "silu",
                                         "softplus", "elu sigmoid", "softplus sigmoid", "residual(relu)"));

}  // namespace
}  // namespace trainer::nn
