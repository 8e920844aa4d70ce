#include "ending.h"

#include <algorithm>
#include <cmath>

#include "details.h"
#include "trainer/report/result.h"

namespace trainer::train {
namespace {

/// The figures of the best model: its evaluation, and the test set's.
Metrics final_metrics(const Prepared& prepared, const EndingFacts& facts) {
  Metrics metrics;
  const History& history = *facts.history;
  if (prepared.has_validation)
    for (std::size_t row = 0; row < history.values[1].size(); ++row)
      if (static_cast<std::int64_t>(history.values[1][row]) == facts.progress.stopping.best_step)
        for (std::size_t c = 0; c < history.columns.size(); ++c)
          if (history.columns[c].rfind("val_", 0) == 0) metrics[history.columns[c]] = history.values[c][row];
  if (facts.test) put_metrics(metrics, "test_", *facts.test, prepared.metrics);
  return metrics;
}

std::string result_text(const Prepared& prepared, const EndingFacts& facts, const Metrics& metrics) {
  const Progress& progress = facts.progress;
  report::JsonObject result;
  result.add("step", progress.step)
      .add("epoch", static_cast<double>(progress.step) / static_cast<double>(prepared.plan.steps_per_epoch));
  result.add("reason", facts.ending.reason).add("exit_code", facts.ending.exit_code);
  result.add("best_step", progress.stopping.best_step).add("best_metric", facts.best_metric);
  for (const auto& [name, value] : metrics) result.add(name, value);
  if (facts.test) add_details(result, "test_", *facts.test, prepared.data->facts());
  if (progress.goal_step >= 0)
    result.add("goal", facts.goal)
        .add("goal_step", progress.goal_step)
        .add("goal_samples", progress.goal_samples)
        .add("goal_seconds", facts.goal_seconds);
  result.add("parameters", prepared.network->parameter_count())
      .add("ranks", facts.ranks)
      .add("threads", facts.threads)
      .add("tuning", facts.tuning);
  result.add("training_seconds", facts.seconds.total)
      .add("checkpoint_seconds", facts.checkpoint_seconds)
      .add("checkpoints", facts.checkpoints)
      .add("bytes_sent_largest_rank", facts.bytes)
      .add("bytes_sent_last_step", facts.bytes_last_step)
      .add("weights", facts.weights);
  return result.text() + "\n";
}

std::string last_line(const Prepared& prepared, const EndingFacts& facts, const Metrics& metrics) {
  const bool finished = facts.ending.exit_code == 0;
  std::string line = text(finished ? "done: step " : "stopped: step ", facts.progress.step);
  const std::string shown = prepared.metric_names.back();
  for (const char* prefix : {"val_", "test_"})
    if (const auto found = metrics.find(prefix + shown); found != metrics.end())
      line += text(", ", found->first, " ", four_digits(found->second));
  return line + ", weights " + facts.weights;
}

/// Where the time of the steps went, and what to do when much of it was reading.
void tell_time(const Prepared& prepared, const StepSeconds& seconds, Records& records) {
  if (seconds.total <= 0) return;
  const auto percent = [&](double part) { return std::lround(100 * part / seconds.total); };
  records.log(text("time of the steps of rank 0: compute ", percent(seconds.compute()), " %, communicate ",
                   percent(seconds.communicate), " %, wait for the slowest rank ", percent(seconds.wait),
                   " %, read ", percent(seconds.read), " %"));
  constexpr int kMuch = 10;
  if (percent(seconds.read) < kMuch) return;
  if (prepared.data->opened.train->has_all_rows()) {  // nothing is read, rows are copied
    if (!prepared.augmentation.is_empty())
      records.note(text("note: copying and augmenting rows took ", percent(seconds.read),
                        " % of the time; more --threads help"));
    return;
  }
  records.note(text("note: reading took ", percent(seconds.read),
                    " % of the time; the rows come from their files: hold them in memory with a larger "
                    "--memory-limit, or rewrite them without compression and in chunks of whole rows with "
                    "`trainer data convert` (`trainer data describe` shows how they lie)"));
}

/// The loss over the epochs: of the validation rows where there are some.
void plot_loss(const History& history, const Records& records) {
  const auto column = [&](const char* name) { return std::ranges::find(history.columns, name); };
  auto loss = column("val_loss");
  if (loss == history.columns.end()) loss = column("train_loss");
  constexpr std::size_t kFewest = 4;  // fewer are read faster than seen
  if (loss == history.columns.end() || history.values[0].size() < kFewest) return;
  records.plot(*loss + " by epoch", history.values[0],
               history.values[static_cast<std::size_t>(loss - history.columns.begin())]);
}

}  // namespace

std::string four_digits(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof(buffer), std::abs(value) < 1e-3 && value != 0 ? "%.3e" : "%.4f", value);
  return std::isnan(value) ? "nan" : buffer;
}

void put_metrics(Metrics& metrics, const std::string& prefix, const nn::LossSums& sums, std::int64_t rows) {
  const auto count = static_cast<double>(rows);
  metrics[prefix + "loss"] = rows > 0 ? sums.loss / count : std::nan("");
  metrics[prefix + "accuracy"] = rows > 0 ? sums.correct / count : std::nan("");
}

void put_metrics(Metrics& metrics, const std::string& prefix, const Measured& measured,
                 const MetricList& list) {
  put_metrics(metrics, prefix, measured.sums, measured.rows);
  for (std::size_t i = 0; i < list.names().size(); ++i)
    metrics[prefix + list.names()[i]] = list.value(i, measured);
}

void write_ending(const Prepared& prepared, const EndingFacts& facts, Records& records, std::FILE* out) {
  const Ending& ending = facts.ending;
  const bool finished = ending.exit_code == 0;
  const Metrics metrics = final_metrics(prepared, facts);
  report::RunFolder& folder = records.folder();
  if (!ending.before) {
    records.flush();
    records.sync_flushed();
    if (const auto& measured = facts.test ? facts.test : facts.validation;
        measured && !measured->confusion.empty()) {
      write_confusion(folder.file("confusion.csv"), *measured, prepared.data->facts());
      records.log(text("confusion.csv: the best model on the ", measured->rows,
                       facts.test ? " test" : " validation", " rows"));
    }
    folder.write("result.json", result_text(prepared, facts, metrics));
    folder.write_status({finished ? report::RunState::finished : report::RunState::stopped, ending.exit_code,
                         facts.progress.step, ending.reason, facts.newest_checkpoint});
    if (ending.reason != kAllStepsDone) records.note(ending.reason);
    records.log(text("bytes sent by the busiest rank: ", facts.bytes,
                     "; gradients and parameters of the last step, rank 0: ", facts.bytes_last_step));
    records.log(text(facts.checkpoints, " checkpoints saved; training stood still for ",
                     four_digits(facts.checkpoint_seconds), " s for them"));
    tell_time(prepared, facts.seconds, records);
    plot_loss(*facts.history, records);
  }
  const std::string line = last_line(prepared, facts, metrics);
  records.log(line);
  if (out == nullptr) return;
  if (!finished) std::fprintf(out, "continue with: trainer resume %s\n", folder.path().c_str());
  std::fprintf(out, "%s\n", line.c_str());
  std::fflush(out);
}

}  // namespace trainer::train
