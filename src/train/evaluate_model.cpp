#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "compare.h"
#include "details.h"
#include "ending.h"
#include "snapshot.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/grammar.h"
#include "trainer/report/result.h"
#include "trainer/train/evaluator.h"
#include "trainer/train/run.h"

namespace trainer::train {
namespace {

/// A checkpoint as all ranks need it for inference; rank 0 reads the file.
struct LoadedModel {
  std::string file;
  std::string model, loss, task, validation;
  std::int64_t inputs = 0, outputs = 0, classes = 0, split_seed = 0;
  Scalings scalings;
  std::vector<checkpoint::Tensor> tensors;  // rank 0 only
  bool is_average = false;                  // likewise
};

std::vector<double> broadcast(const comm::Communicator& world, std::vector<double> values) {
  auto size = static_cast<std::int64_t>(values.size());
  world.broadcast(&size, sizeof(size), 0);
  values.resize(static_cast<std::size_t>(size));
  world.broadcast(values.data(), size * static_cast<std::int64_t>(sizeof(double)), 0);
  return values;
}

data::Scaling broadcast(const comm::Communicator& world, const data::Scaling& scaling) {
  const std::string mode = world.broadcast(scaling.mode_name(), 0);
  auto mean = broadcast(world, scaling.mean());
  auto deviation = broadcast(world, scaling.deviation());
  return mean.empty() ? data::Scaling::none(0) : data::Scaling(mode, std::move(mean), std::move(deviation));
}

LoadedModel load_model(const comm::Communicator& world, const std::string& path) {
  LoadedModel loaded;
  comm::on_first_rank(world, [&] {
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
    loaded.loss = text_of("loss");
    loaded.task = text_of("task");
    loaded.validation = text_of("validation");
    loaded.split_seed = number_of("split_seed");
    loaded.inputs = number_of("input_size");
    loaded.outputs = number_of("output_size");
    loaded.classes = number_of("classes");
    loaded.scalings = read_scalings(file, loaded.file);
    // With --average the average is the model that is evaluated; best.h5 holds nothing else.
    loaded.is_average = !file.average.empty();
    loaded.tensors = std::move(loaded.is_average ? file.average : file.model);
  });
  for (std::string* field : {&loaded.file, &loaded.model, &loaded.loss, &loaded.task, &loaded.validation})
    *field = world.broadcast(*field, 0);
  for (std::int64_t* field : {&loaded.inputs, &loaded.outputs, &loaded.classes, &loaded.split_seed})
    world.broadcast(field, sizeof(*field), 0);
  loaded.scalings.inputs = broadcast(world, loaded.scalings.inputs);
  loaded.scalings.targets = broadcast(world, loaded.scalings.targets);
  return loaded;
}

/// The data set and rows that --split names.
const data::DataSet& split_of(const PreparedData& data, const std::string& split,
                              std::vector<std::int64_t>& rows) {
  if (split == "train") {
    rows = data.split.training.list();
    return *data.opened.train;
  }
  if (split == "validation") {
    require(!data.split.validation.empty(), ErrorKind::usage,
            "--split validation: there are no validation rows; give --validation");
    rows = data.split.validation.list();
    return data.validation_set();
  }
  require(data.opened.test != nullptr, ErrorKind::usage, "--split test: ", data.facts().name,
          " has no test split; take --split train or validation");
  for (std::int64_t row = 0; row < data.opened.test->facts().rows; ++row) rows.push_back(row);
  return *data.opened.test;
}

void check_fit(const LoadedModel& model, const data::DataFacts& facts) {
  require(facts.features == model.inputs, ErrorKind::data, facts.name, " has ", facts.features,
          " input columns, ", model.file, " takes ", model.inputs);
  if (model.task == "autoencoder") return;
  if (facts.kind == data::TargetKind::classes)
    require(facts.targets <= std::max(model.classes, model.outputs), ErrorKind::data, facts.name, " has ",
            facts.targets, " classes, ", model.file, " knows ", std::max(model.classes, model.outputs));
  else
    require(facts.targets == model.outputs, ErrorKind::data, facts.name, " has ", facts.targets,
            " target columns, ", model.file, " gives ", model.outputs);
}

}  // namespace

int run_evaluation(const comm::Communicator& world, const EvaluateRequest& request) {
  const comm::Communicator node = world.node();
  const LoadedModel loaded = load_model(world, request.model);
  Configuration configuration;
  configuration.data = request.data;
  configuration.task = loaded.task;
  configuration.validation = request.validation.value_or(loaded.validation);
  configuration.split_seed = request.split_seed.value_or(static_cast<std::uint64_t>(loaded.split_seed));
  const KnownModel known{loaded.scalings, {}, "", false};
  const PreparedData data = prepare_data(world, node, configuration, &known);

  nn::Loss loss;
  std::unique_ptr<nn::Network> network;
  std::vector<float> parameters, statistics;
  std::vector<std::int64_t> rows;
  const data::DataSet* set = nullptr;
  MetricList metrics;
  const RowFacts facts = data.row_facts(loaded.outputs);
  comm::together(world, [&] {
    check_fit(loaded, data.facts());
    loss = nn::Loss::parse(loaded.loss);
    network = std::make_unique<nn::Network>(
        nn::join(nn::Model(loaded.model, loaded.inputs, loaded.outputs), loss), request.threads);
    parameters.resize(static_cast<std::size_t>(network->parameter_floats()));
    statistics.resize(static_cast<std::size_t>(network->statistic_floats()));
    if (world.rank() == 0) set_model(*network, loaded.tensors, false, loaded.file, parameters, statistics);
    set = &split_of(data, request.split, rows);
    const std::int64_t scaled = data.target_scaling().features();
    require(scaled == 0 || scaled == loaded.outputs, ErrorKind::data, loaded.file, ": /scaling has ", scaled,
            " columns of targets, the model ", loaded.outputs, " outputs");
    const auto count = static_cast<std::int64_t>(rows.size());
    metrics =
        MetricList(request.metrics.empty() ? MetricList::everything(facts, count) : request.metrics, facts);
  });
  require_same_layout(world, *network);
  world.broadcast(parameters.data(), static_cast<std::int64_t>(parameters.size() * sizeof(float)), 0);
  world.broadcast(statistics.data(), static_cast<std::int64_t>(statistics.size() * sizeof(float)), 0);

  const ListedRows source(*set, data.scalings, rows, {.reconstructs = data.reconstructs()});
  const auto sizes = Evaluator::sizes(source.size());
  nn::InferencePass pass(*network, loss, data.form, request.threads, sizes);
  pass.set(parameters.data(), statistics.data());
  const Team team(request.threads);
  Evaluator evaluator(world, team, source, source.size(), facts, metrics.measures().with_details(facts));
  const Measured measured = evaluator.run(pass, data.target_scaling());
  comm::on_first_rank(world, [&] {
    report::JsonObject json;
    json.add("model", loaded.file)
        .add("data", data.facts().name)
        .add("split", request.split)
        .add("rows", source.size());
    Metrics values;
    put_metrics(values, "", measured, metrics);
    std::vector<std::string> names = {"loss"};
    if (loaded.task == "classification") names.emplace_back("accuracy");
    names.insert(names.end(), metrics.names().begin(), metrics.names().end());
    std::string lines = text("rows ", source.size(), "\n", loaded.is_average ? "weights average\n" : "");
    for (const std::string& name : names) {
      json.add(name, values.at(name));
      lines += text(name, " ", format_number(values.at(name)), "\n");
    }
    if (request.metrics.empty() && facts.classification && !metrics.measures().ranking)
      lines += text("auc left out: ", source.size(), " rows of ", facts.classes(), " classes are more than ",
                    MetricList::kMostScores, " scores to hold; ask for it with --metrics auc\n");
    add_details(json, "", measured, data.facts());
    add_confusion(json, measured);
    lines += detail_lines(measured);
    if (request.out != nullptr) {
      std::fputs(lines.c_str(), request.out);
      std::fflush(request.out);
    }
    if (request.out_json.empty()) return;
    std::ofstream file(request.out_json);
    file << json.text() << '\n';
    file.close();
    require(!file.fail(), ErrorKind::data, "--out ", request.out_json, " could not be written");
  });
  return 0;
}

}  // namespace trainer::train
