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
  EXPECT_EQ(Loss::parse("mae").kind, LossKind::mae);
  EXPECT_FALSE(Loss::parse("mae").sum_outputs);
  EXPECT_TRUE(Loss::parse("mae(outputs=sum)").sum_outputs);
  EXPECT_EQ(Loss::parse("huber").kind, LossKind::huber);
  EXPECT_EQ(Loss::parse("huber").delta, 1);
  EXPECT_EQ(Loss::parse("huber(0.5)").delta, 0.5);
  EXPECT_TRUE(Loss::parse("huber(delta=2, outputs=sum)").sum_outputs);
  EXPECT_EQ(Loss::parse("kl_divergence").kind, LossKind::kl_divergence);
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
  expect_caret([] { Loss::parse("huber(delta=0)"); }, "delta", 12);
  expect_caret([] { Loss::parse("kl_divergence(sum)"); }, "takes no arguments", 14);
  expect_caret([] { Loss::parse("maee"); }, "did you mean mae?", 0);
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
  EXPECT_EQ(joined("dense(10) softmax", "kl_divergence"), "dense");
  EXPECT_EQ(joined("dense(10)", "kl_divergence"), "dense");
  EXPECT_EQ(joined("dense(10) sigmoid", "mse"), "sigmoid");
  EXPECT_EQ(joined("dense(10) softplus", "mae"), "softplus");
  EXPECT_EQ(joined("dense(10) elu", "huber"), "elu");
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
  expect_caret(joining("dense(10) sigmoid", "kl_divergence"), "leave sigmoid out", 10);
  for (const std::string name : {"relu", "leaky_relu", "elu", "gelu", "silu", "softplus", "tanh"})
    for (const std::string loss : {"softmax_cross_entropy", "kl_divergence", "binary_cross_entropy"})
      expect_caret(joining("dense(10) " + name, loss), "leave " + name + " out", 10);
  expect_caret([] { join(Model("softmax", 10, 10), Loss::parse("softmax_cross_entropy")); }, "nothing but",
               0);
}

TEST(JoinedLoss, NeedsTwoOutputsForSoftmax) {
  expect_usage_error([] { OneStep("dense(1)", "softmax_cross_entropy", 2, 1, TargetForm::classes); },
                     "take binary_cross_entropy");
  expect_usage_error([] { OneStep("dense(1)", "kl_divergence", 2, 1, TargetForm::values); },
                     "--loss kl_divergence needs at least 2 outputs");
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
  for (const std::string loss :
       {"softmax_cross_entropy", "softmax_cross_entropy(label_smoothing=0.1)", "binary_cross_entropy", "mse",
        "half_squared_error", "mae", "huber", "kl_divergence"}) {
    EXPECT_TRUE(std::isnan(loss_of_class(loss, {nan, nan, nan}, 1))) << loss;
    EXPECT_EQ(correct_of_class(loss, {nan, nan, nan}, 0), 0) << loss;
  }
  EXPECT_EQ(correct_of_class("binary_cross_entropy", {nan}, 0), 0);
}

TEST(LossValue, OfZeroTargetsIsZeroTimesLog) {
  OneStep net = pass_through("softmax_cross_entropy", 3, TargetForm::values);
  EXPECT_NEAR(net.run(one_row({0, 0, -1e4f}, std::vector{0.5f, 0.5f, 0.0f})).loss, std::log(2.0), 1e-6);
}

double loss_of_values(const std::string& loss, std::vector<float> z, const std::vector<float>& values) {
  return pass_through(loss, static_cast<std::int64_t>(z.size()), TargetForm::values)
      .run(one_row(z, values))
      .loss;
}

TEST(LossValue, IsThatOfTheDefinitions) {
  const std::vector<float> a = {1, -2, 0.5f}, t = {0.25f, 1, 0.5f};  // differences 0.75, -3, 0
  EXPECT_DOUBLE_EQ(loss_of_values("mse", a, t), (0.5625 + 9) / 3);
  EXPECT_DOUBLE_EQ(loss_of_values("mse(outputs=sum)", a, t), 9.5625);
  EXPECT_DOUBLE_EQ(loss_of_values("half_squared_error", a, t), 9.5625 / 2);
  EXPECT_DOUBLE_EQ(loss_of_values("mae", a, t), 3.75 / 3);
  EXPECT_DOUBLE_EQ(loss_of_values("mae(outputs=sum)", a, t), 3.75);
  EXPECT_DOUBLE_EQ(loss_of_values("huber(outputs=sum)", a, t), 0.5625 / 2 + 2.5);
  EXPECT_DOUBLE_EQ(loss_of_values("huber", a, t), (0.5625 / 2 + 2.5) / 3);
  EXPECT_DOUBLE_EQ(loss_of_values("huber(delta=4, outputs=sum)", a, t), 9.5625 / 2);
  EXPECT_DOUBLE_EQ(loss_of_values("huber(delta=0.5, outputs=sum)", a, t), 0.5 * 0.5 + 0.5 * 2.75);
  const std::vector<float> q = {0.5f, 0.25f, 0.25f}, z = {0, 0, 0};
  EXPECT_NEAR(loss_of_values("softmax_cross_entropy", z, q), std::log(3.0), 1e-7);
  EXPECT_NEAR(loss_of_values("kl_divergence", z, q), std::log(3.0) - 1.5 * std::log(2.0), 1e-7);
  EXPECT_NEAR(loss_of_values("kl_divergence", {0, 0, -1e4f}, {0.5f, 0.5f, 0}), 0, 1e-7);
  EXPECT_NEAR(loss_of_class("kl_divergence", {1, 2, 3}, 1),
              loss_of_class("softmax_cross_entropy", {1, 2, 3}, 1), 1e-12);
}

TEST(LossValue, OfKullbackAndLeiblerIsZeroWhereTheDistributionsAreEqual) {
  for (float z = -20; z <= 20; z += 0.7f) {
    const double p = 1 / (1 + std::exp(-static_cast<double>(z)));
    const std::vector<float> q = {static_cast<float>(p), static_cast<float>(1 - p)};
    EXPECT_NEAR(loss_of_values("kl_divergence", {z, 0}, q), 0, 2e-7) << z;
  }
}

TEST(LossGradient, OfAnAbsoluteErrorIsZeroInTheMiddleAndNanOfNan) {
  OneStep net = pass_through("mae(outputs=sum)", 3, TargetForm::values);
  net.run(one_row({1, 2, 3}, std::vector{1.0f, 4.0f, 2.0f}));
  EXPECT_EQ(net.gradient("00_dense/bias"), (std::vector<double>{0, -1, 1}));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::string loss : {"mae", "huber"}) {
    OneStep bad = pass_through(loss, 1, TargetForm::values);
    bad.run(one_row({nan}, std::vector{1.0f}));
    EXPECT_TRUE(std::isnan(bad.gradient("00_dense/bias")[0])) << loss;
  }
}

TEST(RowWeights, MultiplyLossAndGradientAndNotWhoIsRight) {
  for (const std::string loss : {"softmax_cross_entropy", "softmax_cross_entropy(0.1)", "kl_divergence",
                                 "binary_cross_entropy", "mse", "half_squared_error", "mae", "huber"}) {
    OneStep net = pass_through(loss, 3, TargetForm::classes);
    reference::Batch row = one_row({0.3f, 0.9f, -0.4f}, 1);
    const LossSums plain = net.run(row);
    const std::vector<double> gradient = net.gradient("00_dense/weight");
    for (const float weight : {0.0f, 1.0f, 2.0f}) {
      row.weights = {weight};
      const LossSums weighted = net.run(row);
      EXPECT_EQ(weighted.loss, static_cast<double>(weight) * plain.loss) << loss;
      EXPECT_EQ(weighted.correct, plain.correct) << loss;
      for (std::size_t i = 0; i < gradient.size(); ++i)
        EXPECT_EQ(net.gradient("00_dense/weight")[i], static_cast<double>(weight) * gradient[i]) << loss;
    }
  }
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

TEST(Correct, IsNothingWhereAnyOutputIsNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const std::string loss : {"softmax_cross_entropy", "binary_cross_entropy", "mse"})
    for (std::size_t place = 0; place < 3; ++place)
      for (std::int32_t label = 0; label < 3; ++label) {
        std::vector<float> z = {1, 2, 3};
        z[place] = nan;
        EXPECT_EQ(correct_of_class(loss, z, label), 0) << loss << ", nan at " << place;
      }
  for (const std::int32_t label : {0, 1}) {
    EXPECT_EQ(correct_of_class("binary_cross_entropy", {nan}, label), 0);
    EXPECT_EQ(correct_of_class("mse", {nan}, label), 0);
  }
}

TEST(PredictedClass, IsTheFirstOfTheLargestAndNoneOfNan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto of = [](const std::vector<float>& values) {
    return predicted_class(values.data(), static_cast<std::int64_t>(values.size()), 0.5f);
  };
  EXPECT_EQ(of({1, 3, 3}), 1);
  EXPECT_EQ(of({-1, -std::numeric_limits<float>::infinity()}), 0);
  EXPECT_EQ(of({nan, 1, 3}), -1);
  EXPECT_EQ(of({1, nan, 3}), -1);
  EXPECT_EQ(of({1, 3, nan}), -1);
  EXPECT_EQ(of({0.5f}), 1);
  EXPECT_EQ(of({0.25f}), 0);
  EXPECT_EQ(of({nan}), -1);
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
