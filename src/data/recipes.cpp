#include "recipes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;
/// RandomKey's `a` of what belongs to the whole data set, not to a row (rows use 0).
constexpr std::uint64_t kFixed = 1;

/// Uniform on [-5, 5).
double across(RandomStream& draws) { return 5 * (2 * draws.uniform() - 1); }

struct Circle final : Recipe {
  void make(std::int64_t row, RandomStream& draws, double* inputs, double* out) const override {
    const double radius = row % 2 == 0 ? 2.5 * draws.uniform() : 3.5 + 1.5 * draws.uniform();
    const double angle = kTurn * draws.uniform();
    inputs[0] = radius * std::cos(angle);
    inputs[1] = radius * std::sin(angle);
    out[0] = static_cast<double>(row % 2);
  }
};

struct Xor final : Recipe {
  void make(std::int64_t, RandomStream& draws, double* inputs, double* out) const override {
    for (int j = 0; j < 2; ++j) {
      const double x = across(draws);
      inputs[j] = x + (x < 0 ? -0.3 : 0.3);
    }
    out[0] = (inputs[0] < 0) != (inputs[1] < 0) ? 1 : 0;
  }
};

struct Gauss final : Recipe {
  void make(std::int64_t row, RandomStream&, double* inputs, double* out) const override {
    inputs[0] = inputs[1] = row % 2 == 0 ? 2 : -2;
    out[0] = static_cast<double>(row % 2);
  }
};

struct Spiral final : Recipe {
  void make(std::int64_t row, RandomStream& draws, double* inputs, double* out) const override {
    const std::int64_t arm = row % targets;
    const double along = draws.uniform();
    const double angle = kTurn * (1.75 * along + static_cast<double>(arm) / static_cast<double>(targets));
    inputs[0] = 5 * along * std::sin(angle);
    inputs[1] = 5 * along * std::cos(angle);
    out[0] = static_cast<double>(arm);
  }
};

struct Plane final : Recipe {
  void make(std::int64_t, RandomStream& draws, double* inputs, double* out) const override {
    for (int j = 0; j < 2; ++j) inputs[j] = across(draws);
    out[0] = (inputs[0] + inputs[1]) / 10;
  }
};

struct Gaussian final : Recipe {
  void make(std::int64_t, RandomStream& draws, double* inputs, double* out) const override {
    for (int j = 0; j < 2; ++j) inputs[j] = across(draws);
    out[0] = 0;
    double sign = 1;
    for (const double y : {2.5, -2.5}) {
      for (const double x : {-4.0, 0.0, 4.0}) {
        const double dx = inputs[0] - x;
        const double dy = inputs[1] - y;
        out[0] += sign * std::exp(-(dx * dx + dy * dy) / 2);
        sign = -sign;
      }
    }
  }
};

struct Sine final : Recipe {
  void make(std::int64_t, RandomStream& draws, double* inputs, double* out) const override {
    inputs[0] = std::numbers::pi * (2 * draws.uniform() - 1);
    out[0] = std::sin(inputs[0]);
  }
};

struct Table final : Recipe {
  void make(std::int64_t row, RandomStream&, double* inputs, double* out) const override {
    const auto place = static_cast<std::size_t>(row % 4);
    inputs[0] = static_cast<double>(place / 2);
    inputs[1] = static_cast<double>(place % 2);
    out[0] = truth[place];
  }
  std::array<double, 4> truth{};
};

struct Blobs final : Recipe {
  void make(std::int64_t row, RandomStream&, double* inputs, double* out) const override {
    const std::int64_t c = row % targets;
    std::copy_n(centres.data() + c * features, features, inputs);
    out[0] = static_cast<double>(c);
  }
  std::vector<double> centres;  ///< [classes, features]
};

struct Teacher final : Recipe {
  void make(std::int64_t, RandomStream& draws, double* inputs, double* out) const override {
    std::vector<double> sums = bias;
    for (std::int64_t j = 0; j < features; ++j) {
      inputs[j] = draws.normal();
      const double* const weights = first.data() + j * hidden;
      for (std::int64_t k = 0; k < hidden; ++k) sums[static_cast<std::size_t>(k)] += weights[k] * inputs[j];
    }
    std::fill_n(out, targets, 0.0);
    for (std::int64_t k = 0; k < hidden; ++k) {
      const double activated = std::tanh(sums[static_cast<std::size_t>(k)]);
      for (std::int64_t o = 0; o < targets; ++o)
        out[o] += second[static_cast<std::size_t>(k * targets + o)] * activated;
    }
    if (kind == TargetKind::classes) out[0] = static_cast<double>(std::max_element(out, out + targets) - out);
  }
  std::int64_t hidden = 0;
  std::vector<double> first;   ///< [features, hidden]
  std::vector<double> bias;    ///< [hidden]
  std::vector<double> second;  ///< [hidden, targets]
};

/// `count` normal numbers times `factor`, from stream `which` of the seed's fixed numbers.
std::vector<double> normals(std::uint64_t seed, std::uint64_t which, std::int64_t count, double factor) {
  RandomStream draws(RandomKey(seed, Purpose::generate, kFixed), which);
  std::vector<double> out(static_cast<std::size_t>(count));
  for (double& value : out) value = factor * draws.normal();
  return out;
}

template <class T>
RecipePointer regression_of(std::int64_t features) {
  auto recipe = std::make_unique<T>();
  recipe->features = features;
  recipe->kind = TargetKind::values;
  recipe->targets = 1;
  return recipe;
}

}  // namespace

RecipePointer circle_recipe() { return std::make_unique<Circle>(); }
RecipePointer xor_recipe() { return std::make_unique<Xor>(); }
RecipePointer gauss_recipe() { return std::make_unique<Gauss>(); }
RecipePointer plane_recipe() { return regression_of<Plane>(2); }
RecipePointer gaussian_recipe() { return regression_of<Gaussian>(2); }
RecipePointer sine_recipe() { return regression_of<Sine>(1); }

RecipePointer spiral_recipe(std::int64_t classes) {
  auto recipe = std::make_unique<Spiral>();
  recipe->targets = classes;
  return recipe;
}

RecipePointer table_recipe(const std::string& operation) {
  auto recipe = std::make_unique<Table>();
  if (operation == "and") {
    recipe->truth = {0, 0, 0, 1};
  } else if (operation == "or") {
    recipe->truth = {0, 1, 1, 1};
  } else {
    require(operation == "xor", ErrorKind::internal, "no table is called ", operation);
    recipe->truth = {0, 1, 1, 0};
  }
  return recipe;
}

RecipePointer blobs_recipe(std::int64_t features, std::int64_t classes, std::uint64_t seed) {
  auto recipe = std::make_unique<Blobs>();
  recipe->features = features;
  recipe->targets = classes;
  RandomStream draws(RandomKey(seed, Purpose::generate, kFixed), 0);
  recipe->centres.resize(static_cast<std::size_t>(features * classes));
  for (double& coordinate : recipe->centres) coordinate = across(draws);
  return recipe;
}

RecipePointer teacher_recipe(std::int64_t features, std::int64_t hidden, TargetKind kind,
                             std::int64_t targets, std::uint64_t seed) {
  auto recipe = std::make_unique<Teacher>();
  recipe->features = features;
  recipe->kind = kind;
  recipe->targets = targets;
  recipe->hidden = hidden;
  recipe->first = normals(seed, 0, features * hidden, 1 / std::sqrt(static_cast<double>(features)));
  recipe->bias = normals(seed, 1, hidden, 0.5);
  recipe->second = normals(seed, 2, hidden * targets, 1 / std::sqrt(static_cast<double>(hidden)));
  return recipe;
}

}  // namespace trainer::data
