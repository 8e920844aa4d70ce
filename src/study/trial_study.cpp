#include "trial_study.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "groups.h"
#include "ledger.h"
#include "open_trials.h"
#include "question.h"
#include "remarks.h"
#include "study_files.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/clock.h"
#include "trainer/core/grammar.h"
#include "trainer/report/progress.h"
#include "trainer/train/deadline.h"

namespace trainer::study {
namespace {

/// The number of steps that a rung of successive halving goes.
std::int64_t steps_of_rung(std::int64_t steps, std::int64_t rung, std::int64_t rungs) {
  for (std::int64_t i = rung; i + 1 < rungs; ++i) steps = (steps + 2) / 3;
  return steps;
}

/// The trial of a piece of work: its words are all that the other ranks know.
std::string words_of(const Trial& trial) {
  std::string words = text(trial.id, '\n', trial.batch, '\n', trial.rung, '\n', trial.seed, '\n');
  for (const auto& [name, value] : trial.settings) words += name + '\n' + value + '\n';
  return words;
}

/// Hands out trials and takes in what came of them, on rank 0.
class TrialManager final : public Manager {
 public:
  TrialManager(const Question& question, Ledger& ledger, const Request& request)
      : question_(question),
        ledger_(ledger),
        request_(request),
        deadline_(request.configuration),
        trials_(question, ledger.found().records) {}

  std::optional<std::string> next() override {
    if (must_stop()) return std::nullopt;
    const std::optional<Trial> trial = trials_.begin();
    if (!trial) return std::nullopt;
    running_[trial->id] = *trial;
    return words_of(*trial);
  }

  void take(const std::string& result) override {
    const Report report = report_from(result);
    const auto found = running_.find(report.id);
    require(found != running_.end(), ErrorKind::internal, "a report of the unknown trial ", report.id);
    const Trial trial = found->second;
    running_.erase(found);
    if (report.record.outcome == "abandoned") {  // it begins anew when the study goes on
      stop();                                    // on request of another rank
      return;
    }
    ledger_.add(trial, report);
    trials_.end(trial);
    tell(trial, report.record);
  }

  bool must_stop() override {
    if (!stopped_ && deadline_.is_reached()) stopped_ = "time limit";
    if (!stopped_ && request_.signals != nullptr && request_.signals->stop()) stopped_ = "stopped on request";
    return stopped_.has_value();
  }
  void stop() override {
    if (!stopped_) stopped_ = "stopped on request";
  }
  const OpenTrials& trials() const { return trials_; }
  const std::optional<std::string>& stopped() const { return stopped_; }

 private:
  void tell(const Trial& trial, const Record& record) {
    ++ended_;
    if (request_.out == nullptr || request_.configuration.quiet) return;
    const std::int64_t open = trials_.known() - trials_.done();
    const double each = watch_.seconds() / static_cast<double>(ended_);
    std::string line = text("trial ", trials_.done(), "/", trials_.known(), "  ", trial.id);
    for (const auto& [name, value] : trial.settings) line += text("  ", name, " ", value);
    line += text("  ", record.outcome);
    line += record.reached() ? text(" at step ", record.goal_step) : text(" after step ", record.steps);
    line += text("  ", question_.metric, " ", format_number(std::round(record.best * 1e4) / 1e4));
    if (open > 0)
      line += text("  ", report::duration_text(each * static_cast<double>(open)), " left, or more");
    std::fprintf(request_.out, "%s\n", line.c_str());
    std::fflush(request_.out);
  }

  const Question& question_;
  Ledger& ledger_;
  const Request& request_;
  train::Deadline deadline_;
  OpenTrials trials_;
  std::map<std::string, Trial> running_;
  std::optional<std::string> stopped_;
  Stopwatch watch_;
  std::int64_t ended_ = 0;
};

/// The reverse of words_of().
Trial trial_from(const std::string& words) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < words.size();) {
    const std::size_t end = words.find('\n', begin);
    lines.push_back(words.substr(begin, end - begin));
    begin = end + 1;
  }
  Trial trial;
  trial.id = lines.at(0);
  trial.batch = parse_integer(lines.at(1)).value_or(0);
  trial.rung = parse_integer(lines.at(2)).value_or(-1);
  trial.seed = static_cast<std::uint64_t>(parse_integer(lines.at(3)).value_or(0));
  for (std::size_t i = 4; i + 1 < lines.size(); i += 2) trial.settings.emplace_back(lines[i], lines[i + 1]);
  return trial;
}

}  // namespace

TrialStudy::TrialStudy(const comm::Communicator& world, const Request& request)
    : world_(world), request_(request), node_(world.node()) {
  comm::together(world_, [&] {
    question_ = question_of(request_);
    budget_ = Budget::parse(request_.options.budget);
    require(question_.rules.rungs == 1 || budget_.seconds == 0, ErrorKind::usage,
            "--stop-early halving needs a --budget in epochs or steps");
    const train::Configuration& configuration = request_.configuration;
    require(budget_.seconds > 0 || configuration.max_steps == 0, ErrorKind::usage, "--max-steps ",
            configuration.max_steps, ": a trial goes as far as --budget says, ", request_.options.budget,
            "; leave it out, or give --budget \"", configuration.max_steps, " steps\"");
    const double margin = train::parse_duration("--time-margin", configuration.time_margin);
    require(configuration.time_limit.empty() ||
                train::parse_duration("--time-limit", configuration.time_limit) > margin,
            ErrorKind::usage, "--time-limit ", configuration.time_limit,
            " leaves no time before --time-margin ", configuration.time_margin,
            "; give more time or a smaller margin");
    require(request_.options.ranks_per_trial <= ranks(), ErrorKind::usage, "--ranks-per-trial ",
            request_.options.ranks_per_trial, " is more than the ", ranks(), " rank(s) of the job");
  });
  // What the variables of the study stand for is nothing that the data need.
  data_ = train::prepare_training_data(world_, node_, request_.configuration);
  const std::int64_t rows = data_->split.training.size();
  comm::together(world_, [&] {
    if (request_.kind == Kind::batch)
      question_.batches = parse_batch_sizes(request_.options.batch_sizes, rows);
    require(data_->opened.train->has_all_rows() || request_.options.ranks_per_trial == ranks(),
            ErrorKind::usage,
            "the rows do not fit into --memory-limit and are read from their files, which one trial at a "
            "time can "
            "do: give --ranks-per-trial ",
            ranks(), ", or more memory");
  });
  check_trials();
}

/// Of the job: a dry run is one process, whatever the job would be.
std::int64_t TrialStudy::ranks() const { return world_.is_alone() ? comm::ranks_of_job() : world_.size(); }

/// One trial of each batch size, and of each list each of its values.
std::vector<Trial> TrialStudy::kinds_of_trials() const {
  std::vector<Trial> kinds;
  for (const Trial& trial : summarise(question_, {}).trials) {
    if (!kinds.empty() && trial.batch == kinds.back().batch) continue;
    kinds.push_back(trial);
  }
  if (kinds.empty()) return kinds;
  const Trial first = kinds.front();
  const auto& variables = question_.space.variables();
  for (std::size_t i = 0; i < variables.size(); ++i)
    for (std::size_t value = 0; value < variables[i].values.size(); ++value) {
      Trial trial = first;
      trial.places[i] = (static_cast<double>(value) + 0.5) / static_cast<double>(variables[i].values.size());
      trial.settings = question_.space.settings(trial.places);
      kinds.push_back(std::move(trial));
    }
  return kinds;
}

/// What is wrong with the options of some trial is said before the first one begins.
void TrialStudy::check_trials() {
  const bool by_goal = question_.aim.has_goal && (request_.configuration.early_stopping.empty() ||
                                                  request_.configuration.early_stopping == "none");
  for (const Trial& trial : kinds_of_trials()) {
    train::Configuration configuration;
    comm::together(world_, [&] { configuration = configuration_of(trial); });
    const train::Prepared prepared = train::prepare(world_, data_, configuration, request_.threads);
    const std::string metric = by_goal ? prepared.goal->metric : prepared.stopping->metric();
    comm::together(world_, [&] {
      require(question_.metric.empty() || question_.metric == metric, ErrorKind::usage,
              "the best of trials by ", question_.metric, " and by ", metric,
              " cannot be compared; do not vary --early-stopping's metric");
    });
    question_.metric = metric;
  }
  question_.aim.larger_is_better = train::larger_is_better(question_.metric);
  comm::together(world_, [&] {
    std::set<std::string> losses;
    for (const Trial& trial : summarise(question_, {}).trials) losses.insert(configuration_of(trial).loss);
    remarks_ = remarks_on(request_, question_, losses);
  });
}

train::Configuration TrialStudy::configuration_of(const Trial& trial) const {
  Settings settings = trial.settings;
  settings.emplace_back("seed", std::to_string(trial.seed));
  train::Configuration configuration = request_.configuration;
  if (trial.batch > 0) configuration.batch_size = std::to_string(trial.batch);
  configuration = request_.with(configuration, settings);
  const std::int64_t rows = data_->split.training.size();
  const std::int64_t batch = parse_integer(configuration.batch_size).value_or(rows);
  const std::int64_t steps = budget_.steps_of(std::min(batch, rows), rows);
  if (steps > 0) {
    configuration.epochs = -1;
    configuration.max_steps = steps;
  } else if (configuration.epochs < 0 && configuration.max_steps == 0) {
    require(configuration.schedule == "constant" || configuration.schedule.starts_with("plateau"),
            ErrorKind::usage, "--budget ", request_.options.budget, ": --schedule ", configuration.schedule,
            " needs to know its length; give --max-steps too");
    configuration.max_steps = 1'000'000'000;
  }
  configuration.time_limit.clear();
  return configuration;
}

std::string TrialStudy::work(const comm::Communicator& group, const std::string& words,
                             const std::function<bool()>& must_stop) const {
  const Trial trial = trial_from(words);
  Report report;
  report.id = trial.id;
  try {
    train::Configuration configuration;
    comm::together(group, [&] { configuration = configuration_of(trial); });
    const auto gives_up = [&] {
      return must_stop() || (request_.signals != nullptr && request_.signals->stop());
    };
    train::TrialLimits limits;
    limits.seconds = budget_.seconds;
    limits.best_metric = question_.metric;
    if (trial.rung >= 0)
      limits.steps = steps_of_rung(configuration.max_steps, trial.rung, question_.rules.rungs);
    report = report_of(trial.id,
                       train::run_trial(group, data_, configuration, request_.threads, limits, gives_up));
  } catch (const comm::AgreedError& error) {
    // The group's alone: the other ranks of the job know nothing of it.
    if (error.kind() != ErrorKind::usage && error.kind() != ErrorKind::data)
      throw Error(error.kind(), text("trial ", trial.id, ": ", error.what()));
    report.record.outcome = "failed";
    report.record.message = error.what();
    report.record.best = report.record.noise_scale = std::nan("");
  }
  return to_text(report);
}

int TrialStudy::run() {
  if (request_.dry_run) return describe();
  Groups groups(world_, static_cast<int>(request_.options.ranks_per_trial),
                [&] { return request_.signals != nullptr && request_.signals->stop(); });
  std::optional<report::RunFolder> folder;
  std::optional<Ledger> ledger;
  std::optional<TrialManager> manager;
  comm::on_first_rank(world_, [&] { folder = open_study_folder(request_, data_->facts().fingerprint); });
  if (request_.on_folder) request_.on_folder(world_.broadcast(folder ? folder->path() : "", 0));
  comm::on_first_rank(world_, [&] {
    std::vector<std::string> names;
    for (const Variable& variable : question_.space.variables()) names.push_back(variable.name);
    ledger.emplace(*folder, names, question_.metric, request_.resume);
    manager.emplace(question_, *ledger, request_);
    announce(groups, manager->trials(), ledger->note());
  });
  write_environment(world_, request_, folder ? &*folder : nullptr);
  groups.run(manager ? &*manager : nullptr,
             [&](const std::string& words, const std::function<bool()>& must_stop) {
               return work(groups.mine(), words, must_stop);
             });
  std::int64_t code = 0;
  comm::on_first_rank(world_, [&] {
    const Summary summary = summarise(question_, ledger->found().records);
    if (!summary.complete()) code = 75;
    if (code == 0) ledger->put_in_order(summary.trials);
    finish_study(request_, *folder, question_, ledger->found(), summary, manager->stopped().value_or(""),
                 [&] { world_.poll(); });
  });
  world_.broadcast(&code, sizeof(code), 0);
  return static_cast<int>(code);
}

void TrialStudy::announce(const Groups& groups, const OpenTrials& trials, const std::string& note) const {
  if (request_.out == nullptr || request_.configuration.quiet) return;
  for (const std::string& one : data_->notes) std::fprintf(request_.out, "%s\n", one.c_str());
  for (const std::string& one : remarks_) std::fprintf(request_.out, "%s\n", one.c_str());
  if (!note.empty()) std::fprintf(request_.out, "note: %s\n", note.c_str());
  std::string line =
      text("study: ", groups.count(), " trial(s) at a time on ", request_.options.ranks_per_trial,
           " rank(s) each, ", trials.known(), " trials or more");
  if (trials.done() > 0) line += text(", ", trials.done(), " done before");
  std::fprintf(request_.out, "%s\n", line.c_str());
  if (groups.left_over() > 0)
    std::fprintf(request_.out,
                 "warning: %d rank(s) have nothing to do: %d is no multiple of --ranks-per-trial\n",
                 groups.left_over(), world_.size());
  std::fflush(request_.out);
}

int TrialStudy::describe() const {
  if (world_.rank() != 0 || request_.out == nullptr) return 0;
  const Summary plan = summarise(question_, {});
  std::string lines;
  for (const std::string& one : remarks_) lines += one + "\n";
  for (const std::int64_t batch : question_.batches) {
    const auto trials =
        std::ranges::count_if(plan.trials, [&](const Trial& one) { return one.batch == batch; });
    const std::int64_t rows = data_->split.training.size();
    lines += batch > 0 ? text("batch ", batch, ": ", trials, " trials to begin with, of at most ",
                              budget_.steps_of(batch, rows), " steps\n")
                       : text(trials, " trials to begin with\n");
  }
  const auto measured =
      static_cast<std::int64_t>(question_.batches.size()) * question_.rules.finalists * question_.rules.seeds;
  if (!question_.space.is_empty())
    lines += text("then ", measured, " trials that measure the best, and before them some about the best",
                  question_.rules.widenings > 0 ? " and beyond an edge that it lies on\n" : "\n");
  lines += "dry run: everything was checked, nothing was trained\n";
  std::fputs(lines.c_str(), request_.out);
  return 0;
}

}  // namespace trainer::study
