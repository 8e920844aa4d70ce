#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/nn/loss.h"
#include "trainer/nn/pass.h"

namespace trainer::train {

/// What the rows of a set are like, and what a network makes of them.
struct RowFacts {
  bool classification = true;
  nn::TargetForm form = nn::TargetForm::classes;
  std::int64_t outputs = 0;  ///< of the network

  std::int64_t classes() const { return outputs == 1 ? 2 : outputs; }
};

/// What is to be measured of a set of rows beside its loss and accuracy. Each part is accumulated chunk by
/// chunk, merged over threads and ranks so that no order shows, and read from Measured.
struct Measures {
  bool class_counts = false;      ///< rows, predictions and hits of each class
  bool confusion = false;         ///< the same by pairs of classes
  bool ranking = false;           ///< area under the ROC curve; holds all outputs of this rank's rows
  bool errors = false;            ///< of values, by output
  std::vector<std::int64_t> top;  ///< rows whose class is among the best k

  bool any() const { return class_counts || confusion || ranking || errors || !top.empty(); }
  /// All that is told of a model at the end of a run: by class or by output, and the confusion matrix of up
  /// to 1,024 classes.
  Measures with_details(const RowFacts& facts) const;
};

/// What an evaluation found; the same bits for any number of ranks and threads. What was not asked for is
/// empty. Classes are predicted as for the accuracy (nn::predicted_class): from the outputs before the joint
/// activation of the loss, and a row with a nan among its outputs predicts nothing.
struct Measured {
  std::int64_t rows = 0;
  nn::LossSums sums;
  std::vector<std::int64_t> class_rows, predicted, hits;  ///< by class
  std::vector<std::int64_t> confusion;                    ///< [true class, predicted class]
  std::map<std::int64_t, std::int64_t> top;               ///< by k
  /// By class, each against all others; two classes: of class 1 alone. The share of pairs (a row of the
  /// class, another row) that the outputs order rightly, ties counting half (Mann and Whitney, 1947). nan
  /// without any pair, and when an output is nan. One output is ordered by as it stands before the joint
  /// activation, more by their probabilities: those that are saturated (1, or 0) tie.
  std::vector<double> auc;
  std::vector<double> rmse, mae, r2;  ///< by output, in the original units of the targets

  /// Of one class; 0 where they would be 0/0.
  double precision(std::size_t of) const;
  double recall(std::size_t of) const;
  double f1(std::size_t of) const;
};

/// `--metrics`, such as "top(5) f1 auc": figures of an evaluation beside loss and accuracy.
///
/// Classification: `top(k)` (named top_5), the share of rows whose class is among the k best outputs (of
/// equals the lower class comes first); top_1 is the accuracy. `precision`, `recall`, `f1`: with two classes
/// those of class 1, else the averages over the classes that occur among targets or predictions, as
/// scikit-learn's `binary` and `macro`. `balanced_accuracy`: the average recall of the classes that have
/// rows. `auc`: of class 1, or the average over the classes that have rows and are not alone.
///
/// Values: `r2` is 1 - (sum of squared errors) / (sum of squared distances from the mean), averaged over the
/// outputs; of a constant output 1 without error, else 0; nan for fewer than two rows. `rmse`, `mae`: root
/// mean square and mean absolute error, averaged over the outputs, in the original units of the targets.
class MetricList {
 public:
  MetricList() = default;
  /// `source` may be empty: none. Throws Error(usage) with a caret: unknown words, such that do not fit the
  /// task, and repeated ones.
  MetricList(const std::string& source, const RowFacts& facts);

  /// Column names without prefix, in the order written.
  const std::vector<std::string>& names() const { return names_; }
  /// What these metrics are made of.
  const Measures& measures() const { return measures_; }
  /// The figure of names()[index]; nan for a set without rows.
  double value(std::size_t index, const Measured& measured) const;

  /// All words that fit and take no argument; auc only where at most kMostScores of rows times classes are to
  /// be held.
  static std::string everything(const RowFacts& facts, std::int64_t rows);
  static constexpr std::int64_t kMostScores = 100'000'000;

 private:
  struct Entry {
    std::size_t word = 0;  ///< of the table of metrics
    std::int64_t k = 0;
  };
  Measures measures_;
  std::vector<std::string> names_;
  std::vector<Entry> entries_;
};

enum class Direction { smaller, larger };
/// Which values are better of a figure without prefix: loss, accuracy, f1, top_5. Throws Error(internal) for
/// a name that is none.
Direction better(const std::string& column);
/// Whether `--metrics` could name this column: f1, top_5.
bool is_metric(const std::string& column);

}  // namespace trainer::train
