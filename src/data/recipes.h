#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "trainer/core/random.h"
#include "trainer/data/data_set.h"

namespace trainer::data {

/// The formula of one made-up data set, without its noise.
struct Recipe {
  std::int64_t features = 2;
  TargetKind kind = TargetKind::classes;
  std::int64_t targets = 2;

  virtual ~Recipe() = default;
  /// One row: inputs [features], and out [targets] of a regression or out[0] = the class. `row` picks
  /// the class where classes take turns. `draws` is the row's own stream.
  virtual void make(std::int64_t row, RandomStream& draws, double* inputs, double* out) const = 0;
};

using RecipePointer = std::unique_ptr<const Recipe>;

RecipePointer circle_recipe();
RecipePointer xor_recipe();
RecipePointer gauss_recipe();
RecipePointer spiral_recipe(std::int64_t classes);
RecipePointer plane_recipe();
RecipePointer gaussian_recipe();
RecipePointer sine_recipe();
RecipePointer table_recipe(const std::string& operation);
RecipePointer blobs_recipe(std::int64_t features, std::int64_t classes, std::uint64_t seed);
/// `kind` classes: `targets` is their number; values: the number of outputs.
RecipePointer teacher_recipe(std::int64_t features, std::int64_t hidden, TargetKind kind,
                             std::int64_t targets, std::uint64_t seed);

}  // namespace trainer::data
