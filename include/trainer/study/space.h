#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace trainer::study {

/// Option values of a trial, by name, as the command line would give them: {"lr", "0.0031"}.
using Settings = std::vector<std::pair<std::string, std::string>>;

/// One variable of `--tune` or `--vary`, such as lr=log(1e-4,1).
struct Variable {
  /// linear: values between low and high; log: evenly in their logarithm; one_minus_log: 1 - value is, as for
  /// a momentum; whole: as log, rounded to a whole number; list: one of `values`.
  enum class Kind { linear, log, one_minus_log, whole, list };
  std::string name;
  Kind kind = Kind::linear;
  double low = 0, high = 0;         ///< of a range
  std::vector<std::string> values;  ///< of a list

  bool is_range() const { return kind != Kind::list; }
  /// The value at `place`, in [0, 1) for what lies between low and high; beyond it the scale goes on.
  std::string at(double place) const;
  /// The reverse, of a value that at() gave.
  double place_of(const std::string& value) const;
};

/// The variables that a study searches over.
class Space {
 public:
  Space() = default;
  /// `option`: --tune or --vary, for messages. Throws Error(usage) with a caret.
  Space(const std::string& option, const std::string& source);

  const std::vector<Variable>& variables() const { return variables_; }
  bool is_empty() const { return variables_.empty(); }
  /// All are lists: the points are their combinations.
  bool is_grid() const;
  /// Combinations of the lists. For is_grid().
  std::int64_t combinations() const;

  /// Point `number` (from 0) of the points of `seed`: for a grid its combination, else the place of the
  /// additive recurrence with the powers of the generalised golden ratio (Roberts, The Unreasonable
  /// Effectiveness of Quasirandom Sequences, 2018), shifted by the seed.
  std::vector<double> places(std::int64_t number, std::uint64_t seed) const;
  /// What the options are at these places.
  Settings settings(const std::vector<double>& places) const;

 private:
  std::vector<Variable> variables_;
};

}  // namespace trainer::study
