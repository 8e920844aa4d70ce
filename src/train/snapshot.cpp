#include "snapshot.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>

#include "trainer/comm/agreement.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::train {
namespace {

using checkpoint::get;

constexpr std::int64_t kMostSteps = std::int64_t{1} << 53;

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char buffer[32];
  std::strftime(buffer, sizeof(buffer), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return buffer;
}

/// The whole numbers of Progress by name: one list for writing and reading.
template <class ProgressType, class Visit>
void visit_integers(ProgressType& progress, const Visit& visit) {
  visit("step", progress.step);
  visit("horizon", progress.horizon);
  visit("sum_rows", progress.sum_rows);
  visit("best_step", progress.stopping.best_step);
  visit("evaluations_without_improvement", progress.stopping.without);
  visit("schedule_seen", progress.schedule.seen);
  visit("schedule_without", progress.schedule.without);
  visit("schedule_reductions", progress.schedule.reductions);
  visit("metrics_rows", progress.csv_rows.metrics);
  visit("steps_rows", progress.csv_rows.steps);
  visit("timing_rows", progress.csv_rows.timing);
  visit("gradients_rows", progress.csv_rows.gradients);
  visit("ended", progress.ended);
  visit("goal_step", progress.goal_step);
  visit("goal_samples", progress.goal_samples);
}

template <class ProgressType, class Visit>
void visit_numbers(ProgressType& progress, const Visit& visit) {
  visit("loss_sum", progress.loss_sum);
  visit("correct_sum", progress.correct_sum);
  visit("best", progress.stopping.best);
  visit("stopping_reference", progress.stopping.reference);
  visit("schedule_best", progress.schedule.best);
  visit("noise_trace", progress.noise.trace);
  visit("noise_square", progress.noise.square);
}

std::vector<std::string> layer_names(const std::vector<nn::LayerSpec>& layers) {
  std::vector<std::string> names;
  for (const auto& layer : layers) names.push_back(layer.path.substr(layer.path.rfind('/') + 1));
  return names;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string all = "[";
  for (const auto extent : shape) all += (all.size() > 1 ? ", " : "") + std::to_string(extent);
  return all + "]";
}

}  // namespace

void History::append(const std::vector<double>& row) {
  for (std::size_t c = 0; c < columns.size(); ++c) values[c].push_back(row[c]);
}

ModelValues copy_of(std::span<const float> parameters, std::span<const float> statistics) {
  return {{parameters.begin(), parameters.end()}, {statistics.begin(), statistics.end()}};
}

std::vector<checkpoint::Tensor> model_tensors(const nn::Network& network, std::span<const float> parameters,
                                              std::span<const float> statistics) {
  std::vector<checkpoint::Tensor> tensors;
  for (const auto& tensor : network.parameters())
    tensors.push_back({tensor.path, tensor.shape, nn::Network::to_checkpoint(tensor, parameters.data())});
  for (const auto& tensor : network.statistics())
    tensors.push_back({tensor.path, tensor.shape, nn::Network::to_checkpoint(tensor, statistics.data())});
  return tensors;
}

std::string weights_digest(const nn::Network& network, std::span<const float> parameters,
                           std::span<const float> statistics) {
  return checkpoint::weights_digest(model_tensors(network, parameters, statistics));
}

void set_model(const nn::Network& network, const std::vector<checkpoint::Tensor>& tensors,
               bool statistics_may_lack, const std::string& where, std::span<float> parameters,
               std::span<float> statistics) {
  std::map<std::string, const checkpoint::Tensor*> given;
  for (const auto& tensor : tensors) given[tensor.path] = &tensor;
  const auto take = [&](const nn::Tensor& tensor, std::span<float> flat, bool may_lack) {
    const auto found = given.find(tensor.path);
    if (found == given.end() && may_lack) return;
    require(found != given.end(), ErrorKind::data, where, ": /model/", tensor.path,
            " is missing; the model needs ", shape_text(tensor.shape));
    require(found->second->shape == tensor.shape, ErrorKind::data, where, ": /model/", tensor.path,
            " has shape ", shape_text(found->second->shape), ", the model needs ", shape_text(tensor.shape));
    nn::Network::from_checkpoint(tensor, found->second->values, flat.data());
    given.erase(found);
  };
  for (const auto& tensor : network.parameters()) take(tensor, parameters, false);
  for (const auto& tensor : network.statistics()) take(tensor, statistics, statistics_may_lack);
  require(given.empty(), ErrorKind::data, where, ": /model/", given.empty() ? "" : given.begin()->first,
          " belongs to no layer of the model \"", network.model().text(), "\"");
}

ModelValues read_model(const nn::Network& network, const std::vector<checkpoint::Tensor>& tensors,
                       const std::string& where) {
  ModelValues model{std::vector<float>(static_cast<std::size_t>(network.parameter_floats())),
                    std::vector<float>(static_cast<std::size_t>(network.statistic_floats()))};
  set_model(network, tensors, false, where, model.parameters, model.statistics);
  return model;
}

checkpoint::Checkpoint describe_attributes(const Prepared& prepared, const RunFacts& facts,
                                           const Progress& progress) {
  const nn::Network& network = *prepared.network;
  const data::DataFacts& data = prepared.data->facts();
  const bool of_classes = data.kind == data::TargetKind::classes && !prepared.data->reconstructs();
  checkpoint::Checkpoint file;
  file.root = {{"created", now()},
               {"command", facts.command},
               {"precision", std::string(network.precision() == nn::Precision::bf16 ? "bf16" : "f32")},
               {"isa", nn::onednn_isa()},
               {"arithmetic", facts.arithmetic},
               {"config", facts.config},
               {"results_version", kResultsVersion},
               {"seed", static_cast<std::int64_t>(facts.seed)}};
  file.model_attributes = {{"model", network.model().text()},
                           {"layers", layer_names(network.model().layers())},
                           {"loss", prepared.loss.text},
                           {"input_size", network.model().inputs()},
                           {"output_size", network.model().outputs()},
                           {"task", prepared.data->task},
                           {"data", data.name},
                           {"fingerprint", data.fingerprint},
                           {"row_weights", prepared.data->weights_digest()},
                           {"validation", facts.validation},
                           {"split_seed", static_cast<std::int64_t>(facts.split_seed)},
                           {"classes", of_classes ? data.targets : std::int64_t{0}}};
  if (of_classes && !data.class_names.empty()) file.model_attributes["class_names"] = data.class_names;
  if (!data.encoding.empty()) file.model_attributes["encoding"] = data.encoding;
  const Scalings& scalings = prepared.data->scalings;
  file.scaling_attributes["inputs"] = scalings.inputs.mode_name();
  if (scalings.inputs.fills_missing()) file.scaling_attributes["missing"] = std::string("mean");
  file.scaling["mean"] = scalings.inputs.mean();
  file.scaling["deviation"] = scalings.inputs.deviation();
  if (scalings.targets.features() > 0) {
    file.scaling_attributes["targets"] = scalings.targets.mode_name();
    file.scaling["target_mean"] = scalings.targets.mean();
    file.scaling["target_deviation"] = scalings.targets.deviation();
  }
  file.optimizer_attributes = {{"text", prepared.optimizer->text()}, {"step", progress.step}};
  visit_integers(progress, [&](const char* name, std::int64_t value) { file.progress[name] = value; });
  visit_numbers(progress, [&](const char* name, double value) { file.progress[name] = value; });
  file.progress["epoch"] = progress.step / prepared.plan.steps_per_epoch;
  file.progress["row"] = progress.step % prepared.plan.steps_per_epoch * prepared.plan.batch;
  return file;
}

checkpoint::Checkpoint describe(const Prepared& prepared, const RunFacts& facts, const History& history,
                                const Progress& progress, const ModelValues& model) {
  checkpoint::Checkpoint file = describe_attributes(prepared, facts, progress);
  file.model = model_tensors(*prepared.network, model.parameters, model.statistics);
  for (std::size_t c = 0; c < history.columns.size(); ++c) {
    const auto& values = history.values[c];
    const auto rows = std::min(values.size(), static_cast<std::size_t>(progress.csv_rows.metrics));
    file.history.emplace_back(
        history.columns[c],
        std::vector<double>(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rows)));
  }
  return file;
}

Progress read_progress(const checkpoint::Checkpoint& file, const std::string& where) {
  Progress progress;
  const std::string place = "/progress of " + where;
  visit_integers(progress, [&](const char* name, std::int64_t& value) {
    value = get<std::int64_t>(file.progress, name, place);
  });
  visit_numbers(progress,
                [&](const char* name, double& value) { value = get<double>(file.progress, name, place); });
  const auto& stopping = progress.stopping;
  for (const std::int64_t count :
       {progress.step, progress.horizon, progress.sum_rows, stopping.without, progress.csv_rows.metrics,
        progress.csv_rows.steps, progress.csv_rows.timing, progress.csv_rows.gradients})
    require(count >= 0 && count <= kMostSteps, ErrorKind::data, place, ": a count is ", count,
            "; it must be from 0 to ", kMostSteps);
  for (const std::int64_t step : {stopping.best_step, progress.goal_step})
    require(step >= -1 && step <= progress.step, ErrorKind::data, place,
            ": the best model or the goal is of step ", step, ", the checkpoint of step ", progress.step);
  require((progress.horizon >= 1 || progress.step == 0) && progress.goal_samples >= 0, ErrorKind::data, place,
          ": horizon or goal_samples is below its least value");
  for (const double sum :
       {progress.loss_sum, progress.correct_sum, progress.noise.trace, progress.noise.square})
    require(std::isfinite(sum), ErrorKind::data, place, ": a sum or an average is not finite");
  require(progress.ended >= Progress::kNot && progress.ended <= Progress::kGoal, ErrorKind::data, place,
          ": ended is ", progress.ended, "; it must be from 0 to 3");
  return progress;
}

History read_history(const checkpoint::Checkpoint& file) {
  History history;
  for (const auto& [column, values] : file.history) {
    history.columns.push_back(column);
    history.values.push_back(values);
  }
  return history;
}

Scalings read_scalings(const checkpoint::Checkpoint& file, const std::string& where) {
  const std::string place = "/scaling of " + where;
  const auto values = [&](const std::string& name) {
    const auto found = file.scaling.find(name);
    require(found != file.scaling.end(), ErrorKind::data, place, ": ", name, " is missing");
    return found->second;
  };
  const auto scaling = [&](const std::string& name, const std::string& mean, const std::string& deviation) {
    const std::string mode = get<std::string>(file.scaling_attributes, name, place);
    require(mode != "log" || name == "targets", ErrorKind::data, place, ": log is for targets");
    try {
      return data::Scaling(mode, values(mean), values(deviation),
                           name == "inputs" && file.scaling_attributes.contains("missing"));
    } catch (const Error& error) {
      fail(ErrorKind::data, where, ": /scaling: ", error.what());
    }
  };
  Scalings scalings;
  scalings.inputs = scaling("inputs", "mean", "deviation");
  if (file.scaling_attributes.count("targets") > 0)
    scalings.targets = scaling("targets", "target_mean", "target_deviation");
  return scalings;
}

std::vector<checkpoint::Tensor> optimizer_tensors(const Prepared& prepared,
                                                  std::vector<std::vector<float>> states) {
  std::vector<checkpoint::Tensor> tensors;
  const auto& names = prepared.optimizer->state_names();
  for (std::size_t k = 0; k < names.size(); ++k) {
    for (const auto& tensor : prepared.network->parameters())
      tensors.push_back(
          {tensor.path + "/" + names[k], tensor.shape, nn::Network::to_checkpoint(tensor, states[k].data())});
    states[k] = {};
  }
  return tensors;
}

void require_optimizer_state(const Prepared& prepared, const std::vector<checkpoint::Tensor>& tensors,
                             const std::string& where) {
  std::map<std::string, std::vector<std::int64_t>> wanted;
  for (const auto& name : prepared.optimizer->state_names())
    for (const auto& tensor : prepared.network->parameters()) wanted[tensor.path + "/" + name] = tensor.shape;
  for (const auto& tensor : tensors) {
    const auto found = wanted.find(tensor.path);
    require(found != wanted.end(), ErrorKind::data, where, ": /optimizer/", tensor.path,
            " belongs to no state of the optimizer ", prepared.optimizer->text());
    require(found->second == tensor.shape, ErrorKind::data, where, ": /optimizer/", tensor.path,
            " has shape ", shape_text(tensor.shape), ", the parameter has ", shape_text(found->second));
    wanted.erase(found);
  }
  require(wanted.empty(), ErrorKind::data, where, ": /optimizer/",
          wanted.empty() ? "" : wanted.begin()->first, " is missing");
}

void scatter_optimizer(const comm::Communicator& world, const Prepared& prepared,
                       const std::vector<checkpoint::Tensor>& tensors, Step& step) {
  std::map<std::string, const checkpoint::Tensor*> given;
  for (const auto& tensor : tensors) given[tensor.path] = &tensor;
  const auto& names = prepared.optimizer->state_names();
  for (std::size_t k = 0; k < names.size(); ++k) {
    std::vector<float> flat(static_cast<std::size_t>(prepared.network->parameter_floats()));
    if (world.rank() == 0)
      for (const auto& tensor : prepared.network->parameters())
        nn::Network::from_checkpoint(tensor, given.at(tensor.path + "/" + names[k])->values, flat.data());
    world.broadcast(flat.data(), static_cast<std::int64_t>(flat.size() * sizeof(float)), 0);
    step.set_state(k, flat);
  }
}

}  // namespace trainer::train
