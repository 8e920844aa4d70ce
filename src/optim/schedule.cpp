#include "trainer/optim/schedule.h"

#include <algorithm>
#include <cmath>

#include "curves.h"
#include "read_length.h"

namespace trainer::optim {
namespace {

/// Takes `horizon=LENGTH` out of the term's arguments: a length is two words, and by key only, so that it
/// does not shift the others.
std::optional<std::int64_t> take_horizon(const ParsedText& source, Term& term, std::int64_t steps_per_epoch) {
  const auto is_horizon = [](const Argument& argument) { return argument.key == "horizon"; };
  const auto found = std::ranges::find_if(term.arguments, is_horizon);
  if (found == term.arguments.end()) return std::nullopt;
  const std::int64_t steps = read_length(source, found->sequence).steps(steps_per_epoch);
  if (steps == 0) source.fail_at(found->offset, "expected a horizon of at least 1 step");
  term.arguments.erase(found);
  const auto second = std::ranges::find_if(term.arguments, is_horizon);
  if (second != term.arguments.end()) source.fail_at(second->offset, "horizon is given twice");
  return steps;
}

}  // namespace

Schedule::Schedule(const std::string& schedule, const std::string& warmup, double peak_rate,
                   std::int64_t horizon_steps, std::int64_t steps_per_epoch)
    : text_(schedule), peak_rate_(peak_rate), horizon_steps_(horizon_steps) {
  require(std::isfinite(peak_rate) && peak_rate >= 0, ErrorKind::usage,
          "--lr: expected a finite rate of at least 0, found ", format_number(peak_rate));
  require(horizon_steps >= 0 && steps_per_epoch >= 1, ErrorKind::internal, "a schedule over ", horizon_steps,
          " steps, ", steps_per_epoch, " in an epoch, is not possible");
  const ParsedText source("--schedule", schedule);
  Term term = source.sequence().front();
  const std::optional<std::int64_t> given = take_horizon(source, term, steps_per_epoch);
  horizon_steps_ = given.value_or(horizon_steps);
  curve_ = make_curve(
      source, term,
      {.horizon = horizon_steps_, .horizon_given = given.has_value(), .steps_per_epoch = steps_per_epoch});
  if (!warmup.empty()) warmup_steps_ = Length::parse("--warmup", warmup).steps(steps_per_epoch);
}

double Schedule::rate(std::int64_t step, const State& state) const {
  require(step >= 1, ErrorKind::internal, "the rate of step ", step, " was asked for; steps count from 1");
  const double base = peak_rate_ * curve_->factor(step, state);
  if (step >= warmup_steps_) return base;
  return base * static_cast<double>(step) / static_cast<double>(warmup_steps_);
}

bool Schedule::is_adaptive() const { return curve_->is_adaptive(); }

void Schedule::observe(State& state, double value, bool larger_is_better) const {
  curve_->observe(state, value, larger_is_better);
}

}  // namespace trainer::optim
