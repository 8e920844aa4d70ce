// Examples of textbooks and lecture notes, with the numbers printed there.
#include <gtest/gtest.h>

#include <cmath>

#include "one_step.h"

namespace trainer::nn {
namespace {

constexpr double kPrinted = 1.5e-5;  // the printed sources truncate

void expect_printed(const std::vector<double>& values, const std::vector<double>& printed) {
  ASSERT_EQ(values.size(), printed.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(values[i], printed[i], kPrinted) << "number " << i;
}
void expect_printed(const std::vector<float>& values, const std::vector<double>& printed) {
  expect_printed(std::vector<double>(values.begin(), values.end()), printed);
}

/// The 2-2-2 network with sigmoids: n1 takes w1 and w3, n2 takes w2 and w4, y1 takes w5 and w6, y2 takes w7
/// and w8.
class TwoTwoTwo : public testing::Test {
 protected:
  TwoTwoTwo() : net_("dense(2) sigmoid dense(2) sigmoid", "half_squared_error", 2, 2, TargetForm::values) {
    net_.set("00_dense/weight", {0.1f, 0.3f, 0.2f, 0.4f});
    net_.set("00_dense/bias", {0.25f, 0.25f});
    net_.set("02_dense/weight", {0.5f, 0.6f, 0.7f, 0.8f});
    net_.set("02_dense/bias", {0.35f, 0.35f});
  }
  reference::Batch row(float t1 = 0.05f, float t2 = 0.95f) const {
    return one_row({0.1f, 0.5f}, std::vector{t1, t2});
  }

  OneStep net_;
};

TEST_F(TwoTwoTwo, Values) {
  OneStep hidden("dense(2) sigmoid", "mse", 2, 2, TargetForm::values);
  hidden.set("00_dense/weight", net_.get("00_dense/weight"));
  hidden.set("00_dense/bias", net_.get("00_dense/bias"));
  expect_printed(hidden.outputs(row()), {0.6010879, 0.6153838});
  const std::vector<float> y = net_.outputs(row());
  expect_printed(y, {0.7349286, 0.7795539});
  EXPECT_NEAR(net_.run(row()).loss, 0.2490895, kPrinted);
  EXPECT_NEAR(net_.run(row(0.05f, y[1])).loss, 0.2345636,
              kPrinted);  // E1: nothing is left to the other output
  EXPECT_NEAR(net_.run(row(y[0], 0.95f)).loss, 0.0145259, kPrinted);
}

TEST_F(TwoTwoTwo, Gradients) {
  net_.run(row());
  expect_printed(net_.gradient("00_dense/weight"), {0.0011081, 0.0055403, 0.0013402, 0.0067012});
  expect_printed(net_.gradient("00_dense/bias"), {0.0110806, 0.0134028});
  expect_printed(net_.gradient("02_dense/weight"), {0.0802031, 0.0821106, -0.0176065, -0.0180253});
  expect_printed(net_.gradient("02_dense/bias"), {0.1334299, -0.0292911});
}

TEST_F(TwoTwoTwo, GradientsOfTheTwoErrors) {
  const std::vector<float> y = net_.outputs(row());
  net_.run(row(0.05f, y[1]));
  EXPECT_NEAR(net_.gradient("00_dense/weight")[0], 0.0015997, kPrinted);
  net_.run(row(y[0], 0.95f));
  EXPECT_NEAR(net_.gradient("00_dense/weight")[0], -0.0004916, kPrinted);
}

TEST_F(TwoTwoTwo, StepsOfGradientDescent) {
  net_.run(row());
  net_.descend(0.6f);
  expect_printed(net_.get("00_dense/weight"), {0.0993352, 0.2966758, 0.1991959, 0.3959793});
  expect_printed(net_.get("02_dense/weight"), {0.4518781, 0.5507336, 0.7105639, 0.8108152});
  std::map<int, double> error;
  for (int step = 1; step <= 100; ++step) {
    error[step] = net_.run(row()).loss;
    net_.descend(0.6f);
  }
  EXPECT_NEAR(error[1], 0.229214, kPrinted);
  EXPECT_NEAR(error[2], 0.208866, kPrinted);
  EXPECT_NEAR(error[10], 0.080853, kPrinted);
  EXPECT_NEAR(error[100], 0.002138, kPrinted);
}

TEST(Textbook, CostOfOneDigit) {
  OneStep net("dense(10)", "half_squared_error", 10, 10, TargetForm::classes);
  std::vector<float> identity(100);
  for (std::size_t i = 0; i < 10; ++i) identity[i * 11] = 1;
  net.set("00_dense/weight", identity);
  EXPECT_NEAR(net.run(one_row({0.9f, 0.1f, 0.1f, 0.2f, 0.1f, 0.1f, 0, 0, 0, 0}, 0)).loss, 0.045, 1e-8);
}

// f = sigmoid(w1 x1 + w2 x2 + b). Before it stands a layer that changes nothing: its bias has the gradient of
// the inputs. A target of f - 1 makes the derivative of the loss by f one.
TEST(Textbook, SigmoidUnit) {
  OneStep net("dense(2) dense(1) sigmoid", "half_squared_error", 2, 1, TargetForm::values);
  net.set("00_dense/weight", {1, 0, 0, 1});
  net.set("01_dense/weight", {2, -3});
  net.set("01_dense/bias", {-3});
  const std::vector<float> f = net.outputs(one_row({-1, -2}, std::vector{0.0f}));
  expect_printed(f, {0.7310586});
  net.run(one_row({-1, -2}, std::vector{f[0] - 1}));
  expect_printed(net.gradient("01_dense/weight"), {-0.1966119, -0.3932239});
  expect_printed(net.gradient("01_dense/bias"), {0.1966119});
  expect_printed(net.gradient("00_dense/bias"), {0.3932239, -0.5898358});
}

// With logits of zero every probability is 1/5 and the gradient of the logits is 1/5 - q.
TEST(Textbook, LabelThreeOfFiveSmoothed) {
  OneStep net("dense(5, init=zeros)", "softmax_cross_entropy(label_smoothing=0.01)", 1, 5,
              TargetForm::classes);
  EXPECT_NEAR(net.run(one_row({1}, 2)).loss, std::log(5.0), 1e-6);
  const std::vector<double> q = {0.0025, 0.0025, 0.99, 0.0025, 0.0025};
  for (std::size_t k = 0; k < 5; ++k) EXPECT_NEAR(0.2 - net.gradient("00_dense/bias")[k], q[k], 1e-7);
}

}  // namespace
}  // namespace trainer::nn
