#include "trainer/train/prepare.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "evaluated_model.h"
#include "row_weights.h"
#include "target_rules.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/digest.h"
#include "trainer/core/grammar.h"
#include "trainer/core/tree.h"
#include "trainer/nn/pass.h"
#include "trainer/optim/rate_scaling.h"

namespace trainer::train {
namespace {

const std::string kDefaultModel = "512-512";

std::string task_of(const Configuration& configuration, const data::DataFacts& facts) {
  const std::string natural = facts.kind == data::TargetKind::classes ? "classification" : "regression";
  return configuration.task.empty() ? natural : configuration.task;
}

/// `--batch-size`: a number, or `full`.
std::int64_t batch_of(const Configuration& configuration, std::int64_t rows,
                      std::vector<std::string>& notes) {
  if (configuration.batch_size == "full") return rows;
  const auto number = parse_integer(configuration.batch_size);
  require(number && *number >= 1, ErrorKind::usage, "--batch-size ", configuration.batch_size,
          ": expected a number of rows from 1 on, or full");
  if (*number > rows)
    notes.push_back(text("batch: ", *number, " rows were asked for, there are ", rows,
                         " training rows: every step takes all of them"));
  return std::min(*number, rows);
}

Plan make_plan(const Configuration& configuration, std::int64_t rows, const optim::Optimizer& optimizer,
               std::vector<std::string>& notes) {
  Plan plan;
  plan.batch = batch_of(configuration, rows, notes);
  plan.shards = configuration.shards > 0 ? configuration.shards : default_shards(plan.batch);
  plan.steps_per_epoch = (rows + plan.batch - 1) / plan.batch;
  const bool epochs_given = configuration.epochs >= 0;
  const std::int64_t epochs = epochs_given ? configuration.epochs : 20;
  constexpr std::int64_t kMostSteps = 1'000'000'000'000;
  require(epochs <= kMostSteps / plan.steps_per_epoch, ErrorKind::usage, "--epochs ", epochs, " of ",
          plan.steps_per_epoch, " steps are more than ", kMostSteps, " steps");
  plan.total_steps = epochs * plan.steps_per_epoch;
  if (configuration.max_steps > 0)
    plan.total_steps =
        epochs_given ? std::min(plan.total_steps, configuration.max_steps) : configuration.max_steps;
  plan.evaluate_every =
      optim::Length::parse("--evaluate-every", configuration.evaluate_every).steps(plan.steps_per_epoch);
  require(plan.evaluate_every > 0, ErrorKind::usage, "--evaluate-every ", configuration.evaluate_every,
          ": expected at least one step, as in 1 epoch or 500 steps");
  if (configuration.checkpoint_every.find("step") != std::string::npos ||
      configuration.checkpoint_every.find("epoch") != std::string::npos) {
    plan.checkpoint_every = optim::Length::parse("--checkpoint-every", configuration.checkpoint_every)
                                .steps(plan.steps_per_epoch);
    require(plan.checkpoint_every > 0, ErrorKind::usage, "--checkpoint-every ",
            configuration.checkpoint_every,
            ": expected at least one step, as in 1 epoch, 500 steps or 10 min");
  } else {
    plan.checkpoint_seconds = parse_duration("--checkpoint-every", configuration.checkpoint_every);
    require(plan.checkpoint_seconds > 0, ErrorKind::usage, "--checkpoint-every ",
            configuration.checkpoint_every, ": expected more than no time");
  }
  plan.rate = configuration.lr.value_or(optimizer.default_rate());
  return plan;
}

std::vector<std::string> evaluated_names(const Prepared& prepared) {
  std::vector<std::string> names;
  for (const std::string& metric : prepared.metric_names) names.push_back("train_" + metric);
  if (prepared.has_validation)
    for (const std::string& metric : prepared.evaluated()) names.push_back("val_" + metric);
  return names;
}

data::Split split_of(const Configuration& configuration, const data::OpenedData& opened) {
  const data::DataFacts& facts = opened.train->facts();
  data::Splittable splittable;
  splittable.rows = facts.rows;
  splittable.test_rows = opened.test ? opened.test->facts().rows : 0;
  splittable.own_rows = opened.validation ? opened.validation->facts().rows : 0;
  splittable.files = opened.files;
  splittable.groups = opened.groups;
  if (data::is_large(facts)) splittable.blocks = facts.blocks;
  return data::split_rows(configuration.validation, configuration.split_seed, splittable);
}

/// Which files validate, of --validation files(...).
std::string files_note(const data::OpenedData& opened, const data::Split& split) {
  constexpr std::size_t kMostNamed = 5;
  std::string names;
  std::size_t count = 0;
  for (const std::int64_t row : opened.files) {
    const std::int64_t at = split.validation.count_below(row);
    if (at == split.validation.size() || split.validation[at] != row || ++count > kMostNamed) continue;
    const std::string place = opened.train->place_of(row);  // FILE: row or line
    names += (names.empty() ? "" : ", ") + place.substr(0, place.rfind(": "));
  }
  return text("validation: ", count, count == 1 ? " file: " : " files: ", names,
              count > kMostNamed ? text(" and ", count - kMostNamed, " more") : "");
}

void resolve(Prepared& prepared, const Configuration& configuration, int threads) {
  const nn::Precision precision = nn::parse_precision(configuration.precision);
  const PreparedData& data = *prepared.data;
  prepared.notes = data.notes;
  const data::DataFacts& facts = data.facts();
  const std::string model_text = configuration.model.empty() ? kDefaultModel : configuration.model;
  const std::int64_t outputs = data.task == "autoencoder" ? facts.features : facts.targets;
  const bool two_classes =
      data.task == "classification" && facts.kind == data::TargetKind::classes && outputs == 2;
  const bool allow_one =
      two_classes && (configuration.loss.empty() ||
                      nn::Loss::parse(configuration.loss).joint_activation() != nn::LayerKind::softmax);
  nn::Model model(model_text, facts.features, outputs, allow_one);
  const std::string loss_text =
      configuration.loss.empty() ? nn::Loss::default_for(data.task, model.outputs()) : configuration.loss;
  prepared.loss = nn::Loss::parse(loss_text);
  require_fitting_targets(prepared.loss, data, model.outputs());
  prepared.optimizer = optim::Optimizer::parse(configuration.optimizer);
  prepared.plan = make_plan(configuration, data.split.training.size(), *prepared.optimizer, prepared.notes);
  prepared.tuning = Tuning::parse(configuration.tuning);
  prepared.network = std::make_unique<nn::Network>(
      nn::join(std::move(model), prepared.loss), threads,
      prepared.tuning.of_network(prepared.plan.batch / prepared.plan.shards, precision));
  prepared.order =
      std::make_unique<data::EpochOrder>(configuration.seed, data.split.training, data.shuffle, facts.blocks);
  const bool measures = configuration.population_statistics == "exact";  // in parts, which may be larger
  data.opened.train->require_room(
      *prepared.order, measures ? EvaluatedModel::part_rows(prepared.plan.batch) : prepared.plan.batch);
  prepared.averages = configuration.average > 0;
  prepared.tensor_norms = configuration.log_gradients;
  const double asked_rate = prepared.plan.rate;
  const optim::ScaledRate scaled =
      optim::scaled_rate(optim::parse_rate_scaling(configuration.lr_scaling), asked_rate, prepared.plan.batch,
                         configuration.reference_batch, *prepared.optimizer);
  prepared.plan.rate = scaled.rate;
  prepared.optimizer = optim::Optimizer::parse(scaled.optimizer);
  if (!scaled.note.empty()) prepared.notes.push_back(scaled.note);
  if (configuration.lr_scaling != "none")
    prepared.notes.push_back(text("--lr-scaling ", configuration.lr_scaling, ": ", format_number(asked_rate),
                                  " for ", configuration.reference_batch, " rows becomes ",
                                  format_number(scaled.rate), " for ", prepared.plan.batch, " (",
                                  prepared.optimizer->text(), ")"));
  require(configuration.average < 1, ErrorKind::usage, "--average ", format_number(configuration.average),
          ": expected a decay below 1, such as 0.999, or 0 for no average");
  prepared.schedule_text = configuration.schedule;
  prepared.warmup_text = configuration.warmup;
  (void)prepared.schedule(prepared.plan.total_steps);  // a bad text is an error now, not at the first step
  prepared.augmentation = data::Augmentation(configuration.augment, facts, configuration.seed);
  require(
      !prepared.augmentation.mixes() || data.row_weights.empty(), ErrorKind::usage, "--augment ",
      configuration.augment,
      ": mixup makes rows of two, which have no weight of their own; leave it out, or --class-weights and "
      "--sample-weights");
  require(!prepared.augmentation.mixes() || data.opened.train->has_all_rows(), ErrorKind::usage, "--augment ",
          configuration.augment,
          ": mixup takes any two rows together, and the rows stay in their files; leave it out, or give a "
          "larger --memory-limit");
  if (!prepared.augmentation.is_empty()) prepared.notes.push_back("augment: " + configuration.augment);
  prepared.metric_names = {"loss"};
  if (data.task == "classification") prepared.metric_names.push_back("accuracy");
  prepared.metrics = MetricList(configuration.metrics, data.row_facts(prepared.network->model().outputs()));
  prepared.has_validation = !data.split.validation.empty();
  prepared.has_test = configuration.test != "none" && data.opened.test != nullptr;
  prepared.stopping = std::make_unique<Stopping>(configuration.early_stopping, evaluated_names(prepared),
                                                 prepared.has_validation ? "val_loss" : "train_loss");
  prepared.goal = Goal::parse(configuration.goal, evaluated_names(prepared));
  prepared.resolved = {{"task", data.task},
                       {"model", model_text},
                       {"loss", loss_text},
                       {"lr", format_number(asked_rate)},
                       {"shards", std::to_string(prepared.plan.shards)},
                       {"scale", data.scalings.inputs.mode_name()},
                       {"shuffle", data.shuffle}};
  if (data.form == nn::TargetForm::values && !data.reconstructs())
    prepared.resolved["scale-targets"] = data.scalings.targets.mode_name();
  const double margin = parse_duration("--time-margin", configuration.time_margin);
  if (!configuration.time_limit.empty())
    require(parse_duration("--time-limit", configuration.time_limit) > margin, ErrorKind::usage,
            "--time-limit ", configuration.time_limit, " leaves no time before --time-margin ",
            configuration.time_margin, "; give more time or a smaller margin");
}

std::int64_t two_digits(const std::string& option, const std::string& whole, std::string_view part) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
  require(!part.empty() && error == std::errc() && end == part.data() + part.size() && value >= 0 &&
              value < 1'000'000,
          ErrorKind::usage, option, " ", whole, ": expected a time as in 90 min, 24:00:00 or 1-00:00:00");
  return value;
}

}  // namespace

double parse_duration(const std::string& option, const std::string& source) {
  if (source.find(':') == std::string::npos) {
    const ParsedText parsed(option, source);
    const auto& terms = parsed.sequence();
    const auto number = terms.empty() ? std::nullopt : parse_number(terms[0].name);
    if (terms.size() != 2 || !number || *number < 0 || *number > 1e9)
      parsed.fail_at(0, "expected a time as in 90 min, 30 s, 2 h, 24:00:00 or 1-00:00:00");
    const std::string& unit = terms[1].name;
    if (unit == "s" || unit == "seconds" || unit == "second") return *number;
    if (unit == "min" || unit == "minutes" || unit == "minute") return *number * 60;
    if (unit == "h" || unit == "hours" || unit == "hour") return *number * 3600;
    if (unit == "d" || unit == "days" || unit == "day") return *number * 86400;
    parsed.fail_at(terms[1].offset, "expected s, min, h or d");
  }
  std::string_view rest = source;
  std::int64_t days = 0;
  if (const auto dash = rest.find('-'); dash != std::string_view::npos) {
    days = two_digits(option, source, rest.substr(0, dash));
    rest.remove_prefix(dash + 1);
  }
  std::int64_t seconds = 0;
  int parts = 0;
  while (true) {
    const auto colon = rest.find(':');
    seconds = seconds * 60 + two_digits(option, source, rest.substr(0, colon));
    ++parts;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  require(parts == 3 || (parts == 2 && days == 0), ErrorKind::usage, option, " ", source,
          ": expected a time as in 90 min, 24:00:00 or 1-00:00:00");
  return static_cast<double>(days * 86400 + seconds);
}

data::Request request_of(const Configuration& configuration, const KnownModel* known) {
  data::Request request;
  request.data = configuration.data;
  request.task = configuration.task;
  request.inputs = configuration.inputs;
  request.targets = configuration.targets;
  request.row_axis = configuration.row_axis;
  request.targets_data = configuration.targets_data;
  request.target_columns = configuration.target_columns;
  request.missing = configuration.missing;
  request.follow_links = configuration.follow_links;
  request.trains = known == nullptr;
  request.groups = data::groups_path(configuration.validation);
  if (configuration.test != "none") request.test = configuration.test;
  if (data::names_files(configuration.validation)) request.validation = configuration.validation;
  if (known != nullptr) {
    request.class_names = known->class_names;
    request.encoding = known->encoding;
    request.without_targets = known->without_targets;
  }
  return request;
}

std::string PreparedData::weights_digest() const {
  return row_weights.empty() ? "" : digest_of(row_weights.data(), row_weights.size() * sizeof(float));
}

PreparedData prepare_data(const comm::Communicator& world, const comm::Communicator& node,
                          const Configuration& configuration, const KnownModel* known,
                          const Scalings* scalings) {
  PreparedData data;
  const bool reconstructs = configuration.task == "autoencoder";
  data.opened = data::open_data(world, node, request_of(configuration, known),
                                data::memory_limit(world, configuration.memory_limit));
  const data::DataFacts& facts = data.facts();
  comm::together(world, [&] {
    data.task = task_of(configuration, facts);
    data.form = facts.kind == data::TargetKind::classes ? nn::TargetForm::classes : nn::TargetForm::values;
    require(!reconstructs || configuration.scale_targets.empty(), ErrorKind::usage, "--scale-targets ",
            configuration.scale_targets,
            ": the targets of an autoencoder are its scaled inputs; leave it out, and take --scale");
    data.shuffle = data::resolved_shuffle(configuration.shuffle, facts);
    data.split = split_of(configuration, data.opened);
    if (configuration.validation_rows > 0)
      data.split.validation = data::spread(data.split.validation, configuration.validation_rows);
    data.notes = data.opened.notes;
    if (configuration.validation.starts_with("files("))
      data.notes.push_back(files_note(data.opened, data.split));
    if (known != nullptr)
      require(known->scalings.inputs.features() == facts.features, ErrorKind::data, "the model takes ",
              known->scalings.inputs.features(), " input columns, ", facts.name, " has ", facts.features);
  });
  if (known != nullptr) scalings = &known->scalings;
  if (scalings != nullptr && scalings->inputs.features() == facts.features) {
    data.scalings = *scalings;
  } else {
    // Distributions over classes stay as they are.
    const std::string targets_option = configuration.scale_targets.empty() && data.task == "classification"
                                           ? "none"
                                           : configuration.scale_targets;
    // What is collective in it fails everywhere or nowhere, so its errors are told once.
    comm::together(world, [&] {
      data.scalings.inputs = data::input_scaling(world, *data.opened.train, data.split.training,
                                                 configuration.scale, configuration.missing == "mean");
      if (!reconstructs)
        data.scalings.targets =
            data::target_scaling(world, *data.opened.train, data.split.training, targets_option);
      if (data.scalings.targets.mode() == data::Scaling::Mode::log) {
        data::require_positive_targets(world, data.validation_set(), data.split.validation);
        if (data.opened.test && configuration.test != "none")
          data::require_positive_targets(world, *data.opened.test,
                                         data::RowSet::all(data.opened.test->facts().rows));
      }
    });
  }
  return data;
}

std::vector<std::string> Prepared::evaluated() const {
  std::vector<std::string> names = metric_names;
  names.insert(names.end(), metrics.names().begin(), metrics.names().end());
  return names;
}

RowFacts PreparedData::row_facts(std::int64_t outputs) const {
  return {.classification = task == "classification", .form = form, .outputs = outputs};
}

std::shared_ptr<const PreparedData> prepare_training_data(const comm::Communicator& world,
                                                          const comm::Communicator& node,
                                                          const Configuration& configuration,
                                                          const std::optional<Scalings>& scalings) {
  comm::together(world, [&] { nn::parse_precision(configuration.precision); });  // before data are read
  PreparedData data = prepare_data(world, node, configuration, nullptr, scalings ? &*scalings : nullptr);
  data.row_weights = row_weights(world, configuration, data);
  return std::make_shared<const PreparedData>(std::move(data));
}

Prepared prepare(const comm::Communicator& world, std::shared_ptr<const PreparedData> data,
                 const Configuration& configuration, int threads) {
  Prepared prepared;
  prepared.data = std::move(data);
  comm::together(world, [&] { resolve(prepared, configuration, threads); });
  return prepared;
}

std::int64_t estimated_bytes(const Prepared& prepared, int ranks) {
  const comm::TreeDeal deal(prepared.plan.shards, ranks);
  std::size_t pieces = 1;
  std::int64_t shards = 1;
  for (int rank = 0; rank < ranks; ++rank) {
    pieces = std::max(pieces, deal.pieces[static_cast<std::size_t>(rank)].size());
    shards = std::max(shards, deal.runs[static_cast<std::size_t>(rank)].size());
  }
  const std::int64_t floats = prepared.network->parameter_floats();
  const std::int64_t rows = (prepared.plan.batch * shards + prepared.plan.shards - 1) / prepared.plan.shards;
  const auto states = static_cast<std::int64_t>(prepared.optimizer->state_names().size()) +
                      (prepared.averages ? 1 : 0) + (prepared.tensor_norms ? 1 : 0) +
                      (prepared.optimizer->is_layerwise() ? 1 : 0);
  // Parameters, a gradient a piece, the average that is evaluated.
  const auto copies = static_cast<std::int64_t>(pieces) + 1 + (prepared.averages ? 1 : 0);
  return 4 * floats * copies + 4 * floats * states / ranks + prepared.network->arranged_bytes() +
         rows * prepared.network->activation_bytes_per_row() +
         static_cast<std::int64_t>(prepared.data->row_weights.size()) * 4;
}

}  // namespace trainer::train
