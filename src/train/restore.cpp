#include "restore.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>

#include "former_bests.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/comm/agreement.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::train {
namespace {

using checkpoint::get;

/// What differs between the run as it was and as it would go on, and how it is answered.
class Changes {
 public:
  Changes(const RunRequest& request, Records& records) : request_(request), records_(records) {}

  /// `name`: as --accept-change calls it.
  void meet(const std::string& name, ErrorKind kind, const std::string& what, const std::string& remedy) {
    require(is_accepted(name), kind, what, "; ", remedy, ", or go on with --accept-change ", name,
            " (the run is then no longer the one that was never stopped)");
    if (told_.insert(name).second)
      records_.note("warning: " + what + "; going on, as --accept-change " + name + " says");
  }

  bool is_accepted(const std::string& name) const {
    std::istringstream words(request_.accept_change);
    for (std::string word; words >> word;)
      if (word == name) return true;
    return false;
  }

 private:
  const RunRequest& request_;
  Records& records_;
  std::set<std::string> told_;
};

/// A checkpoint is good, but the best model that it speaks of is lost.
class BestIsMissing : public Error {
 public:
  using Error::Error;
};

/// What a checkpoint says of the run that it belongs to.
struct Identity {
  std::string config, fingerprint, row_weights, arithmetic, isa;
  std::int64_t results_version = 0;
};

Identity read_identity(const checkpoint::Checkpoint& file, const std::string& where) {
  return {get<std::string>(file.root, "config", where),
          get<std::string>(file.model_attributes, "fingerprint", where),
          get<std::string>(file.model_attributes, "row_weights", where),
          get<std::string>(file.root, "arithmetic", where),
          get<std::string>(file.root, "isa", where),
          get<std::int64_t>(file.root, "results_version", where)};
}

void require_same_run(const Identity& was, const std::string& where, const Prepared& prepared,
                      const RunFacts& facts, const RunRequest& request, Changes& changes) {
  if (request.require_same_bits) request.require_same_bits(was.config, facts.config);
  const std::string fingerprint = prepared.data->facts().fingerprint;
  const std::string row_weights = prepared.data->weights_digest();
  if (was.row_weights != row_weights)
    changes.meet("data", ErrorKind::data,
                 text(where, ": the run was trained with row weights of digest ", was.row_weights,
                      ", --sample-weights and --class-weights give ", row_weights),
                 "give the same --sample-weights");
  if (was.fingerprint != fingerprint)
    changes.meet("data", ErrorKind::data,
                 text(where, ": the run was trained on data with fingerprint ", was.fingerprint, ", --data ",
                      request.configuration.data, " has ", fingerprint),
                 "give the same data");
  if (was.arithmetic != facts.arithmetic)
    changes.meet("arithmetic", ErrorKind::communication,
                 text(where, ": written by processors or libraries that compute otherwise (", was.isa,
                      ", here ", nn::onednn_isa(), "): the run could not continue with the same bits"),
                 "use such machines, or limit both with --isa");
  if (was.results_version != kResultsVersion)
    changes.meet("version", ErrorKind::usage,
                 text(where, ": written by a version of trainer whose results differ from this one's (",
                      was.results_version, ", here ", kResultsVersion, ")"),
                 "use that version");
}

std::string shown(const checkpoint::Attribute& value) {
  if (const auto* words = std::get_if<std::string>(&value)) return '"' + *words + '"';
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return text(*whole);
  if (const auto* number = std::get_if<double>(&value)) return format_number(*number);
  return "a list";
}

/// What follows from the run's settings and its progress must stand in the file as this program would write
/// it.
void require_as_written(const checkpoint::Checkpoint& file, const checkpoint::Checkpoint& expected,
                        bool same_data, const std::string& where) {
  const auto compare = [&](const checkpoint::Attributes& found, const checkpoint::Attributes& wanted,
                           const char* group, const std::vector<std::string>& free) {
    for (const auto& [name, value] : wanted) {
      if (std::ranges::find(free, name) != free.end()) continue;
      const auto place = found.find(name);
      require(place != found.end() && place->second == value, ErrorKind::data, where, ": ", group,
              ": attribute '", name, "' is ", place == found.end() ? "missing" : shown(place->second),
              ", the run has ", shown(value));
    }
  };
  std::vector<std::string> free = {"data", "fingerprint", "row_weights"};
  if (!same_data) free.insert(free.end(), {"classes", "class_names", "encoding"});
  compare(file.model_attributes, expected.model_attributes, "/model", free);
  compare(file.optimizer_attributes, expected.optimizer_attributes, "/optimizer", {});
  // The rest of /progress is the run's own account, which nothing else tells.
  if (same_data)
    for (const char* name : {"epoch", "row"})
      compare(file.progress, {{name, expected.progress.at(name)}}, "/progress", {});
  compare(file.scaling_attributes, expected.scaling_attributes, "/scaling", {});
  require(!same_data || file.scaling == expected.scaling, ErrorKind::data, where,
          ": /scaling holds other values than the data give");
}

/// The best model as a checkpoint saw it.
struct FoundBest {
  std::shared_ptr<const BestModel> model;       ///< null: none yet
  std::optional<checkpoint::Checkpoint> lacks;  ///< what best.h5 must hold, where it does not
};

/// From best.h5, a former best, or a checkpoint that holds it itself. Throws BestIsMissing when it is
/// nowhere.
FoundBest find_best(const checkpoint::Checkpoint& file, const std::string& where, const Progress& progress,
                    const nn::Network& network, const report::RunFolder& folder) {
  const auto& digest = get<std::string>(file.progress, "best_digest", where);
  if (digest.empty()) return {};
  std::vector<std::string> places = {folder.best_checkpoint()};
  for (const std::string& path : list_former_bests(folder)) places.push_back(path);
  for (const auto& step : checkpoint::list_checkpoints(folder.checkpoint_folder()))
    if (step.step == progress.stopping.best_step) places.push_back(step.path.string());
  for (const std::string& path : places) {
    checkpoint::Checkpoint found;
    auto best = std::make_shared<BestModel>();
    try {
      found = checkpoint::read(path);
      if (get<std::string>(found.root, "weights", path) != digest) continue;
      best->model = read_model(network, found.model, path);
      best->progress = read_progress(found, path);
    } catch (const Error&) {  // missing or bad: the next place
      continue;
    }
    if (path == folder.best_checkpoint()) return {best, std::nullopt};
    found.optimizer.clear();  // best.h5 is a model, not a place to continue from
    return {best, std::move(found)};
  }
  throw BestIsMissing(ErrorKind::data, text(where, ": the best model that it speaks of (weights ", digest,
                                            ") is nowhere in the run folder"));
}

/// A checkpoint that a run can go on from, and what is to be written before it does.
struct Candidate {
  Restored run;
  std::optional<checkpoint::Checkpoint> best_file;  ///< best.h5 lacks it
};

/// Everything that a run needs of its checkpoint. Writes nothing but the log. Throws Error(data) when it does
/// not fit the run.
Candidate read_state(checkpoint::Checkpoint file, const std::string& where, const Prepared& prepared,
                     const RunFacts& facts, const std::vector<std::string>& metrics_columns,
                     const report::RunFolder& folder, Changes& changes) {
  Candidate candidate;
  Restored& restored = candidate.run;
  restored.where = where;
  restored.progress = read_progress(file, where);
  restored.history = read_history(file);
  require(restored.history.columns == metrics_columns, ErrorKind::data, where,
          ": /history has other columns than this run");
  for (const auto& column : restored.history.values)
    require(static_cast<std::int64_t>(column.size()) == restored.progress.csv_rows.metrics, ErrorKind::data,
            where, ": /history has ", column.size(), " rows, /progress counts ",
            restored.progress.csv_rows.metrics);
  require(restored.progress.csv_rows.metrics >= 1 &&
              restored.history.values[1].back() <= static_cast<double>(restored.progress.step),
          ErrorKind::data, where, ": /history does not end at a step up to ", restored.progress.step);
  get<std::string>(file.progress, "goal", where);
  restored.model = read_model(*prepared.network, file.model, where);
  require(file.average.empty() != (facts.averages && restored.progress.step > 0), ErrorKind::data, where,
          ": /average is ", file.average.empty() ? "missing" : "there, but the run keeps none");
  if (!file.average.empty())
    restored.average = read_model(*prepared.network, file.average, where + " (its /average)");
  require_optimizer_state(prepared, file.optimizer, where);
  const Scalings saved = read_scalings(file, where);
  const Scalings& now = prepared.data->scalings;
  require(
      saved.inputs.features() == now.inputs.features() && saved.targets.features() == now.targets.features(),
      ErrorKind::data, where, ": /scaling has ", saved.inputs.features(), " columns of inputs and ",
      saved.targets.features(), " of targets, the data have ", now.inputs.features(), " and ",
      now.targets.features());
  const bool same_data =
      get<std::string>(file.model_attributes, "fingerprint", where) == prepared.data->facts().fingerprint;
  require_as_written(file, describe_attributes(prepared, facts, restored.progress), same_data, where);
  try {
    FoundBest best = find_best(file, where, restored.progress, *prepared.network, folder);
    restored.best = std::move(best.model);
    candidate.best_file = std::move(best.lacks);
  } catch (const BestIsMissing& error) {
    if (!changes.is_accepted("best")) throw;
    changes.meet("best", ErrorKind::data, error.what(), "");
    restored.progress.stopping.best_step = -1;  // the next evaluation is the best
  }
  restored.file = std::move(file);
  return candidate;
}

/// A bad checkpoint is named, and gets a name by which it can neither be taken for the newest again nor push
/// a good one out.
void set_aside(const checkpoint::BadCheckpoint& one, Records& records) {
  records.note(text("passed over ", one.reason));
  std::error_code error;
  std::filesystem::rename(one.path, one.path.string() + ".bad", error);
  require(!error, ErrorKind::data, one.path.string(), ": is bad and cannot be renamed: ", error.message(),
          "; make its folder writable or move it away");
}

/// The newest checkpoint that the run can go on from. Writes nothing but the log. `bad`: the newer ones.
Candidate choose(const Prepared& prepared, const RunFacts& facts, const RunRequest& request,
                 const std::vector<std::string>& metrics_columns, Records& records,
                 std::vector<checkpoint::BadCheckpoint>& bad) {
  const report::RunFolder& folder = records.folder();
  Changes changes(request, records);
  bool best_is_missing = false;
  std::optional<std::int64_t> newest;
  while (true) {
    auto found = checkpoint::find_newest_good(folder.checkpoint_folder(), newest);
    bad.insert(bad.end(), found.bad.begin(), found.bad.end());
    require(
        found.checkpoint.has_value(), ErrorKind::data, folder.path(), " holds no good checkpoint",
        bad.empty() ? "" : " (" + bad[0].reason + ")",
        best_is_missing
            ? "; put best.h5 back, or go on with --accept-change best: the next evaluation is the best then"
            : "; start anew with another --out");
    const std::string where = found.file->path.string();
    const auto pass_over = [&](const Error& error) {
      bad.push_back({found.file->path, error.what()});
      newest = found.file->step - 1;
    };
    std::optional<Identity> identity;
    try {
      identity = read_identity(*found.checkpoint, where);
    } catch (const Error& error) {
      pass_over(error);
      continue;
    }
    require_same_run(*identity, where, prepared, facts, request,
                     changes);  // its errors are the user's to solve
    try {
      return read_state(std::move(*found.checkpoint), where, prepared, facts, metrics_columns, folder,
                        changes);
    } catch (const BestIsMissing& error) {
      best_is_missing = true;
      pass_over(error);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      pass_over(error);
    }
  }
}

}  // namespace

Restored restore_run(const Prepared& prepared, const RunFacts& facts, const RunRequest& request,
                     const std::vector<std::string>& metrics_columns, Records& records) {
  std::vector<checkpoint::BadCheckpoint> bad;
  Candidate chosen = choose(prepared, facts, request, metrics_columns, records, bad);
  // A disk that takes no best.h5 is no fault of the checkpoint: it ends the resume, and all stays as it was.
  if (chosen.best_file) checkpoint::write(records.folder().best_checkpoint(), *chosen.best_file);
  for (const auto& one : bad) set_aside(one, records);
  return std::move(chosen.run);
}

std::optional<Scalings> saved_scalings(const comm::Communicator& world, const std::string& run) {
  std::optional<Scalings> scalings;
  comm::on_first_rank(world, [&] {
    try {
      const auto found = checkpoint::find_newest_good(run + "/checkpoints");
      if (!found.checkpoint) return;
      const std::string best = run + "/best.h5";
      if (checkpoint::read(best).scaling == found.checkpoint->scaling)
        scalings = read_scalings(*found.checkpoint, found.file->path.string());
    } catch (const Error&) {  // restore_run tells what is wrong, or passes the file over
    }
  });
  std::int64_t there = scalings ? 1 : 0;
  world.broadcast(&there, sizeof(there), 0);
  if (there == 0) return std::nullopt;
  if (!scalings) scalings.emplace();
  const auto share = [&](const data::Scaling& mine) {
    const std::string mode = world.broadcast(mine.mode_name(), 0);
    auto features = mine.features();
    world.broadcast(&features, sizeof(features), 0);
    std::vector<double> mean = mine.mean(), deviation = mine.deviation();
    for (std::vector<double>* values : {&mean, &deviation}) {
      values->resize(static_cast<std::size_t>(features));
      world.broadcast(values->data(), features * static_cast<std::int64_t>(sizeof(double)), 0);
    }
    std::int64_t fills = mine.fills_missing() ? 1 : 0;
    world.broadcast(&fills, sizeof(fills), 0);
    return data::Scaling(mode, std::move(mean), std::move(deviation), fills != 0);
  };
  const data::Scaling inputs = share(scalings->inputs);
  return Scalings{inputs, share(scalings->targets)};
}

void rebuild_metrics(const std::string& path, const History& history) {
  auto file = report::CsvFile::create(path, history.columns);
  for (std::size_t row = 0; row < history.values[0].size(); ++row) {
    std::vector<report::CsvCell> cells;
    for (std::size_t c = 0; c < history.columns.size(); ++c) {
      const double value = history.values[c][row];
      if (history.columns[c] == "step" || history.columns[c] == "samples")
        cells.emplace_back(static_cast<std::int64_t>(value));
      else
        cells.emplace_back(value);
    }
    file.append(cells);
  }
  file.flush();
}

}  // namespace trainer::train
