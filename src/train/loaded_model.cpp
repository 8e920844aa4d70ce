#include "loaded_model.h"

#include <algorithm>
#include <filesystem>

#include "compare.h"
#include "snapshot.h"
#include "trainer/comm/agreement.h"

namespace trainer::train {
namespace {

std::int64_t broadcast(const comm::Communicator& world, std::int64_t value) {
  world.broadcast(&value, sizeof(value), 0);
  return value;
}

template <class T>
std::vector<T> broadcast(const comm::Communicator& world, std::vector<T> values) {
  values.resize(static_cast<std::size_t>(broadcast(world, static_cast<std::int64_t>(values.size()))));
  world.broadcast(values.data(), static_cast<std::int64_t>(values.size() * sizeof(T)), 0);
  return values;
}

std::vector<std::string> broadcast(const comm::Communicator& world, std::vector<std::string> texts) {
  texts.resize(static_cast<std::size_t>(broadcast(world, static_cast<std::int64_t>(texts.size()))));
  for (std::string& one : texts) one = world.broadcast(std::move(one), 0);
  return texts;
}

data::Scaling broadcast(const comm::Communicator& world, const data::Scaling& scaling) {
  const std::string mode = world.broadcast(scaling.mode_name(), 0);
  auto mean = broadcast(world, scaling.mean());
  auto deviation = broadcast(world, scaling.deviation());
  const bool fills = broadcast(world, std::int64_t{scaling.fills_missing()}) != 0;
  return mean.empty() ? data::Scaling::none(0)
                      : data::Scaling(mode, std::move(mean), std::move(deviation), fills);
}

template <class T>
T value_or(const checkpoint::Attributes& attributes, const std::string& name, const std::string& file) {
  return attributes.contains(name) ? checkpoint::get<T>(attributes, name, file) : T{};
}

/// The value of an option in the text of a config.ini; empty when it is not there.
std::string setting(const std::string& config, const std::string& name) {
  const std::string begin = "\n" + name + " = ";
  const std::size_t at = config.find(begin);
  if (at == std::string::npos) return "";
  return config.substr(at + begin.size(), config.find('\n', at + 1) - at - begin.size());
}

/// What the file says; returns its tensors.
std::vector<checkpoint::Tensor> read_file(const std::string& path, LoadedModel& loaded) {
  loaded.file =
      std::filesystem::is_directory(path) ? (std::filesystem::path(path) / "best.h5").string() : path;
  checkpoint::Checkpoint file = checkpoint::read(loaded.file);
  const auto text_of = [&](const char* name) {
    return checkpoint::get<std::string>(file.model_attributes, name, loaded.file);
  };
  const auto number_of = [&](const char* name) {
    return checkpoint::get<std::int64_t>(file.model_attributes, name, loaded.file);
  };
  loaded.model = text_of("model");
  loaded.loss_text = text_of("loss");
  loaded.task = text_of("task");
  loaded.validation = text_of("validation");
  loaded.split_seed = number_of("split_seed");
  loaded.inputs = number_of("input_size");
  loaded.outputs = number_of("output_size");
  loaded.classes = number_of("classes");
  loaded.encoding = value_or<std::string>(file.model_attributes, "encoding", loaded.file);
  loaded.class_names = value_or<std::vector<std::string>>(file.model_attributes, "class_names", loaded.file);
  loaded.scalings = read_scalings(file, loaded.file);
  const std::string missing = setting(value_or<std::string>(file.root, "config", loaded.file), "missing");
  loaded.missing = loaded.scalings.inputs.fills_missing() ? "mean" : missing == "drop" ? "drop" : "error";
  // With --average the average is the model that is asked for; best.h5 holds nothing else.
  loaded.is_average = !file.average.empty();
  return std::move(loaded.is_average ? file.average : file.model);
}

void share_facts(const comm::Communicator& world, LoadedModel& loaded) {
  for (std::string* field : {&loaded.file, &loaded.model, &loaded.loss_text, &loaded.task, &loaded.validation,
                             &loaded.encoding, &loaded.missing})
    *field = world.broadcast(*field, 0);
  for (std::int64_t* field : {&loaded.inputs, &loaded.outputs, &loaded.classes, &loaded.split_seed})
    *field = broadcast(world, *field);
  loaded.is_average = broadcast(world, std::int64_t{loaded.is_average}) != 0;
  loaded.class_names = broadcast(world, std::move(loaded.class_names));
  loaded.scalings.inputs = broadcast(world, loaded.scalings.inputs);
  loaded.scalings.targets = broadcast(world, loaded.scalings.targets);
}

void require_scaling(const LoadedModel& loaded) {
  require(loaded.scalings.inputs.features() == loaded.inputs, ErrorKind::data, loaded.file, ": /scaling has ",
          loaded.scalings.inputs.features(), " columns of inputs, the model ", loaded.inputs, " inputs");
  const std::int64_t scaled = loaded.target_scaling().features();
  require(scaled == 0 || scaled == loaded.outputs, ErrorKind::data, loaded.file, ": /scaling has ", scaled,
          " columns of targets, the model ", loaded.outputs, " outputs");
}

LoadedModel load_model(const comm::Communicator& world, const std::string& path, int threads) {
  LoadedModel loaded;
  std::vector<checkpoint::Tensor> tensors;
  comm::on_first_rank(world, [&] { tensors = read_file(path, loaded); });
  share_facts(world, loaded);
  comm::together(world, [&] {
    require_scaling(loaded);
    loaded.loss = nn::Loss::parse(loaded.loss_text);
    loaded.network = std::make_unique<nn::Network>(
        nn::join(nn::Model(loaded.model, loaded.inputs, loaded.outputs), loaded.loss), threads);
    loaded.parameters.resize(static_cast<std::size_t>(loaded.network->parameter_floats()));
    loaded.statistics.resize(static_cast<std::size_t>(loaded.network->statistic_floats()));
    if (world.rank() == 0)
      set_model(*loaded.network, tensors, false, loaded.file, loaded.parameters, loaded.statistics);
  });
  require_same_layout(world, *loaded.network);
  loaded.parameters = broadcast(world, std::move(loaded.parameters));
  loaded.statistics = broadcast(world, std::move(loaded.statistics));
  return loaded;
}

/// What models must have in common to stand for one, a line each.
std::string common_text(const LoadedModel& model) {
  std::string all = text(model.inputs, " inputs, ", model.outputs, " outputs, task ", model.task, ", ",
                         model.classes, " classes");
  for (const std::string& name : model.class_names) all += ", " + name;
  return all;
}

}  // namespace

std::vector<LoadedModel> load_models(const comm::Communicator& world, const std::vector<std::string>& paths,
                                     int threads) {
  std::vector<LoadedModel> models;
  for (const std::string& path : paths) {
    models.push_back(load_model(world, path, threads));
    const LoadedModel &first = models.front(), &last = models.back();
    comm::together(world, [&] {
      require(common_text(first) == common_text(last), ErrorKind::data, last.file, " has ", common_text(last),
              "; ", first.file, " has ", common_text(first), ": models of one ensemble must agree in these");
      require(first.encoding == last.encoding, ErrorKind::data, last.file, " and ", first.file,
              " make inputs of the columns of a table in different ways; take models of the same data");
    });
  }
  return models;
}

std::string settle_missing(std::vector<LoadedModel>& models, const std::string& asked, bool predicts) {
  require(!predicts || asked != "drop", ErrorKind::usage,
          "--missing drop: predictions are a row for each row of the data; take --missing mean");
  std::string missing = asked.empty() ? models.front().missing : asked;
  if (predicts && missing == "drop") missing = "error";  // which tells of --missing mean
  if (missing != "mean") return missing;
  for (LoadedModel& model : models) {
    data::Scaling& scaling = model.scalings.inputs;
    const bool has_means =
        scaling.mode() == data::Scaling::Mode::feature || scaling.mode() == data::Scaling::Mode::global;
    require(has_means, ErrorKind::usage, "--missing mean: ", model.file, " was trained with --scale ",
            scaling.mode_name(), " and knows no means; fill the missing values in",
            predicts ? "" : ", or say --missing drop");
    if (!scaling.fills_missing())
      scaling = data::Scaling(scaling.mode_name(), scaling.mean(), scaling.deviation(), true);
  }
  return missing;
}

void require_fit(const LoadedModel& model, const data::DataFacts& facts) {
  require(facts.features == model.inputs, ErrorKind::data, facts.name, " has ", facts.features,
          " input columns, ", model.file, " takes ", model.inputs);
  if (model.reconstructs() || facts.kind == data::TargetKind::none) return;
  if (facts.kind == data::TargetKind::classes)
    require(facts.targets <= std::max(model.classes, model.outputs), ErrorKind::data, facts.name, " has ",
            facts.targets, " classes, ", model.file, " knows ", std::max(model.classes, model.outputs));
  else
    require(facts.targets == model.outputs, ErrorKind::data, facts.name, " has ", facts.targets,
            " target columns, ", model.file, " gives ", model.outputs);
}

}  // namespace trainer::train
