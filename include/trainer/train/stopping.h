#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trainer::train {

/// Figures of one evaluation by name: "val_loss", "train_accuracy", ...
using Metrics = std::map<std::string, double>;

/// Whether a larger value of this metric is better (better() of metrics.h). By its name with train_, val_ or
/// test_ before it. Throws Error(internal) for a name that is none.
bool larger_is_better(const std::string& metric);

/// `--early-stopping`, such as "val_loss(patience=5, min_delta=0)", and which model is the best so far. The
/// decision follows from the evaluated figures alone, so it is the same on every rank.
class Stopping {
 public:
  /// What is kept from one evaluation to the next, and in the checkpoint.
  struct State {
    double best = 0;              ///< of the monitored metric; the first of equals
    std::int64_t best_step = -1;  ///< -1: nothing evaluated yet
    double reference = 0;         ///< the value that must be bettered by more than min_delta
    std::int64_t without = 0;     ///< evaluations since then
  };

  /// `source` may be empty: no stopping, and the best model is by `fallback_metric`. Throws Error(usage) with
  /// a caret; a metric that is not in `available` is named together with those.
  Stopping(const std::string& source, const std::vector<std::string>& available,
           const std::string& fallback_metric);

  const std::string& metric() const { return metric_; }
  /// Takes in an evaluation. True when this is the best model so far. NaN is
  /// never best, but as long as nothing else was measured after the first step the newest model is kept.
  bool update(State& state, const Metrics& metrics, std::int64_t step) const;
  /// True when patience has run out.
  bool must_stop(const State& state) const { return patience_ > 0 && state.without >= patience_; }
  std::int64_t patience() const { return patience_; }

 private:
  std::string metric_;
  std::int64_t patience_ = 0;  ///< 0: no stopping
  double min_delta_ = 0;
};

/// `--goal`, such as "val_accuracy>=0.9".
struct Goal {
  std::string metric;
  bool at_least = true;
  double value = 0;

  /// Throws Error(usage).
  static std::optional<Goal> parse(const std::string& source, const std::vector<std::string>& available);
  bool reached(const Metrics& metrics) const;
};

}  // namespace trainer::train
