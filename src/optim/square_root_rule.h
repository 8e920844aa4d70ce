#pragma once

#include <string>

#include "trainer/optim/optimizer.h"

namespace trainer::optim {

/// The square-root rule of Malladi et al. 2022 for a batch `ratio` times as large: the averages forget as
/// much in a sample as before.
class SquareRootRule {
 public:
  SquareRootRule(const Optimizer& optimizer, double ratio) : optimizer_(optimizer), ratio_(ratio) {}

  /// 1 - ratio * (1 - beta), as text. Throws Error(usage) where that is not above 0.
  std::string beta(const char* name, double value) const;

 private:
  const Optimizer& optimizer_;
  double ratio_;
};

}  // namespace trainer::optim
