#include <algorithm>
#include <cmath>

#include "curves.h"

namespace trainer::optim {
namespace {

class Plateau final : public Schedule::Curve {
 public:
  struct Settings {
    std::int64_t patience;
    double factor;
    double min_delta;
    double min;
  };

  explicit Plateau(const Settings& settings) : settings_(settings) {}

  double factor(std::int64_t, const ScheduleState& state) const override {
    const double reduced = std::pow(settings_.factor, static_cast<double>(state.reductions));
    return std::max(settings_.min, reduced);
  }

  bool is_adaptive() const override { return true; }

  void observe(ScheduleState& state, double value, bool larger_is_better) const override {
    if (std::isnan(value) && !state.seen) return;  // nothing was measured yet
    if (betters(state, value, larger_is_better)) {
      state.best = value;
      state.seen = true;
      state.without = 0;
    } else if (++state.without >= settings_.patience) {
      state.without = 0;
      ++state.reductions;
    }
  }

 private:
  bool betters(const ScheduleState& state, double value, bool larger_is_better) const {
    if (!state.seen) return true;
    return larger_is_better ? value > state.best + settings_.min_delta
                            : value < state.best - settings_.min_delta;
  }

  Settings settings_;
};

}  // namespace

std::shared_ptr<const Schedule::Curve> make_plateau(const ParsedText& source, const Term& term,
                                                    const CurveSpan& span) {
  if (span.horizon_given) source.fail_at(term.offset, "plateau follows the evaluations and has no horizon");
  ArgumentReader arguments(source, term);
  Plateau::Settings settings{};
  settings.patience = arguments.integer("patience", 1, 1'000'000'000, 5);
  settings.factor = arguments.number("factor", 0, 1, 0.1, true, true);
  settings.min_delta = arguments.number("min_delta", 0, 1e300, 0);
  settings.min = arguments.number("min", 0, 1, 0);
  arguments.finish();
  return std::make_shared<Plateau>(settings);
}

}  // namespace trainer::optim
