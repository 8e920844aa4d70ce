#include "trainer/train/run.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "compare.h"
#include "dry_run.h"
#include "records.h"
#include "snapshot.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/grammar.h"
#include "trainer/nn/onednn_facts.h"
#include "trainer/report/result.h"
#include "trainer/train/evaluator.h"
#include "trainer/train/self_test.h"
#include "trainer/train/signals.h"
#include "trainer/train/step.h"

namespace trainer::train {
namespace {

std::vector<std::int64_t> all_rows(std::int64_t count) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) rows[static_cast<std::size_t>(i)] = i;
  return rows;
}

std::string join(const std::vector<std::string>& parts, const std::string& between) {
  std::string all;
  for (const auto& part : parts) all += (all.empty() ? "" : between) + part;
  return all;
}

std::string four_digits(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof(buffer), std::abs(value) < 1e-3 && value != 0 ? "%.3e" : "%.4f", value);
  return std::isnan(value) ? "nan" : buffer;
}

/// What is known of the run when it ends.
struct Ending {
  int exit_code = 0;
  std::string reason;
};

/// One run, from the first step (or the one after a checkpoint) to its end.
class Session {
 public:
  Session(const comm::Communicator& world, const comm::Communicator& node, const RunRequest& request)
      : world_(world),
        request_(request),
        configuration_(request.configuration),
        team_(request.threads),
        prepared_(prepare(world, node, configuration_, request.threads)),
        order_(configuration_.seed, prepared_.data.split.training, prepared_.resolved.at("shuffle")) {}

  int run() {
    compare_ranks();
    make_passes();
    open_folder();
    progress_.horizon = prepared_.plan.total_steps;
    if (request_.resume)
      restore();
    else
      initialise();
    if (has_ended()) return finish({0, kFinishedBefore});
    progress_.ended = Progress::kNot;
    announce();
    if (!request_.resume) {
      Ending ending;
      const bool at_goal = evaluate(ending.reason) && progress_.ended == Progress::kGoal;
      if (!at_goal) progress_.ended = Progress::kNot;
      save();
      if (at_goal) return finish(ending);
    }
    const Ending ending = train();
    return finish(ending);
  }

 private:
  // ---- before the first step

  /// Whether the run that was resumed has nothing left to do: what ended it still holds.
  bool has_ended() {
    if (progress_.ended == Progress::kGoal && goal_text_ != configuration_.goal) {
      progress_.goal_step = -1;  // another goal was given
      return false;
    }
    return progress_.ended != Progress::kNot &&
           (progress_.ended != Progress::kAllSteps || progress_.step >= prepared_.plan.total_steps);
  }

  /// From here on a failure is written into the run's records: the run is under way.
  void announce() {
    if (request_.on_folder) request_.on_folder(folder_path_);
    describe_run();
  }

  void compare_ranks() {
    require_same_layout(world_, *prepared_.network);
    comm::require_same(world_, "the configuration",
                       request_.config_text ? request_.config_text(prepared_.resolved) : "");
    comm::together(world_, [&] {
      facts_.arithmetic =
          arithmetic_digest(*prepared_.network, prepared_.loss, prepared_.data.form, *prepared_.optimizer,
                            prepared_.plan.batch, prepared_.plan.shards, request_.threads);
    });
    comm::require_same(world_, "the arithmetic of the processors (digest)", facts_.arithmetic);
    comm::require_same(world_, "the run folder (--out)", configuration_.out);
    facts_.command = request_.command;
    facts_.config = request_.config_text ? request_.config_text(prepared_.resolved) : "";
    facts_.validation = configuration_.validation;
    facts_.split_seed = configuration_.split_seed;
    facts_.seed = configuration_.seed;
  }

  void make_passes() {
    const Plan& plan = prepared_.plan;
    const auto rows = static_cast<std::int64_t>(prepared_.data.split.training.size());
    Step::Settings settings;
    settings.shards = plan.shards;
    settings.batches = {plan.batch};
    if (rows % plan.batch != 0) settings.batches.push_back(rows % plan.batch);
    settings.penalty = {configuration_.l1, configuration_.l2, configuration_.penalty_scope == "all"};
    settings.clip_norm = configuration_.clip_norm;
    settings.report_gradient_norm = configuration_.log_steps;
    settings.seed = configuration_.seed;
    step_ = std::make_unique<Step>(world_, team_, *prepared_.network, prepared_.loss, prepared_.data.form,
                                   *prepared_.optimizer, settings);
    training_rows_ = std::make_unique<ListedRows>(*prepared_.data.opened.train, prepared_.data.scalings,
                                                  std::vector<std::int64_t>{});
    std::vector<std::int64_t> sizes;
    const auto add = [&](std::unique_ptr<ListedRows>& source, std::unique_ptr<Evaluator>& evaluator,
                         const data::DataSet& set, std::vector<std::int64_t> list) {
      source = std::make_unique<ListedRows>(set, prepared_.data.scalings, std::move(list));
      evaluator = std::make_unique<Evaluator>(world_, team_, *source, source->size());
      for (const std::int64_t size : Evaluator::sizes(source->size())) sizes.push_back(size);
    };
    if (prepared_.has_validation)
      add(validation_rows_, validation_, prepared_.data.validation_set(), prepared_.data.split.validation);
    if (prepared_.has_test)
      add(test_rows_, test_, *prepared_.data.opened.test, all_rows(prepared_.data.opened.test->facts().rows));
    inference_ = std::make_unique<nn::InferencePass>(*prepared_.network, prepared_.loss, prepared_.data.form,
                                                     request_.threads, sizes);
  }

  void open_folder() {
    std::optional<report::RunFolder> folder;
    comm::on_first_rank(world_, [&] {
      folder = request_.resume ? report::RunFolder::open(configuration_.out)
                               : report::RunFolder::create(configuration_.out, prepared_.data.facts().name);
    });
    folder_path_ = world_.broadcast(folder ? folder->path() : std::string(), 0);
    records_ = std::make_unique<Records>(std::move(folder), configuration_, request_.out);
    history_.columns = metrics_columns();
    history_.values.resize(history_.columns.size());
  }

  void initialise() {
    prepared_.network->initialise(configuration_.seed, step_->parameters().data(),
                                  step_->statistics().data());
    if (configuration_.init != "auto") take_weights(configuration_.init);
    comm::on_first_rank(world_, [&] {
      report::RunFolder& folder = records_->folder();
      folder.write("config.ini", request_.config_text(prepared_.resolved));
      folder.write_status({report::RunState::running, 0, 0, "", ""});
      records_->open_files(history_.columns, configuration_.log_steps, false, 0, 0, 0);
    });
    write_environment();
  }

  /// `--init FILE|RUN`.
  void take_weights(const std::string& source) {
    comm::on_first_rank(world_, [&] {
      const std::string file = std::filesystem::is_directory(source)
                                   ? (std::filesystem::path(source) / "best.h5").string()
                                   : source;
      set_model(*prepared_.network, checkpoint::read_weights(file), true, "--init " + file,
                step_->parameters(), step_->statistics());
    });
    broadcast_model();
  }

  void broadcast_model() {
    world_.broadcast(step_->parameters().data(), static_cast<std::int64_t>(step_->parameters().size_bytes()),
                     0);
    world_.broadcast(step_->statistics().data(), static_cast<std::int64_t>(step_->statistics().size_bytes()),
                     0);
  }

  /// The newest good checkpoint of the run, on every rank.
  void restore() {
    checkpoint::Checkpoint file;
    std::string where;
    comm::on_first_rank(world_, [&] {
      const report::RunFolder& folder = records_->folder();
      where = choose_checkpoint(file);
      set_model(*prepared_.network, file.model, false, where, step_->parameters(), step_->statistics());
      progress_ = read_progress(file, where);
      goal_text_ = checkpoint::get<std::string>(file.progress, "goal", where);
      history_ = read_history(file);
      require(history_.columns == metrics_columns(), ErrorKind::data, where,
              ": /history has other columns than this run");
      newest_checkpoint_ = "checkpoints/" + checkpoint::step_file_name(progress_.step);
      if (!std::filesystem::exists(folder.file("timing.csv"))) progress_.timing_rows = 0;
      if (!std::filesystem::exists(folder.file("steps.csv"))) progress_.steps_rows = 0;
      if (!std::filesystem::exists(folder.file("metrics.csv"))) rebuild_metrics(folder.file("metrics.csv"));
      records_->open_files(history_.columns, configuration_.log_steps, true, progress_.metrics_rows,
                           progress_.timing_rows, progress_.steps_rows);
      folder.write("config.ini", request_.config_text(prepared_.resolved));  // what is free may have changed
    });
    broadcast_model();
    world_.broadcast(&progress_, sizeof(progress_), 0);
    goal_text_ = world_.broadcast(goal_text_, 0);
    scatter_optimizer(world_, prepared_, file.optimizer, where, *step_);
    comm::on_first_rank(world_, [&] {
      if (has_ended()) return;
      records_->note(text("resumed from ", where, " at step ", progress_.step));
      records_->folder().write_status({report::RunState::running, 0, progress_.step, "", newest_checkpoint_});
    });
  }

  /// Rank 0: the newest checkpoint that is good and whose best model is there; the newer ones are set aside,
  /// so that they can neither be taken for the newest again nor push good ones out. Returns its path.
  std::string choose_checkpoint(checkpoint::Checkpoint& file) {
    const std::string folder = records_->folder().checkpoint_folder();
    std::vector<checkpoint::BadCheckpoint> bad;
    std::optional<std::int64_t> newest;
    while (true) {
      auto found = checkpoint::find_newest_good(folder, newest);
      bad.insert(bad.end(), found.bad.begin(), found.bad.end());
      require(found.checkpoint.has_value(), ErrorKind::data, records_->folder().path(),
              " holds no good checkpoint", bad.empty() ? "" : " (" + bad[0].reason + ")",
              "; start anew with another --out");
      const std::string where = found.file->path.string();
      require_same_run(*found.checkpoint, where);
      if (find_best(*found.checkpoint, where)) {
        file = std::move(*found.checkpoint);
        for (const auto& one : bad) {
          records_->note(text("passed over ", one.reason));
          std::filesystem::rename(one.path, one.path.string() + ".bad");
        }
        return where;
      }
      bad.push_back(
          {found.file->path, where + ": the best model that it speaks of is nowhere in the run folder"});
      newest = found.file->step - 1;
    }
  }

  /// metrics.csv again, from the checkpoint's history.
  void rebuild_metrics(const std::string& path) const {
    auto file = report::CsvFile::create(path, history_.columns);
    for (std::size_t row = 0; row < history_.values[0].size(); ++row) {
      std::vector<report::CsvCell> cells;
      for (std::size_t c = 0; c < history_.columns.size(); ++c) {
        const double value = history_.values[c][row];
        if (history_.columns[c] == "step" || history_.columns[c] == "samples")
          cells.emplace_back(static_cast<std::int64_t>(value));
        else
          cells.emplace_back(value);
      }
      file.append(cells);
    }
  }

  void require_same_run(const checkpoint::Checkpoint& file, const std::string& where) const {
    if (request_.require_same_bits)
      request_.require_same_bits(checkpoint::get<std::string>(file.root, "config", where), facts_.config);
    const auto& fingerprint = checkpoint::get<std::string>(file.model_attributes, "fingerprint", where);
    require(fingerprint == prepared_.data.facts().fingerprint, ErrorKind::data, where,
            ": the run was trained on data with fingerprint ", fingerprint, ", --data ", configuration_.data,
            " has ", prepared_.data.facts().fingerprint, "; give the same data");
    const auto& arithmetic = checkpoint::get<std::string>(file.root, "arithmetic", where);
    require(arithmetic == facts_.arithmetic, ErrorKind::communication, where,
            ": written by processors or libraries that compute otherwise (",
            checkpoint::get<std::string>(file.root, "isa", where), ", here ", nn::onednn_isa(),
            "): the run could not continue with the same bits; use such machines, or limit both with --isa");
  }

  /// Rank 0: the best model as a checkpoint saw it, from best.h5, the one before, or a checkpoint that holds
  /// it itself. Makes best.h5 that model again. False when it is nowhere.
  bool find_best(const checkpoint::Checkpoint& file, const std::string& where) {
    best_digest_ = checkpoint::get<std::string>(file.progress, "best_digest", where);
    if (best_digest_.empty()) return true;
    const report::RunFolder& folder = records_->folder();
    std::vector<std::string> places = {folder.best_checkpoint(), folder.file(kPreviousBest)};
    for (const auto& step : checkpoint::list_checkpoints(folder.checkpoint_folder()))
      places.push_back(step.path.string());
    for (const std::string& path : places) {
      checkpoint::Checkpoint best;
      try {
        best = checkpoint::read(path);
      } catch (const Error&) {  // missing or bad: the next place
        continue;
      }
      if (checkpoint::get<std::string>(best.root, "weights", path) != best_digest_) continue;
      best_ = {std::vector<float>(step_->parameters().size()),
               std::vector<float>(step_->statistics().size())};
      set_model(*prepared_.network, best.model, false, path, best_.parameters, best_.statistics);
      if (path != folder.best_checkpoint()) checkpoint::write(folder.best_checkpoint(), best);
      return true;
    }
    return false;
  }

  // ---- what is said about the run

  std::vector<std::string> metrics_columns() const {
    std::vector<std::string> columns = {"epoch", "step", "samples", "lr"};
    for (const auto& name : prepared_.metric_names) columns.push_back("train_" + name);
    if (prepared_.has_validation)
      for (const auto& name : prepared_.metric_names) columns.push_back("val_" + name);
    columns.push_back("penalty");
    return columns;
  }

  void write_environment() {
    const std::string mine = text("rank ", world_.rank(), " host ", comm::host_name(), " processors ",
                                  comm::cpus_of_process(), " of ", comm::cpus_of_node(), " threads ",
                                  request_.threads, comm::bound_by_launcher() ? " bound" : " not bound");
    const auto all = world_.all_gather(mine);
    comm::on_first_rank(world_, [&] {
      std::string lines = text("command ", request_.command, "\nranks ", world_.size(), "\nthreads ",
                               request_.threads, "\noneDNN ", nn::onednn_version(), " ", nn::onednn_isa(),
                               "\nMPI ", comm::mpi_library_version(), "\ncompiler ", __VERSION__,
                               "\narithmetic ", facts_.arithmetic, "\n");
      for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID"})
        if (const char* job = std::getenv(name)) lines += text("job ", job, "\n");
      records_->folder().write("environment.txt", lines + join(all, "\n") + "\n");
    });
  }

  void describe_run() {
    const nn::Network& network = *prepared_.network;
    const Plan& plan = prepared_.plan;
    const auto memory = world_.all_gather(step_->memory_bytes());
    if (!records_->active()) return;
    for (const std::string& line : prepared_.data.notes) records_->note(line);
    const auto training = prepared_.data.split.training.size();
    records_->note(text("data: ", prepared_.data.facts().name, ", ", training, " training rows, ",
                        prepared_.data.split.validation.size(), " validation rows, ",
                        prepared_.has_test ? prepared_.data.opened.test->facts().rows : 0, " test rows, ",
                        prepared_.data.facts().features, " inputs, task ", prepared_.data.task));
    records_->note(text("model: ", network.model().text(), " with ", network.parameter_count(),
                        " parameters, loss ", prepared_.loss.text));
    records_->note(text("training: ", prepared_.optimizer->text(), ", lr ", format_number(plan.rate),
                        ", schedule ", prepared_.schedule_text, ", batch ", plan.batch, " in ", plan.shards,
                        " shards, ", plan.steps_per_epoch, " steps an epoch, ", plan.total_steps, " steps"));
    records_->note(text("job: ", world_.size(), " rank", world_.size() == 1 ? "" : "s", " x ",
                        request_.threads, " thread", request_.threads == 1 ? "" : "s", ", ",
                        *std::max_element(memory.begin(), memory.end()) >> 20,
                        " MiB a rank for the training state, run folder ", records_->folder().path()));
    if (world_.size() > plan.shards)
      records_->note(text("warning: ", world_.size() - plan.shards, " of ", world_.size(),
                          " ranks have no shard to compute; with --shards ",
                          default_shards_for(world_.size()), " or more (it decides bits) every rank works"));
    if (step_->pieces_of_job() > world_.size() && world_.size() > 1 && world_.size() <= plan.shards)
      records_->log(text("exchange: the ", plan.shards, " shards lie on ", world_.size(), " ranks as ",
                         step_->pieces_of_job(),
                         " subtrees; a power of two of ranks sends the fewest bytes"));
  }

  static std::int64_t default_shards_for(int ranks) {
    std::int64_t shards = 1;
    while (shards < ranks) shards *= 2;
    return shards;
  }

  // ---- training

  Ending train() {
    const optim::Schedule schedule = prepared_.schedule(progress_.horizon);
    const double limit = time_limit();
    double saved_at = records_->seconds();
    row_start_ = step_->seconds();
    first_step_ = progress_.step;
    const auto rows = static_cast<std::int64_t>(prepared_.data.split.training.size());
    const Plan& plan = prepared_.plan;
    while (progress_.step < plan.total_steps) {
      const std::int64_t step = progress_.step + 1, epoch = progress_.step / plan.steps_per_epoch;
      const std::int64_t place = progress_.step % plan.steps_per_epoch * plan.batch;
      const std::int64_t batch = std::min(plan.batch, rows - place);
      const double rate = schedule.rate(step);
      StepRequests requests;
      bool time_is_up = false;
      if (request_.signals != nullptr)
        requests = {request_.signals->stop(), request_.signals->take_checkpoint()};
      if (world_.rank() == 0) {  // what the clock decides, rank 0 decides
        time_is_up = limit > 0 && since_start_.seconds() >= limit;
        requests.stop = requests.stop || time_is_up;
        requests.checkpoint =
            requests.checkpoint ||
            (plan.checkpoint_seconds > 0 && records_->seconds() - saved_at >= plan.checkpoint_seconds);
      }
      const Range mine = step_->rows(batch);
      training_rows_->take(order_, epoch, place + mine.begin, mine.size());
      const StepResult result = step_->run(*training_rows_, batch, step, rate, requests);
      take_in(result, step, rate);
      const bool last = step == plan.total_steps;
      bool stop = false;
      std::string reason = "all steps done";
      if (step % plan.evaluate_every == 0 || last) stop = evaluate(reason);
      const bool save_now = last || stop || result.stop_requested || result.checkpoint_requested ||
                            (plan.checkpoint_every > 0 && step % plan.checkpoint_every == 0);
      if (last && !stop) progress_.ended = Progress::kAllSteps;
      if (save_now) {
        save();
        saved_at = records_->seconds();
      }
      if (last || stop) return {0, reason};
      if (result.stop_requested) return {75, time_is_up ? "time limit" : "stopped on request"};
    }
    progress_.ended = Progress::kAllSteps;
    return {0, "all steps done"};
  }

  double time_limit() const {
    if (configuration_.time_limit.empty()) return 0;
    const double limit = parse_duration("--time-limit", configuration_.time_limit);
    return std::max(1e-9, limit - parse_duration("--time-margin", configuration_.time_margin));
  }

  void take_in(const StepResult& result, std::int64_t step, double rate) {
    progress_.step = step;
    progress_.loss_sum += result.loss_sum;
    progress_.correct_sum += result.correct;
    progress_.sum_rows += result.rows;
    row_samples_ += result.rows;
    if (!records_->active()) return;
    if (records_->with_steps()) {
      records_->steps_row({step, result.loss_sum / static_cast<double>(result.rows), rate,
                           result.gradient_norm, step_->bytes_sent_last_step()});
      ++progress_.steps_rows;
    }
    const Plan& plan = prepared_.plan;
    report::ProgressState state;
    state.epoch = (step - 1) / plan.steps_per_epoch + 1;
    state.epochs = (plan.total_steps + plan.steps_per_epoch - 1) / plan.steps_per_epoch;
    state.step = step;
    state.steps = plan.total_steps;
    state.first_step = first_step_;
    state.loss = progress_.loss_sum / static_cast<double>(progress_.sum_rows);
    if (prepared_.metric_names.size() > 1) {
      state.metric_name = "accuracy";
      state.metric = progress_.correct_sum / static_cast<double>(progress_.sum_rows);
    }
    const StepSeconds& seconds = step_->seconds();
    state.samples_per_second =
        static_cast<double>(row_samples_) / std::max(1e-9, seconds.total - row_start_.total);
    records_->progress(state);
  }

  std::int64_t samples_done() const {
    const Plan& plan = prepared_.plan;
    const auto rows = static_cast<std::int64_t>(prepared_.data.split.training.size());
    return progress_.step / plan.steps_per_epoch * rows +
           std::min(rows, progress_.step % plan.steps_per_epoch * plan.batch);
  }

  static void put(Metrics& metrics, const std::string& prefix, const nn::LossSums& sums, std::int64_t rows) {
    const auto count = static_cast<double>(rows);
    metrics[prefix + "loss"] = rows > 0 ? sums.loss / count : std::nan("");
    metrics[prefix + "accuracy"] = rows > 0 ? sums.correct / count : std::nan("");
  }

  /// A row of metrics.csv. True when training must end, with the reason.
  bool evaluate(std::string& reason) {
    Metrics metrics;
    put(metrics, "train_", {progress_.loss_sum, progress_.correct_sum}, progress_.sum_rows);
    if (prepared_.has_validation) {
      inference_->set(step_->parameters().data(), step_->statistics().data());
      put(metrics, "val_", validation_->run(*inference_), validation_->rows());
    }
    record(metrics);
    const bool best = prepared_.stopping->update(progress_.stopping, metrics, progress_.step);
    if (best && records_->active()) {
      best_.parameters.assign(step_->parameters().begin(), step_->parameters().end());
      best_.statistics.assign(step_->statistics().begin(), step_->statistics().end());
      best_progress_ = progress_;
      best_is_new_ = true;
    }
    progress_.loss_sum = progress_.correct_sum = 0;
    progress_.sum_rows = 0;
    if (prepared_.goal && progress_.goal_step < 0 && prepared_.goal->reached(metrics)) {
      progress_.goal_step = progress_.step;
      progress_.goal_samples = samples_done();
      progress_.ended = Progress::kGoal;
      goal_seconds_ = records_->seconds();
      reason = "goal reached: " + configuration_.goal;
      return true;
    }
    if (prepared_.stopping->must_stop(progress_.stopping)) {
      progress_.ended = Progress::kEarlyStopping;
      reason = text("early stopping: ", prepared_.stopping->metric(), " has not improved in ",
                    prepared_.stopping->patience(), " evaluations");
      return true;
    }
    return false;
  }

  void record(const Metrics& metrics) {
    const Plan& plan = prepared_.plan;
    const double epoch = static_cast<double>(progress_.step) / static_cast<double>(plan.steps_per_epoch);
    const double rate =
        progress_.step == 0 ? 0.0 : prepared_.schedule(progress_.horizon).rate(progress_.step);
    std::vector<double> row = {epoch, static_cast<double>(progress_.step),
                               static_cast<double>(samples_done()), rate};
    for (const auto& name : prepared_.metric_names) row.push_back(metrics.at("train_" + name));
    if (prepared_.has_validation)
      for (const auto& name : prepared_.metric_names) row.push_back(metrics.at("val_" + name));
    row.push_back(step_->penalty());
    history_.append(row);
    const double since = step_->seconds().total - row_start_.total;
    const double pace = since > 0 ? static_cast<double>(row_samples_) / since : 0;
    comm::on_first_rank(world_, [&] {
      std::vector<report::CsvCell> cells = {row[0], progress_.step, samples_done()};
      cells.insert(cells.end(), row.begin() + 3, row.end());
      records_->metrics_row(cells);
      const StepSeconds& now = step_->seconds();
      records_->timing_row({epoch, progress_.step, records_->seconds(), pace,
                            now.compute() - row_start_.compute(), now.communicate - row_start_.communicate,
                            now.wait - row_start_.wait, now.read - row_start_.read});
      std::string line =
          text("epoch ", format_number(std::round(epoch * 100) / 100), "  step ", progress_.step);
      for (std::size_t c = 4; c + 1 < row.size(); ++c)
        if (!std::isnan(row[c])) line += text("  ", history_.columns[c], " ", four_digits(row[c]));
      if (pace > 0) line += text("  ", report::rate_text(pace), " samples/s");
      records_->note(line);
    });
    ++progress_.metrics_rows;
    ++progress_.timing_rows;
    row_start_ = step_->seconds();
    row_samples_ = 0;
  }

  /// CSV rows, best.h5, checkpoint: in this order, so that each is there when the next speaks of it.
  void save() {
    const auto optimizer = gather_optimizer(prepared_, *step_);
    comm::on_first_rank(world_, [&] {
      records_->sync();
      report::RunFolder& folder = records_->folder();
      const bool new_best = best_is_new_;
      if (new_best) {
        auto file = describe(prepared_, facts_, history_, best_progress_, best_);
        best_digest_ = checkpoint::weights_digest(file.model);
        keep_previous_best();
        checkpoint::write(folder.best_checkpoint(), file);
        best_is_new_ = false;
      }
      const ModelValues model{{step_->parameters().begin(), step_->parameters().end()},
                              {step_->statistics().begin(), step_->statistics().end()}};
      auto file = describe(prepared_, facts_, history_, progress_, model);
      file.optimizer = optimizer;
      file.progress["best_digest"] = best_digest_;
      file.progress["goal"] = configuration_.goal;
      newest_checkpoint_ = "checkpoints/" + checkpoint::step_file_name(progress_.step);
      checkpoint::write(folder.file(newest_checkpoint_), file);
      checkpoint::keep_newest(folder.checkpoint_folder(), configuration_.keep);
      folder.write_status({report::RunState::running, 0, progress_.step, "", newest_checkpoint_});
    });
  }

  /// The best model before the new one stays: an older checkpoint may speak of it.
  void keep_previous_best() {
    const report::RunFolder& folder = records_->folder();
    if (!std::filesystem::exists(folder.best_checkpoint())) return;
    std::filesystem::remove(folder.file(kPreviousBest));
    std::error_code no_links;
    std::filesystem::create_hard_link(folder.best_checkpoint(), folder.file(kPreviousBest), no_links);
    if (no_links) std::filesystem::copy_file(folder.best_checkpoint(), folder.file(kPreviousBest));
  }

  // ---- the end

  int finish(const Ending& ending) {
    records_->finish_progress();
    nn::LossSums test_sums;
    const bool finished = ending.exit_code == 0;
    if (finished && prepared_.has_test) {
      broadcast_best();
      inference_->set(best_.parameters.data(), best_.statistics.data());
      test_sums = test_->run(*inference_);
    }
    const auto bytes = world_.all_gather(step_->bytes_sent());
    comm::on_first_rank(
        world_, [&] { write_result(ending, test_sums, *std::max_element(bytes.begin(), bytes.end())); });
    return ending.exit_code;
  }

  /// Where nothing was ever evaluated as best (no validation, no step), the model as it is.
  void broadcast_best() {
    if (progress_.stopping.best_step < 0) {
      best_ = {{step_->parameters().begin(), step_->parameters().end()},
               {step_->statistics().begin(), step_->statistics().end()}};
      return;
    }
    best_.parameters.resize(step_->parameters().size());
    best_.statistics.resize(step_->statistics().size());
    world_.broadcast(best_.parameters.data(),
                     static_cast<std::int64_t>(best_.parameters.size() * sizeof(float)), 0);
    world_.broadcast(best_.statistics.data(),
                     static_cast<std::int64_t>(best_.statistics.size() * sizeof(float)), 0);
  }

  /// The figures of the best model: its evaluation, and the test set's.
  Metrics final_metrics(const nn::LossSums& test_sums, bool finished) const {
    Metrics metrics;
    if (prepared_.has_validation)
      for (std::size_t row = 0; row < history_.values[1].size(); ++row)
        if (static_cast<std::int64_t>(history_.values[1][row]) == progress_.stopping.best_step)
          for (std::size_t c = 0; c < history_.columns.size(); ++c)
            if (history_.columns[c].rfind("val_", 0) == 0)
              metrics[history_.columns[c]] = history_.values[c][row];
    if (finished && prepared_.has_test) put(metrics, "test_", test_sums, test_->rows());
    return metrics;
  }

  void write_result(const Ending& ending, const nn::LossSums& test_sums, std::int64_t bytes) {
    const bool finished = ending.exit_code == 0;
    const std::string digest = weights_digest(*prepared_.network, step_->parameters(), step_->statistics());
    const Metrics metrics = final_metrics(test_sums, finished);
    report::JsonObject result;
    result.add("step", progress_.step)
        .add("epoch",
             static_cast<double>(progress_.step) / static_cast<double>(prepared_.plan.steps_per_epoch));
    result.add("reason", ending.reason).add("exit_code", ending.exit_code);
    result.add("best_step", progress_.stopping.best_step).add("best_metric", prepared_.stopping->metric());
    for (const auto& [name, value] : metrics) result.add(name, value);
    if (progress_.goal_step >= 0)
      result.add("goal", configuration_.goal)
          .add("goal_step", progress_.goal_step)
          .add("goal_samples", progress_.goal_samples)
          .add("goal_seconds", goal_seconds_);
    result.add("parameters", prepared_.network->parameter_count())
        .add("ranks", world_.size())
        .add("threads", request_.threads);
    result.add("training_seconds", step_->seconds().total).add("bytes_sent_largest_rank", bytes);
    result.add("bytes_sent_last_step", step_->bytes_sent_last_step()).add("weights", digest);
    report::RunFolder& folder = records_->folder();
    if (ending.reason != kFinishedBefore) {  // a finished run's records stay as they are
      records_->sync();
      folder.write("result.json", result.text() + "\n");
      folder.write_status({finished ? report::RunState::finished : report::RunState::stopped,
                           ending.exit_code, progress_.step, ending.reason, newest_checkpoint_});
    }
    std::string line = text(finished ? "done: step " : "stopped: step ", progress_.step);
    const std::string shown = prepared_.metric_names.back();
    for (const char* prefix : {"val_", "test_"})
      if (const auto found = metrics.find(prefix + shown); found != metrics.end())
        line += text(", ", found->first, " ", four_digits(found->second));
    line += ", weights " + digest;
    if (ending.reason != "all steps done") records_->note(ending.reason);
    records_->log(
        text("bytes sent by the busiest rank: ", bytes,
             "; gradients and parameters of the last step, rank 0: ", step_->bytes_sent_last_step()));
    records_->log(line);
    if (request_.out != nullptr) {
      if (!finished) std::fprintf(request_.out, "continue with: trainer resume %s\n", folder.path().c_str());
      std::fprintf(request_.out, "%s\n", line.c_str());
      std::fflush(request_.out);
    }
  }

  static constexpr const char* kFinishedBefore = "finished before";
  static constexpr const char* kPreviousBest = ".best-before.h5";

  Stopwatch since_start_;
  const comm::Communicator& world_;
  const RunRequest& request_;
  const Configuration& configuration_;
  Team team_;
  Prepared prepared_;
  data::EpochOrder order_;
  RunFacts facts_;
  std::unique_ptr<Step> step_;
  std::unique_ptr<ListedRows> training_rows_, validation_rows_, test_rows_;
  std::unique_ptr<Evaluator> validation_, test_;
  std::unique_ptr<nn::InferencePass> inference_;
  std::unique_ptr<Records> records_;
  Progress progress_, best_progress_;
  History history_;
  ModelValues best_;  // rank 0; everywhere at the end
  bool best_is_new_ = false;
  std::string best_digest_, newest_checkpoint_, folder_path_, goal_text_;
  StepSeconds row_start_;
  std::int64_t row_samples_ = 0, first_step_ = 0;  // of this process, since the last row
  double goal_seconds_ = 0;
};

}  // namespace

int run_training(const comm::Communicator& world, const RunRequest& request) {
  if (request.dry_run) return describe_dry_run(world, request);
  const comm::Communicator node = world.node();
  Session session(world, node, request);
  return session.run();
}

}  // namespace trainer::train
