// Losses: their text, the rule of output activations, extreme values, who is right.
#include "trainer/nn/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "message_of.h"
#include "one_step.h"

namespace trainer::nn {
namespace {

/// A network that puts out its inputs.
OneStep pass_through(const std::string& loss, std::int64_t width, TargetForm form, std::int64_t rows = 1) {
  OneStep net("dense(outputs)", loss, width, width, form, rows);
  std::vector<float> identity(static_cast<std::size_t>(width * width));
  for (std::int64_t i = 0; i < width; ++i) identity[static_cast<std::size_t>(i * (width + 1))] = 1;
  net.set("00_dense/weight", identity);
  return net;
}

double loss_of_class(const std::string& loss, std::vector<float> z, std::int32_t label) {
  return pass_through(loss, static_cast<std::int64_t>(z.size()), TargetForm::classes)
      .run(one_row(z, label))
      .loss;
}
double correct_of_class(const std::string& loss, std::vector<float> z, std::int32_t label) {
  return pass_through(loss, static_cast<std::int64_t>(z.size()), TargetForm::classes)
      .run(one_row(z, label))
      .correct;
}

TEST(LossText, IsRead) {
  EXPECT_EQ(Loss::parse("mse").kind, LossKind::mse);
  EXPECT_FALSE(Loss::parse("mse").sum_outputs);
  EXPECT_TRUE(Loss::parse("mse(outputs=sum)").sum_outputs);
  EXPECT_TRUE(Loss::parse("binary_cross_entropy(sum)").sum_outputs);
  EXPECT_EQ(Loss::parse("half_squared_error").kind, LossKind::half_squared_error);
  EXPECT_EQ(Loss::parse("softmax_cross_entropy(label_smoothing=0.1)").label_smoothing, 0.1);
  EXPECT_EQ(Loss::parse("softmax_cross_entropy(0.1)").text, "softmax_cross_entropy(0.1)");
}

TEST(LossText, IsRefusedWithACaret) {
  expect_caret([] { Loss::parse("mean_square"); }, "unknown loss \"mean_square\"", 0);
  expect_caret([] { Loss::parse("  binary_crossentropy"); }, "did you mean binary_cross_entropy?", 2);
  expect_caret([] { Loss::parse("mse mse"); }, "expected one loss", 0);
  expect_caret([] { Loss::parse("mse(outputs=median)"); }, "mean, sum", 12);
  expect_caret([] { Loss::parse("softmax_cross_entropy(label_smoothing=1)"); }, "label_smoothing", 38);
  expect_caret([] { Loss::parse("half_squared_error(outputs=sum)"); }, "outputs", 19);
  EXPECT_THROW(Loss::parse(""), Error);
}

TEST(LossText, DefaultsFollowTheTask) {
  EXPECT_EQ(Loss::default_for("classification", 10), "softmax_cross_entropy");
  EXPECT_EQ(Loss::default_for("classification", 1), "binary_cross_entropy");
  EXPECT_EQ(Loss::default_for("regression", 10), "mse");
  EXPECT_EQ(Loss::default_for("autoencoder", 1), "mse");
}

TEST(JoinedLoss, DropsTheActivationThatItComputes) {
  const auto joined = [](const std::string& model, const std::string& loss) {
    return join(Model(model, 4, 10), Loss::parse(loss)).layers().back().name;
  };
  EXPECT_EQ(joined("dense(10) softmax", "softmax_cross_entropy"), "dense");
  EXPECT_EQ(joined("dense(10)", "softmax_cross_entropy"), "dense");
  EXPECT_EQ(joined("dense(10) sigmoid", "binary_cross_entropy"), "dense");
  EXPECT_EQ(joined("dense(10) sigmoid", "mse"), "sigmoid");
  EXPECT_EQ(joined("dense(10) softmax", "half_squared_error"), "softmax");
  EXPECT_EQ(joined("dense(10) batch_norm", "softmax_cross_entropy"), "batch_norm");
}

TEST(JoinedLoss, RefusesAnyOtherActivation) {
  const auto joining = [](const std::string& model, const std::string& loss) {
    return [=] { join(Model(model, 4, 10), Loss::parse(loss)); };
  };
  expect_caret(joining("dense(10) relu", "softmax_cross_entropy"), "leave relu out", 10);
  expect_caret(joining("dense(10) sigmoid", "softmax_cross_entropy"), "leave sigmoid out", 10);
  expect_caret(joining("dense(10) softmax", "binary_cross_entropy"), "leave softmax out", 10);
  expect_caret([] { join(Model("softmax", 10, 10), Loss::parse("softmax_cross_entropy")); }, "nothing but",
               0);
}

TEST(JoinedLoss, NeedsTwoOutputsForSoftmax) {
  expect_usage_error([] { OneStep("dense(1)", "softmax_cross_entropy", 2, 1, TargetForm::classes); },
                     "take binary_cross_entropy");
}

TEST(LossValue, IsStableForExtremeLogits) {
  EXPECT_NEAR(loss_of_class("softmax_cross_entropy", {1e4f, -1e4f, 0}, 0), 0, 1e-6);
  EXPECT_NEAR(loss_of_class("softmax_cross_entropy", {1e4f, -1e4f, 0}, 1), 2e4, 1e-2);
  EXPECT_NEAR(loss_of_class("softmax_cross_entropy", {1e30f, -1e30f}, 1) / 2e30, 1, 1e-6);
  EXPECT_NEAR(loss_of_class("binary_cross_entropy", {1e4f}, 1), 0, 1e-6);
  EXPECT_NEAR(loss_of_class("binary_cross_entropy", {1e4f}, 0), 1e4, 1e-2);
  EXPECT_NEAR(loss_of_class("binary_cross_entropy", {-1e4f}, 0), 0, 1e-6);
  EXPECT_NEAR(loss_of_class("binary_cross_entropy", {-1e4f}, 1), 1e4, 1e-2);
}

TEST(LossValue, OfBinaryCrossEntropyIsAccurateEverywhere) {
  for (float z = -30; z <= 30; z += 0.37f) {
    const double exact = z > 0 ? z + std::log1p(std::exp(-static_cast<double>(z)))
                               : std::log1p(std::exp(static_cast<double>(z)));
    EXPECT_NEAR(loss_of_class("binary_cross_entropy", {z}, 0) / exact, 1, 4 * 0x1p-23) << z;
  }
}

TEST(LossValue, GradientsStayFiniteForExtremeLogits) {
  for (const std::string loss : {"softmax_cross_entropy", "binary_cross_entropy"}) {
    OneStep net = pass_through(loss, 2, TargetForm::classes);
    net.run(one_row({1e30f, -1e30f}, 1));
    EXPECT_NEAR(std::abs(net.gradient("00_dense/bias")[0]), loss[0] == 's' ? 1 : 0.5, 1e-6) << loss;
    EXPECT_NEAR(std::abs(net.gradient("00_dense/bias")[1]), loss[0] == 's' ? 1 : 0.5, 1e-6) << loss;
  }
}

TEST(LossValue, OfNanIsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::string loss : {"softmax_cross_entropy", "softmax_cross_entropy(label_smoothing=0.1)",
                                 "binary_cross_entropy", "mse", "half_squared_error"}) {
    EXPECT_TRUE(std::isnan(loss_of_class(loss, {nan, nan, nan}, 1))) << loss;
    EXPECT_EQ(correct_of_class(loss, {nan, nan, nan}, 0), 0) << loss;
  }
  EXPECT_EQ(correct_of_class("binary_cross_entropy", {nan}, 0), 0);
}

TEST(LossValue, OfZeroTargetsIsZeroTimesLog) {
  OneStep net = pass_through("softmax_cross_entropy", 3, TargetForm::values);
  EXPECT_NEAR(net.run(one_row({0, 0, -1e4f}, std::vector{0.5f, 0.5f, 0.0f})).loss, std::log(2.0), 1e-6);
}

TEST(Correct, IsTheLargestOutputAndOnATieTheFirst) {
  for (const std::string loss :
       {"softmax_cross_entropy", "binary_cross_entropy", "mse", "half_squared_error"}) {
    EXPECT_EQ(correct_of_class(loss, {0.1f, 0.7f, 0.2f}, 1), 1) << loss;
    EXPECT_EQ(correct_of_class(loss, {0.1f, 0.7f, 0.2f}, 2), 0) << loss;
    EXPECT_EQ(correct_of_class(loss, {0.1f, 0.4f, 0.4f}, 1), 1) << loss;
    EXPECT_EQ(correct_of_class(loss, {0.1f, 0.4f, 0.4f}, 2), 0) << loss;
  }
}

TEST(Correct, HasItsThresholdAtOneHalfForOneOutput) {
  EXPECT_EQ(correct_of_class("binary_cross_entropy", {0}, 1), 1);  // p = 1/2
  EXPECT_EQ(correct_of_class("binary_cross_entropy", {0}, 0), 0);
  EXPECT_EQ(correct_of_class("binary_cross_entropy", {-0.1f}, 0), 1);
  EXPECT_EQ(correct_of_class("mse", {0.5f}, 1), 1);
  EXPECT_EQ(correct_of_class("mse", {0.49f}, 1), 0);
  EXPECT_EQ(correct_of_class("mse", {0.49f}, 0), 1);
}

TEST(Correct, ComparesWithTheLargestShareOfADistribution) {
  OneStep net = pass_through("softmax_cross_entropy", 3, TargetForm::values);
  EXPECT_EQ(net.run(one_row({0.1f, 0.7f, 0.2f}, std::vector{0.3f, 0.4f, 0.3f})).correct, 1);
  EXPECT_EQ(net.run(one_row({0.1f, 0.7f, 0.2f}, std::vector{0.4f, 0.2f, 0.4f})).correct, 0);
}

TEST(Outputs, AreActivated) {
  const auto row = one_row({1, 2, 3}, 0);
  const auto outputs = [&](const std::string& loss) {
    return pass_through(loss, 3, TargetForm::classes).outputs(row);
  };
  const double total = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  for (std::size_t k = 0; k < 3; ++k) {
    const auto z = static_cast<double>(k + 1);
    EXPECT_NEAR(static_cast<double>(outputs("softmax_cross_entropy")[k]), std::exp(z) / total, 1e-6);
    EXPECT_NEAR(static_cast<double>(outputs("binary_cross_entropy")[k]), 1 / (1 + std::exp(-z)), 1e-6);
    EXPECT_EQ(static_cast<double>(outputs("mse")[k]), z);
  }
}

}  // namespace
}  // namespace trainer::nn
