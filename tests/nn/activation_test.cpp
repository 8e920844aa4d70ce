// Activations against their definitions, value by value, also where formulas cancel.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "one_step.h"

namespace trainer::nn {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double normal_share(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
double normal_density(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

struct Activation {
  std::string text;
  std::function<double(double)> value, slope;
  /// What value and slope are uncertain by beside their own size, in units of 2^-23.
  std::function<double(double)> value_uncertainty = [](double) { return 0.0; };
  double slope_uncertainty = 0;
};

const std::vector<Activation> kActivations = {
    {"relu", [](double x) { return x > 0 ? x : 0; }, [](double x) { return x > 0 ? 1 : 0; }},
    {"leaky_relu", [](double x) { return x > 0 ? x : 0.01 * x; }, [](double x) { return x > 0 ? 1 : 0.01; }},
    {"leaky_relu(0.3)", [](double x) { return x > 0 ? x : 0.3 * x; },
     [](double x) { return x > 0 ? 1 : 0.3; }},
    {"elu(alpha=1.3)", [](double x) { return x > 0 ? x : 1.3 * std::expm1(x); },
     [](double x) { return x > 0 ? 1 : 1.3 * std::exp(x); }, [](double) { return 0.0; }, 1.3},
    {"gelu", [](double x) { return x * normal_share(x); },
     [](double x) { return normal_share(x) + x * normal_density(x); }, [](double x) { return std::abs(x); },
     1},
    {"silu", [](double x) { return x * sigmoid(x); },
     [](double x) { return sigmoid(x) * (1 + x * (1 - sigmoid(x))); }, [](double) { return 0.0; }, 1},
    {"softplus", [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }, sigmoid},
    {"sigmoid", sigmoid, [](double x) { return sigmoid(x) * sigmoid(-x); }, [](double) { return 0.0; }, 1},
    {"tanh", [](double x) { return std::tanh(x); },
     [](double x) { return 1 / (std::cosh(x) * std::cosh(x)); }, [](double) { return 0.0; }, 1}};

TEST(Activations, AreAccurateEverywhere) {
  for (const Activation& f : kActivations) {
    OneStep net("dense(1) " + f.text, "mse", 1, 1, TargetForm::values);
    net.set("00_dense/weight", {1});
    for (const double magnitude : {1e-6, 1e-4, 1e-2, 0.3, 0.49, 0.51, 1.0, 3.0, 8.0, 20.0, 60.0}) {
      for (const float x : {static_cast<float>(magnitude), static_cast<float>(-magnitude)}) {
        const auto exact = static_cast<double>(x);
        const auto row = one_row({x}, std::vector{0.0f});
        constexpr double kUnit = 4 * 0x1p-23;
        const double value = f.value(exact);
        EXPECT_NEAR(static_cast<double>(net.outputs(row)[0]), value,
                    kUnit * (std::abs(value) + f.value_uncertainty(exact)) + 1e-30)
            << f.text << " of " << x;
        // The loss is y^2: its slope by the bias is 2 y f'(x).
        const auto far = one_row({x}, std::vector{static_cast<float>(value) - 1.0f});
        net.run(far);
        const double slope = f.slope(exact);
        EXPECT_NEAR(net.gradient("00_dense/bias")[0] / 2, slope,
                    kUnit * (std::abs(slope) * (2 + std::abs(value)) + f.slope_uncertainty) + 1e-30)
            << f.text << ", slope at " << x;
      }
    }
  }
}

TEST(Activations, HaveTheSlopeOfTheNegativeSideAtZero) {
  const std::vector<std::pair<std::string, double>> slopes = {{"relu", 0},         {"leaky_relu(0.25)", 0.25},
                                                              {"elu(0.75)", 0.75}, {"gelu", 0.5},
                                                              {"silu", 0.5},       {"softplus", 0.5}};
  for (const auto& [text, slope] : slopes) {
    OneStep net("dense(1) " + text, "mae", 1, 1, TargetForm::values);
    net.run(one_row({0}, std::vector{-1.0f}));
    EXPECT_NEAR(net.gradient("00_dense/bias")[0], slope, 1e-6) << text;
  }
}

}  // namespace
}  // namespace trainer::nn
