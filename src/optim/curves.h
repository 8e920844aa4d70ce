#pragma once

#include <memory>

#include "trainer/core/grammar.h"
#include "trainer/optim/schedule.h"

namespace trainer::optim {

class Schedule::Curve {
 public:
  virtual ~Curve() = default;
  /// The share of the peak rate at `step`, 1 <= step <= horizon.
  virtual double factor(std::int64_t step) const = 0;
  /// The share of the peak rate at every step after the horizon.
  virtual double final_factor() const = 0;
};

/// The curve that the only term of `source` names, over `horizon` steps; a new schedule is a class, a
/// function and a line of the table in curves.cpp. `term` is that term without its horizon.
std::shared_ptr<const Schedule::Curve> make_curve(const ParsedText& source, const Term& term,
                                                  std::int64_t horizon);

}  // namespace trainer::optim
