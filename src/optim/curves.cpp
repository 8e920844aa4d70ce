#include "curves.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "named_choice.h"
#include "read_length.h"

namespace trainer::optim {
namespace {

using Curve = Schedule::Curve;

/// Half a cosine from `from` at share 0 to `to` at share 1.
double anneal(double from, double to, double share) {
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * share));
}

class Constant final : public Curve {
 public:
  double factor(std::int64_t, const ScheduleState&) const override { return 1; }
};

/// factor^n after n times `every` steps, in stairs or smoothly, up to step `last`.
class Decay final : public Curve {
 public:
  struct Settings {
    double factor;
    std::int64_t every;
    bool stairs;
  };
  Decay(const Settings& settings, const CurveSpan& span)
      : settings_(settings),
        last_(span.horizon_given ? span.horizon : std::numeric_limits<std::int64_t>::max()) {}

  double factor(std::int64_t step, const ScheduleState&) const override {
    const std::int64_t done = std::min(step, last_) - 1;
    const double times = settings_.stairs ? static_cast<double>(done / settings_.every)
                                          : static_cast<double>(done) / static_cast<double>(settings_.every);
    return std::pow(settings_.factor, times);
  }

 private:
  Settings settings_;
  std::int64_t last_;
};

/// A curve with a value of its own for the steps after the horizon.
class Ending : public Curve {
 public:
  Ending(double final, std::int64_t horizon) : final_(final), horizon_(horizon) {}
  double factor(std::int64_t step, const ScheduleState&) const final {
    return step > horizon_ ? final_ : within(static_cast<double>(step), static_cast<double>(horizon_));
  }

 protected:
  /// 1 <= place <= horizon.
  virtual double within(double place, double horizon) const = 0;
  double final() const { return final_; }

 private:
  double final_;
  std::int64_t horizon_;
};

class Linear final : public Ending {
 public:
  using Ending::Ending;

 private:
  double within(double place, double horizon) const override {
    return 1 + (final() - 1) * ((place - 1) / horizon);
  }
};

class Cosine final : public Ending {
 public:
  using Ending::Ending;

 private:
  double within(double place, double horizon) const override {
    return anneal(1, final(), (place - 1) / horizon);
  }
};

class OneCycle final : public Ending {
 public:
  struct Settings {
    double start;
    double final;
    double peak;
  };
  OneCycle(const Settings& settings, std::int64_t horizon)
      : Ending(settings.final, horizon),
        start_(settings.start),
        top_step_(std::max(1.0, settings.peak * static_cast<double>(horizon))) {}

 private:
  double within(double place, double horizon) const override {
    if (place < top_step_) return anneal(start_, 1, (place - 1) / (top_step_ - 1));
    if (place == top_step_) return 1;
    return anneal(1, final(), (place - top_step_) / (horizon - top_step_));
  }

  double start_;
  double top_step_;
};

using CurvePointer = std::shared_ptr<const Curve>;
using Maker = CurvePointer (*)(const ParsedText&, const Term&, const CurveSpan&);

CurvePointer make_constant(const ParsedText& source, const Term& term, const CurveSpan&) {
  ArgumentReader(source, term).finish();
  return std::make_shared<Constant>();
}

/// The length `every`, in steps; `fallback` (0: there is none) when absent.
std::int64_t read_every(const ParsedText& source, const Term& term, ArgumentReader& arguments,
                        const CurveSpan& span, std::int64_t fallback) {
  const std::span<const Term> words = arguments.sequence("every");
  if (words.empty() && fallback == 0)
    source.fail_at(term.offset,
                   text('"', term.name, "\" needs every: a length such as 30 epochs or 500 steps"));
  if (words.empty()) return fallback;
  const std::int64_t every = read_length(source, words).steps(span.steps_per_epoch);
  if (every == 0) source.fail_at(words[0].offset, "every must be at least 1 step");
  return every;
}

CurvePointer make_step(const ParsedText& source, const Term& term, const CurveSpan& span) {
  ArgumentReader arguments(source, term);
  Decay::Settings settings{.factor = 0, .every = 0, .stairs = true};
  settings.every = read_every(source, term, arguments, span, 0);
  settings.factor = arguments.number("factor", 0, 1, 0.1, true);
  arguments.finish();
  return std::make_shared<Decay>(settings, span);
}

CurvePointer make_exponential(const ParsedText& source, const Term& term, const CurveSpan& span) {
  ArgumentReader arguments(source, term);
  Decay::Settings settings{.factor = 0, .every = 0, .stairs = false};
  settings.factor = arguments.number("factor", 0, 1, 0.95, true);
  settings.every = read_every(source, term, arguments, span, span.steps_per_epoch);
  arguments.finish();
  return std::make_shared<Decay>(settings, span);
}

/// linear and cosine.
template <class Shape>
CurvePointer make_ending(const ParsedText& source, const Term& term, const CurveSpan& span) {
  ArgumentReader arguments(source, term);
  const double final = arguments.number("final", 0, 1, 0);
  arguments.finish();
  return std::make_shared<Shape>(final, span.horizon);
}

CurvePointer make_one_cycle(const ParsedText& source, const Term& term, const CurveSpan& span) {
  ArgumentReader arguments(source, term);
  OneCycle::Settings settings{};
  settings.start = arguments.number("start", 0, 1, 0.04);
  settings.final = arguments.number("final", 0, 1, 0.0001);
  settings.peak = arguments.number("peak", 0, 1, 0.3);
  arguments.finish();
  return std::make_shared<OneCycle>(settings, span.horizon);
}

constexpr std::array<Named<Maker>, 7> kCurves = {{{"constant", make_constant},
                                                  {"step", make_step},
                                                  {"exponential", make_exponential},
                                                  {"linear", make_ending<Linear>},
                                                  {"cosine", make_ending<Cosine>},
                                                  {"one_cycle", make_one_cycle},
                                                  {"plateau", make_plateau}}};

}  // namespace

std::shared_ptr<const Schedule::Curve> make_curve(const ParsedText& source, const Term& term,
                                                  const CurveSpan& span) {
  return choose_named(kCurves, source, "schedule")(source, term, span);
}

}  // namespace trainer::optim
