#include <algorithm>
#include <cstdio>
#include <fstream>

#include "details.h"
#include "ending.h"
#include "ensemble.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/grammar.h"
#include "trainer/report/result.h"
#include "trainer/train/evaluator.h"
#include "trainer/train/run.h"

namespace trainer::train {
namespace {

constexpr const char* kAll = "all";

std::string chosen_split(const std::string& asked, const PreparedData& data) {
  if (!asked.empty()) return asked;
  return data.opened.test != nullptr ? "test" : kAll;
}

/// The data set and rows of a split.
const data::DataSet& split_of(const PreparedData& data, const std::string& split,
                              std::vector<std::int64_t>& rows) {
  if (split == "train") {
    rows = data.split.training.list();
    return *data.opened.train;
  }
  if (split == kAll) {
    rows = data::RowSet::all(data.facts().rows).list();
    return *data.opened.train;
  }
  if (split == "validation") {
    require(!data.split.validation.empty(), ErrorKind::usage,
            "--split validation: there are no validation rows; give --validation");
    rows = data.split.validation.list();
    return data.validation_set();
  }
  require(data.opened.test != nullptr, ErrorKind::usage, "--split test: ", data.facts().name,
          " has no test split; leave --split out to take all rows, or say train or validation");
  for (std::int64_t row = 0; row < data.opened.test->facts().rows; ++row) rows.push_back(row);
  return *data.opened.test;
}

/// `name value` lines, and the same in JSON.
struct Figures {
  std::string lines;
  report::JsonObject json;
};

Figures describe(const EvaluateRequest& request, const std::string& split,
                 const std::vector<LoadedModel>& models, const PreparedData& data, const MetricList& metrics,
                 const Measured& measured) {
  Figures figures;
  std::vector<std::string> files;
  for (const LoadedModel& model : models) files.push_back(model.file);
  if (files.size() == 1)
    figures.json.add("model", files[0]);
  else
    figures.json.add("models", files);
  figures.json.add("data", data.facts().name).add("split", split).add("rows", measured.rows);
  Metrics values;
  put_metrics(values, "", measured, metrics);
  std::vector<std::string> names = {"loss"};
  if (models[0].task == "classification") names.emplace_back("accuracy");
  names.insert(names.end(), metrics.names().begin(), metrics.names().end());
  figures.lines = text("rows ", measured.rows, "\n");
  if (split == kAll) figures.lines += "split all (the data has no test split; --split says otherwise)\n";
  if (models.size() > 1) figures.lines += text("models ", models.size(), "\n");
  if (std::ranges::any_of(models, &LoadedModel::is_average)) figures.lines += "weights average\n";
  for (const std::string& name : names) {
    figures.json.add(name, values.at(name));
    figures.lines += text(name, " ", format_number(values.at(name)), "\n");
  }
  const RowFacts facts = data.row_facts(models[0].outputs);
  if (request.metrics.empty() && facts.classification && !metrics.measures().ranking)
    figures.lines +=
        text("auc left out: ", measured.rows, " rows of ", facts.classes(), " classes are more than ",
             MetricList::kMostScores, " scores to hold; ask for it with --metrics auc\n");
  add_details(figures.json, "", measured, data.facts());
  add_confusion(figures.json, measured);
  figures.lines += detail_lines(measured, data.facts());
  return figures;
}

void write_json(const std::string& path, const report::JsonObject& json) {
  std::ofstream file(path);
  file << json.text() << '\n';
  file.close();
  require(!file.fail(), ErrorKind::data, "--out ", path, " could not be written");
}

}  // namespace

int run_evaluation(const comm::Communicator& world, const EvaluateRequest& request) {
  const comm::Communicator node = world.node();
  std::vector<LoadedModel> models = load_models(world, request.models, request.threads);
  const LoadedModel& first = models.front();
  Configuration configuration = request.configuration;
  configuration.task = first.task;
  // All rows, or those of test, need no validation rows.
  configuration.validation = request.validation.value_or(request.split.empty() ? "0" : first.validation);
  configuration.split_seed = request.split_seed.value_or(static_cast<std::uint64_t>(first.split_seed));
  comm::together(world,
                 [&] { configuration.missing = settle_missing(models, configuration.missing, false); });
  const KnownModel known{first.scalings, first.class_names, first.encoding, false};
  const PreparedData data = prepare_data(world, node, configuration, &known);

  std::vector<std::int64_t> rows;
  const data::DataSet* set = nullptr;
  MetricList metrics;
  const RowFacts facts = data.row_facts(first.outputs);
  std::string split;
  comm::together(world, [&] {
    require_fit(first, data.facts());
    split = chosen_split(request.split, data);
    set = &split_of(data, split, rows);
    const auto count = static_cast<std::int64_t>(rows.size());
    metrics =
        MetricList(request.metrics.empty() ? MetricList::everything(facts, count) : request.metrics, facts);
  });

  if (data.scalings.targets.mode() == data::Scaling::Mode::log && set->has_all_rows())
    comm::together(world, [&] {  // one error of all, not a rank's
      data::require_positive_targets(world, *set, data::RowSet::of(rows));
    });

  std::vector<std::unique_ptr<const nn::RowSource>> sources;
  for (const LoadedModel& model : models)
    sources.push_back(std::make_unique<ListedRows>(*set, model.scalings, rows,
                                                   RowUse{.reconstructs = data.reconstructs()}));
  const nn::RowSource& source = *sources.front();
  const auto count = static_cast<std::int64_t>(rows.size());
  const auto sizes = Evaluator::sizes(count);
  const auto inference = [&]() -> std::unique_ptr<nn::Inference> {
    if (models.size() > 1)
      return std::make_unique<Ensemble>(models, std::move(sources), data.form, request.threads, sizes);
    auto pass =
        std::make_unique<nn::InferencePass>(*first.network, first.loss, data.form, request.threads, sizes);
    pass->set(first.parameters.data(), first.statistics.data());
    return pass;
  }();
  const Team team(request.threads);
  Evaluator evaluator(world, team, source, count, facts, metrics.measures().with_details(facts));
  const Measured measured = evaluator.run(*inference, data.target_scaling());
  comm::on_first_rank(world, [&] {
    const Figures figures = describe(request, split, models, data, metrics, measured);
    if (request.out != nullptr) {
      std::fputs(figures.lines.c_str(), request.out);
      std::fflush(request.out);
    }
    if (!request.out_json.empty()) write_json(request.out_json, figures.json);
  });
  return 0;
}

}  // namespace trainer::train
