#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace trainer::optim {

/// A length of training, in steps or in epochs: `500 steps`, `1 epoch`, `0.25 epochs`. `0` needs no unit.
struct Length {
  enum class Unit { steps, epochs };

  double value = 0;  ///< >= 0; whole when the unit is steps
  Unit unit = Unit::steps;

  /// Parses `text`, the value of `option` (such as "--warmup", for messages). Throws Error(usage) with a
  /// caret.
  static Length parse(const std::string& option, const std::string& text);
  /// In steps, rounded to the nearest (halves up), and at least 1 unless the value is 0. `steps_per_epoch`
  /// >= 1. Throws Error(usage) when the result exceeds 10^15.
  std::int64_t steps(std::int64_t steps_per_epoch) const;
};

/// What `plateau` remembers of the evaluations; the caller keeps it in the checkpoint. The other schedules
/// leave it alone.
struct ScheduleState {
  double best = 0;              ///< the value that must be bettered by more than min_delta
  std::int64_t seen = 0;        ///< 1: best means something
  std::int64_t without = 0;     ///< evaluations since best, or since the last reduction
  std::int64_t reductions = 0;  ///< of the rate, so far
};

/// The learning rate of every step: a curve over the horizon (the planned steps), times a linear warm-up.
/// All in double and a function of its arguments alone. The horizon is T; steps count from 1.
///
/// `constant`: the peak rate.
///
/// `step(every, factor=0.1)`: times `factor` after each `every` (a length), so that step s has the peak rate
/// times factor^floor((s - 1) / every) (PyTorch's StepLR).
///
/// `exponential(factor=0.95, every=1 epoch)`: the peak rate times factor^((s - 1) / every): at the start of
/// each epoch that of PyTorch's ExponentialLR stepped once an epoch, and smooth between; the stairs are
/// `step(1 epoch, 0.95)`.
///
/// `linear(final=0)`: in a straight line from the peak at step 1 to `final` (a fraction of the peak), which
/// would be reached at step T + 1, so that the last step still moves (PyTorch's LinearLR with start_factor =
/// 1, end_factor = final, total_iters = T).
///
/// `cosine(final=0)`: from the peak at step 1 along half a cosine towards `final` (a fraction of the peak),
/// which would be reached at step T + 1, so that the last step still moves (Loshchilov and Hutter 2017,
/// eq. 5, with T_cur = step - 1; PyTorch's CosineAnnealingLR with T_max = T).
///
/// `one_cycle(start=0.04, final=0.0001, peak=0.3)`: half a cosine up from `start` at step 1 to the peak at
/// step peak * T (not rounded; at step 1 when that is earlier), half a cosine down to `final` exactly at step
/// T; `start` and `final` are fractions of the peak rate, `peak` is a share of the horizon. With T = 1 its
/// only step has the peak rate. (Smith and Topin 2018; PyTorch's OneCycleLR with div_factor = 1 / start,
/// final_div_factor = start / final, pct_start = peak.)
///
/// `plateau(patience=5, factor=0.1, min_delta=0, min=0)`: times `factor` each time when `patience`
/// evaluations in a row have not bettered the best by more than `min_delta` (a difference), never below `min`
/// (a fraction of the peak). Patience is that of --early-stopping; PyTorch's ReduceLROnPlateau waits for one
/// evaluation more.
///
/// Steps after T keep `final`; `step` and `exponential` go on. Each but `plateau`, which follows the
/// evaluations, also takes `horizon=LENGTH` (by key) to replace T; then `step` and `exponential` keep the
/// rate of step T. Warm-up over W steps multiplies the rate of steps 1 ... W by step / W.
class Schedule {
 public:
  using State = ScheduleState;

  /// `schedule` and `warmup` are the values of --schedule and --warmup (`0` or empty: none); `horizon_steps`
  /// the steps planned at the first start (>= 0), which a resumed run must pass again. Throws Error(usage)
  /// with a caret.
  Schedule(const std::string& schedule, const std::string& warmup, double peak_rate,
           std::int64_t horizon_steps, std::int64_t steps_per_epoch);

  /// The learning rate of `step` >= 1. Only adaptive schedules look at `state`.
  double rate(std::int64_t step, const State& state = {}) const;

  /// Whether the rate depends on the evaluations, so that observe() must be called after each.
  bool is_adaptive() const;
  /// Takes in the value of one evaluation; the same on every rank when the value is. NaN never is an
  /// improvement; before the first value that is a number it is not counted either.
  void observe(State& state, double value, bool larger_is_better) const;

  const std::string& text() const { return text_; }
  double peak_rate() const { return peak_rate_; }
  /// The horizon that the curve runs over: `horizon=` when given.
  std::int64_t horizon_steps() const { return horizon_steps_; }
  std::int64_t warmup_steps() const { return warmup_steps_; }

  /// A curve over the horizon, as a fraction of the peak rate.
  class Curve;

 private:
  std::string text_;
  double peak_rate_ = 0;
  std::int64_t horizon_steps_ = 0;
  std::int64_t warmup_steps_ = 0;
  std::shared_ptr<const Curve> curve_;
};

}  // namespace trainer::optim
