#pragma once

#include <memory>

#include "trainer/core/grammar.h"
#include "trainer/optim/schedule.h"

namespace trainer::optim {

class Schedule::Curve {
 public:
  virtual ~Curve() = default;
  /// The share of the peak rate at `step` >= 1.
  virtual double factor(std::int64_t step, const State& state) const = 0;
  virtual bool is_adaptive() const { return false; }
  virtual void observe(State& /*state*/, double /*value*/, bool /*larger_is_better*/) const {}
};

/// What a curve runs over.
struct CurveSpan {
  std::int64_t horizon = 0;
  bool horizon_given = false;  ///< by horizon=
  std::int64_t steps_per_epoch = 1;
};

/// The curve that the only term of `source` names; a new schedule is a class, a function and a line of the
/// table in curves.cpp. `term` is that term without its horizon.
std::shared_ptr<const Schedule::Curve> make_curve(const ParsedText& source, const Term& term,
                                                  const CurveSpan& span);

/// For plateau, in plateau.cpp.
std::shared_ptr<const Schedule::Curve> make_plateau(const ParsedText& source, const Term& term,
                                                    const CurveSpan& span);

}  // namespace trainer::optim
