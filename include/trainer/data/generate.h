#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "trainer/data/data_set.h"

namespace trainer::data {

struct Recipe;

/// A made-up data set, `generate:NAME(...)`. Row i is a pure function of (seed, i). Below, c is the row's
/// class, i mod classes; u a uniform number on [0, 1) and g a standard normal number, every one a fresh draw.
/// Common arguments and their defaults: rows=1000, seed=0, noise=0: the standard deviation of normal noise
/// added, last, to every input of a classification and to every target of a regression.
///
///     circle     r (cos a, sin a) with a = 2 pi u; r = 2.5 u for class 0, 3.5 + 1.5 u for class 1
///     xor        two inputs 5 (2u - 1), each moved 0.3 away from 0; class 1 if their signs differ, else 0
///     gauss      (2, 2) for class 0, (-2, -2) for class 1; noise=1
///     spiral(classes=2)  5 u (sin a, cos a) with a = 2 pi (1.75 u + c/classes), both of the same u
///     plane      two inputs 5 (2u - 1); target (x1 + x2)/10
///     gaussian   two inputs 5 (2u - 1); target the sum of s exp(-d^2/2), d the distance to the bumps at
///     (-4, 2.5), (0, 2.5), (4, 2.5)
///                with s = 1, -1, 1 and at (-4, -2.5), (0, -2.5), (4, -2.5) with s = -1, 1, -1
///     sine       one input pi (2u - 1); target sin x
///     blobs(features=2, classes=3)  the centre of class c, whose coordinates 5 (2u - 1) depend on the seed
///     only; noise=1 teacher(features=16, hidden=32, classes=10 or outputs=K)  inputs g; t = W2 tanh(W1 x +
///     b), where W1 = g/sqrt(features),
///                b = g/2, W2 = g/sqrt(hidden) depend on the seed only; outputs=K: the K values of t;
///                classes=C: the place of the greatest of C
///     table(xor|and|or)  (0, 0), (0, 1), (1, 0), (1, 1), repeated; the truth value as class 0 or 1; rows=4
class Generator {
 public:
  /// `text` is what follows `generate:`. Throws Error(usage) with a caret for unknown names (naming the
  /// nearest) and arguments.
  explicit Generator(const std::string& text);

  const std::string& name() const { return name_; }  ///< "circle"
  std::int64_t rows() const { return rows_; }
  std::int64_t features() const;
  TargetKind kind() const;
  std::int64_t targets() const;  ///< number of classes, or columns of values

  /// Rows [begin, begin + count): inputs [count, features], and classes [count] or, for a regression, values
  /// [count, targets]; the other pointer is not used, and what is null is not written. Thread-safe.
  void fill(std::int64_t begin, std::int64_t count, float* inputs, std::int32_t* classes,
            float* values) const;

 private:
  std::string name_;
  std::int64_t rows_ = 0;
  double noise_ = 0;
  std::uint64_t seed_ = 0;
  std::shared_ptr<const Recipe> recipe_;
};

}  // namespace trainer::data
