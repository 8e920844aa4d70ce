#pragma once

// Steps and evaluations, with nothing on disk: what a run with a folder and a trial of a study share. Private
// to this room.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evaluated_model.h"
#include "showcase.h"
#include "snapshot.h"
#include "trainer/train/evaluator.h"
#include "trainer/train/prepare.h"
#include "trainer/train/step.h"

namespace trainer::train {

/// One row of metrics.csv, and what follows from it.
struct Evaluation {
  Metrics metrics;
  std::vector<double> row;   ///< by Training::columns()
  bool best = false;         ///< the model is the best so far
  StepSeconds spent;         ///< of this rank, in steps since the evaluation before
  std::int64_t samples = 0;  ///< of these steps
  bool must_stop = false;    ///< Progress::ended says why
  double epoch() const { return row[0]; }
  double samples_per_second() const {
    return spent.total > 0 ? static_cast<double>(samples) / spent.total : 0;
  }
};

/// One training, from any step on. Every rank holds the same of it. All members are called by all ranks in
/// the same order; those marked so are collective.
class Training {
 public:
  /// Collective. All references outlive this object.
  Training(const comm::Communicator& world, Team& team, const Prepared& prepared,
           const Configuration& configuration);

  /// The weights of step 0.
  void initialise();

  struct Taken {
    StepResult result;
    double rate = 0;
    bool last = false;  ///< of the plan
    bool evaluation_due = false;
  };
  /// Collective. The next step; there is one when Progress::step is below the plan's last. Whether it is
  /// observed beyond `requests` follows from the configuration. Throws as Step::run.
  Taken take_step(StepRequests requests);
  /// Collective. Evaluates, and takes the figures into history, best, schedule, goal and early stopping.
  Evaluation evaluate();
  /// Collective. A model on the test set; on the validation rows where there is none.
  Measured measure(const ModelValues& model, bool on_test_set);
  /// Collective. Of the rows that measure() was called for, with its model, those that it is most wrong
  /// about; of a classification.
  std::vector<Example> most_wrong(bool on_test_set) const;

  /// Of metrics.csv.
  const std::vector<std::string>& columns() const { return history_.columns; }
  std::int64_t samples_done() const;
  /// What Progress::ended means; empty for Progress::kNot.
  std::string reason_of_end(const std::string& goal) const;
  /// The batch of step `step` is observed for the noise scale.
  bool observes_noise(std::int64_t step) const;
  bool logs_gradients(std::int64_t step) const;
  /// The weights that evaluations see.
  EvaluatedModel& evaluated() { return *evaluated_; }

  const Prepared& prepared() const { return prepared_; }
  Step& step() { return *step_; }
  const Step& step() const { return *step_; }
  Progress& progress() { return progress_; }
  const Progress& progress() const { return progress_; }
  History& history() { return history_; }
  const History& history() const { return history_; }
  /// Of the steps since the last evaluation.
  double samples_per_second() const;

 private:
  void make_step();
  void make_evaluators();
  RowFacts row_facts() const;
  std::vector<std::string> metrics_columns() const;
  void take_in(const StepResult& result, std::int64_t step);
  Measured run_of(Evaluator& evaluator) const;
  std::vector<double> row_of(const Metrics& metrics) const;
  void judge(Evaluation& evaluation);

  const comm::Communicator& world_;
  Team& team_;
  const Prepared& prepared_;
  const Configuration& configuration_;
  std::unique_ptr<Step> step_;
  std::unique_ptr<ListedRows> training_rows_, population_rows_, validation_rows_, test_rows_;
  std::unique_ptr<EvaluatedModel> evaluated_;
  std::unique_ptr<Evaluator> validation_, test_;
  std::unique_ptr<nn::InferencePass> inference_;
  Progress progress_;
  History history_;
  StepSeconds row_start_;
  std::int64_t row_samples_ = 0;  // since the last row
};

}  // namespace trainer::train
