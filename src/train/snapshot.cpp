#include "snapshot.h"

#include <algorithm>
#include <ctime>
#include <map>

#include "trainer/comm/agreement.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::train {
namespace {

using checkpoint::get;

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
  visit("metrics_rows", progress.metrics_rows);
  visit("steps_rows", progress.steps_rows);
  visit("timing_rows", progress.timing_rows);
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

checkpoint::Checkpoint describe(const Prepared& prepared, const RunFacts& facts, const History& history,
                                const Progress& progress, const ModelValues& model) {
  const nn::Network& network = *prepared.network;
  const data::DataFacts& data = prepared.data.facts();
  checkpoint::Checkpoint file;
  file.root = {{"created", now()},
               {"command", facts.command},
               {"precision", std::string("f32")},
               {"isa", nn::onednn_isa()},
               {"arithmetic", facts.arithmetic},
               {"config", facts.config},
               {"seed", static_cast<std::int64_t>(facts.seed)}};
  file.model_attributes = {
      {"model", network.model().text()},
      {"layers", layer_names(network.model().layers())},
      {"loss", prepared.loss.text},
      {"input_size", network.model().inputs()},
      {"output_size", network.model().outputs()},
      {"task", prepared.data.task},
      {"data", data.name},
      {"fingerprint", data.fingerprint},
      {"validation", facts.validation},
      {"split_seed", static_cast<std::int64_t>(facts.split_seed)},
      {"classes", data.kind == data::TargetKind::classes ? data.targets : std::int64_t{0}}};
  if (!data.class_names.empty()) file.model_attributes["class_names"] = data.class_names;
  file.model = model_tensors(network, model.parameters, model.statistics);
  const Scalings& scalings = prepared.data.scalings;
  file.scaling_attributes["inputs"] = scalings.inputs.mode_name();
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
  for (std::size_t c = 0; c < history.columns.size(); ++c)
    file.history.emplace_back(history.columns[c], history.values[c]);
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
  require(progress.step >= 0 && progress.horizon >= 0 && progress.sum_rows >= 0, ErrorKind::data, place,
          ": a count is negative");
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
  Scalings scalings;
  scalings.inputs = data::Scaling(get<std::string>(file.scaling_attributes, "inputs", place), values("mean"),
                                  values("deviation"));
  if (file.scaling_attributes.count("targets") > 0)
    scalings.targets = data::Scaling(get<std::string>(file.scaling_attributes, "targets", place),
                                     values("target_mean"), values("target_deviation"));
  return scalings;
}

std::vector<checkpoint::Tensor> gather_optimizer(const Prepared& prepared, const Step& step) {
  std::vector<checkpoint::Tensor> tensors;
  const auto& names = prepared.optimizer->state_names();
  for (std::size_t k = 0; k < names.size(); ++k) {
    const std::vector<float> flat = step.gather_state(k);
    if (flat.empty()) continue;  // another rank than 0
    for (const auto& tensor : prepared.network->parameters())
      tensors.push_back(
          {tensor.path + "/" + names[k], tensor.shape, nn::Network::to_checkpoint(tensor, flat.data())});
  }
  return tensors;
}

void scatter_optimizer(const comm::Communicator& world, const Prepared& prepared,
                       const std::vector<checkpoint::Tensor>& tensors, const std::string& where, Step& step) {
  const auto& names = prepared.optimizer->state_names();
  std::map<std::string, const checkpoint::Tensor*> given;
  for (const auto& tensor : tensors) given[tensor.path] = &tensor;
  for (std::size_t k = 0; k < names.size(); ++k) {
    std::vector<float> flat(static_cast<std::size_t>(prepared.network->parameter_floats()));
    comm::on_first_rank(world, [&] {
      for (const auto& tensor : prepared.network->parameters()) {
        const auto found = given.find(tensor.path + "/" + names[k]);
        require(found != given.end() && found->second->shape == tensor.shape, ErrorKind::data, where,
                ": /optimizer/", tensor.path, "/", names[k],
                " is missing or has another shape than the parameter");
        nn::Network::from_checkpoint(tensor, found->second->values, flat.data());
      }
    });
    world.broadcast(flat.data(), static_cast<std::int64_t>(flat.size() * sizeof(float)), 0);
    step.set_state(k, flat);
  }
}

}  // namespace trainer::train
