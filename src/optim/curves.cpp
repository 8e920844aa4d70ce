#include "curves.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "named_choice.h"

namespace trainer::optim {
namespace {

using Curve = Schedule::Curve;

/// Half a cosine from `from` at share 0 to `to` at share 1.
double anneal(double from, double to, double share) {
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * share));
}

class Constant final : public Curve {
 public:
  double factor(std::int64_t) const override { return 1; }
  double final_factor() const override { return 1; }
};

class Cosine final : public Curve {
 public:
  Cosine(double final, double horizon) : final_(final), horizon_(horizon) {}
  double factor(std::int64_t step) const override {
    return anneal(1, final_, static_cast<double>(step - 1) / horizon_);
  }
  double final_factor() const override { return final_; }

 private:
  double final_;
  double horizon_;
};

class OneCycle final : public Curve {
 public:
  struct Settings {
    double start;
    double final;
    double peak;
  };
  OneCycle(const Settings& settings, double horizon)
      : settings_(settings), top_step_(std::max(1.0, settings.peak * horizon)), horizon_(horizon) {}

  double factor(std::int64_t step) const override {
    const auto place = static_cast<double>(step);
    if (place < top_step_) return anneal(settings_.start, 1, (place - 1) / (top_step_ - 1));
    if (place == top_step_) return 1;
    return anneal(1, settings_.final, (place - top_step_) / (horizon_ - top_step_));
  }
  double final_factor() const override { return settings_.final; }

 private:
  Settings settings_;
  double top_step_;
  double horizon_;
};

using CurvePointer = std::shared_ptr<const Curve>;
using Maker = CurvePointer (*)(ArgumentReader&, double horizon);

CurvePointer make_constant(ArgumentReader&, double) { return std::make_shared<Constant>(); }

CurvePointer make_cosine(ArgumentReader& arguments, double horizon) {
  return std::make_shared<Cosine>(arguments.number("final", 0, 1, 0), horizon);
}

CurvePointer make_one_cycle(ArgumentReader& arguments, double horizon) {
  OneCycle::Settings settings{};
  settings.start = arguments.number("start", 0, 1, 0.04);
  settings.final = arguments.number("final", 0, 1, 0.0001);
  settings.peak = arguments.number("peak", 0, 1, 0.3);
  return std::make_shared<OneCycle>(settings, horizon);
}

constexpr std::array<Named<Maker>, 3> kCurves = {
    {{"constant", make_constant}, {"cosine", make_cosine}, {"one_cycle", make_one_cycle}}};

}  // namespace

std::shared_ptr<const Schedule::Curve> make_curve(const ParsedText& source, const Term& term,
                                                  std::int64_t horizon) {
  const Maker make = choose_named(kCurves, source, "schedule");
  ArgumentReader arguments(source, term);
  CurvePointer curve = make(arguments, static_cast<double>(horizon));
  arguments.finish();
  return curve;
}

}  // namespace trainer::optim
