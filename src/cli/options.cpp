#include "trainer/cli/options.h"

#include <algorithm>
#include <limits>
#include <sstream>
#include <utility>

#include "option_makers.h"
#include "trainer/core/grammar.h"

namespace trainer::cli {
namespace {

using C = Configuration;

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

const std::vector<Command> kTraining = {Command::train, Command::resume};
const std::vector<Command> kWithSplits = {Command::train, Command::resume, Command::evaluate};
const std::vector<Command> kWithData = {Command::train, Command::resume, Command::evaluate, Command::predict};
/// Also those that do nothing but look at data, or copy them; of these, those of the training rows.
const std::vector<Command> kWithFiles = {Command::train,   Command::resume,        Command::evaluate,
                                         Command::predict, Command::data_describe, Command::data_convert};
const std::vector<Command> kOfTraining = {Command::train, Command::resume, Command::data_describe,
                                          Command::data_convert};
const std::vector<Command> kOrders = {Command::train, Command::resume, Command::data_describe};
const std::vector<Command> kConverting = {Command::data_convert, Command::data_generate};
const std::vector<Command> kLong = {Command::train, Command::resume, Command::predict, Command::data_convert,
                                    Command::data_generate};
const std::vector<Command> kStudies = {Command::study_batch, Command::study_ranks, Command::study_search};
/// Those that are made of trials.
const std::vector<Command> kOfTrials = {Command::study_batch, Command::study_search};
const std::vector<Command> kAll = {Command::train,        Command::resume,       Command::evaluate,
                                   Command::predict,      Command::inspect,      Command::report,
                                   Command::study,        Command::study_batch,  Command::study_ranks,
                                   Command::study_search, Command::data,         Command::data_describe,
                                   Command::data_convert, Command::data_generate};

/// Options of train that no trial has: it has no folder, and its length is --budget.
const std::vector<std::string> kOfRunsAlone = {"out",           "checkpoint-every", "keep",   "log-steps",
                                               "log-gradients", "accept-change",    "epochs", "test"};

/// What the table says about an option beside its name and value.
struct Facts {
  std::string placeholder = {};
  Effect effect = Effect::free;
  std::string help = {};
  std::string default_text = {};  ///< empty: as in the configuration
  std::string alias = {};
  std::vector<Command> commands = kTraining;
};

/// Options under one heading.
class GroupOfOptions {
 public:
  GroupOfOptions(std::vector<Option>& table, std::string name) : table_(table), name_(std::move(name)) {}
  void add(Option option, Facts facts) {
    option.group = name_;
    option.alias = std::move(facts.alias);
    option.placeholder = std::move(facts.placeholder);
    option.effect = facts.effect;
    option.help = std::move(facts.help);
    option.default_text =
        facts.default_text.empty() ? option.get(CommandLine{}) : std::move(facts.default_text);
    option.commands = std::move(facts.commands);
    // The doctor looks at the run that train would start with the same options.
    const bool of_training = option.belongs_to(Command::train);
    if (of_training && option.name != "resume" && option.name != "dry-run")
      option.commands.push_back(Command::doctor);
    if (of_training && std::ranges::find(kOfRunsAlone, option.name) == kOfRunsAlone.end()) {
      option.commands.insert(option.commands.end(), {Command::study_search, Command::study_ranks});
      if (option.name != "batch-size") option.commands.push_back(Command::study_batch);
    }
    table_.push_back(std::move(option));
  }

 private:
  std::vector<Option>& table_;
  std::string name_;
};

void add_weight_options(GroupOfOptions& group) {
  group.add(any_text("class-weights", &C::class_weights),
            {.placeholder = "HOW",
             .effect = Effect::bits,
             .help = "factors of the rows' losses in training by class: none, balanced (rows / (classes * "
                     "rows of the class)), or a list such as 1,1,5"});
  group.add(any_text("sample-weights", &C::sample_weights, "none"),
            {.placeholder = "FILE.h5:PATH",
             .help = "factors of the rows' losses in training: a data set with a value for each row of "
                     "--data that --missing leaves; at resume the content must be the same"});
}

/// How inputs and targets lie in files.
void add_layout_options(GroupOfOptions& group) {
  group.add(
      any_text("inputs", &C::inputs, "auto"),
      {.placeholder = "LIST",
       .effect = Effect::bits,
       .help = "HDF5: data sets that are the inputs, joined as columns, each with an optional slice: "
               "\"T, Q[:,0:40], PS\"; CSV: columns, by name or number from 1",
       .default_text =
           "HDF5: by their usual names: inputs, x, data, features, images, ...; CSV: all but the targets",
       .commands = kWithFiles});
  group.add(any_text("targets", &C::targets, "auto"),
            {.placeholder = "LIST",
             .effect = Effect::bits,
             .help = "HDF5: data sets that are the targets",
             .default_text = "by their usual names: targets, y, label, labels, ...",
             .commands = kWithFiles});
  group.add(any_text("row-axis", &C::row_axis),
            {.placeholder = "AXIS",
             .effect = Effect::bits,
             .help = "HDF5: the axis that counts rows; -1 is the last, `0,2` joins two",
             .commands = kWithFiles});
  group.add(any_text("targets-data", &C::targets_data, "none"),
            {.placeholder = "WHAT",
             .help = "HDF5: files of the targets, when they are not in those of the inputs",
             .commands = kWithFiles});
  group.add(any_text("target-columns", &C::target_columns, "auto"),
            {.placeholder = "LIST",
             .effect = Effect::bits,
             .help = "CSV: columns that are the targets, by name or number from 1; last",
             .default_text = "target, label, class or y, else the last",
             .commands = kWithFiles});
  group.add(choice("missing", &C::missing, {"error", "drop", "mean"}),
            {.placeholder = "HOW",
             .effect = Effect::bits,
             .help = "missing values: error, drop (rows that have one are left out), mean (inputs alone: the "
                     "mean of the training rows; of a category: none of them); evaluate and predict: as the "
                     "model was trained",
             .commands = kWithFiles});
  group.add(
      boolean("follow-links", &C::follow_links),
      {.help = "HDF5: virtual data sets and external links may lead to other files", .commands = kWithFiles});
}

void add_data_options(std::vector<Option>& table) {
  GroupOfOptions group(table, "Data");
  group.add(
      any_text("data", &C::data),
      {.placeholder = "WHAT",
       .help = "fashion-mnist, mnist, a folder of IDX files (.gz or not), HDF5, netCDF-4 or CSV files "
               "(a path, a folder, a glob in quotes, a .list of paths), or generate:NAME(...); at resume "
               "the content must be the same",
       .commands = kWithData});
  add_layout_options(group);
  group.add(choice("task", &C::task, {"classification", "regression", "autoencoder"}, "auto"),
            {.placeholder = "TASK",
             .effect = Effect::bits,
             .help = "classification, regression, or autoencoder (the targets are the inputs)",
             .default_text = "from the data, when it is plain",
             .commands = kOfTraining});
  group.add(any_text("validation", &C::validation),
            {.placeholder = "ROWS",
             .effect = Effect::bits,
             .help = "rows to validate with: a fraction of the training rows, `5000 rows`, `tail(0.1)`, "
                     "`files(0.1)`, `groups(PATH)` (whole groups, by a data set of HDF5 or a column of CSV), "
                     "test, files of "
                     "their own, or 0 for none",
             .commands = kWithSplits});
  group.add(whole("validation-rows", &C::validation_rows, 1, kNoLimit, "all"),
            {.placeholder = "N", .effect = Effect::bits, .help = "at most so many rows per evaluation"});
  group.add(whole("split-seed", &C::split_seed), {.placeholder = "N",
                                                  .effect = Effect::bits,
                                                  .help = "seed of the draw of the validation rows",
                                                  .commands = kWithSplits});
  group.add(any_text("test", &C::test, "auto"),
            {.placeholder = "WHAT",
             .help = "rows to test the best model with, once, at the end: files, or none",
             .default_text = "the data's own test split",
             .commands = kOfTraining});
  group.add(
      choice("scale", &C::scale, {"unit", "feature", "global", "none"}, "auto"),
      {.placeholder = "HOW",
       .effect = Effect::bits,
       .help =
           "scaling of the inputs: unit (bytes / 255), feature (mean and deviation per column), global, none",
       .default_text = "unit for bytes, feature for numbers"});
  group.add(choice("scale-targets", &C::scale_targets, {"feature", "log", "none"}, "auto"),
            {.placeholder = "HOW",
             .effect = Effect::bits,
             .help = "scaling of the targets: feature; log (mean and deviation of the logarithms, for "
                     "targets above 0 that span orders of magnitude); none",
             .default_text = "feature for regression"});
  group.add(grammar("augment", &C::augment, "none"),
            {.placeholder = "TEXT",
             .effect = Effect::bits,
             .help = "what is done to training rows, in this order: shift(pixels), flip(probability=0.5), "
                     "rotate(degrees), scale(factor), elastic(alpha, sigma), erase(size, probability=0.5) on "
                     "images; noise(stddev), mixup(alpha)"});
  Option shuffle = grammar("shuffle", &C::shuffle, "auto");
  shuffle.set = [set = shuffle.set](CommandLine& line, const std::string& value) {
    require(value != "true" && value != "yes" && value != "no", ErrorKind::usage, "--shuffle: \"", value,
            "\" is not one of rows, chunks, chunks(window), none, false, auto");
    set(line, value);
    if (line.configuration.shuffle == "false") line.configuration.shuffle = "none";
  };
  group.add(
      std::move(shuffle),
      {.placeholder = "HOW",
       .effect = Effect::bits,
       .help = "order of the rows in an epoch: rows (a new permutation each); chunks(W): blocks "
               "of rows in a "
               "new order each, W of them at a time and their rows shuffled, as files are read; none (also: "
               "false)",
       .default_text = "rows, and chunks for data above 4 GiB",
       .commands = kOrders});
  group.add(
      any_text("memory-limit", &C::memory_limit),
      {.placeholder = "MEMORY",
       .help = "of a node, for data: 8G, 500 MiB, `60 %`. It decides whether rows are held in memory or "
               "read from their files, never their order",
       .commands = kWithFiles});
  add_weight_options(group);
}

void add_model_options(std::vector<Option>& table) {
  GroupOfOptions group(table, "Model");
  group.add(grammar("model", &C::model),
            {.placeholder = "TEXT",
             .effect = Effect::bits,
             .help = "the layers, such as \"dense(512) batch_norm relu "
                     "dropout(0.2) dense(outputs)\", or for short 512-512 (with relu between)"});
  group.add(any_text("init", &C::init),
            {.placeholder = "FROM",
             .effect = Effect::bits,
             .help = "weights to start with: auto, a checkpoint file or a run folder"});
  group.add(grammar("loss", &C::loss, "auto"),
            {.placeholder = "TEXT",
             .effect = Effect::bits,
             .help = "softmax_cross_entropy(label_smoothing), binary_cross_entropy, mse, half_squared_error, "
                     "mae, huber(delta), kl_divergence",
             .default_text = "by task"});
}

void add_optimizer_options(std::vector<Option>& table) {
  GroupOfOptions group(table, "Optimizer");
  group.add(grammar("optimizer", &C::optimizer),
            {.placeholder = "TEXT",
             .effect = Effect::bits,
             .help = "sgd(momentum=0, nesterov=false), adagrad, rmsprop(beta), adam(beta1, beta2, epsilon), "
                     "adamw(weight_decay), lars, lamb"});
  group.add(number("lr", &C::lr, 0, true, "auto"), {.placeholder = "RATE",
                                                    .effect = Effect::bits,
                                                    .help = "peak learning rate",
                                                    .default_text = "adam 1e-3, sgd 1e-1"});
  group.add(choice("lr-scaling", &C::lr_scaling, {"none", "linear", "sqrt"}),
            {.placeholder = "RULE",
             .effect = Effect::bits,
             .help = "none, linear, sqrt: how the rate follows the batch; --lr is then meant for "
                     "--reference-batch rows"});
  group.add(whole("reference-batch", &C::reference_batch, 1, kNoLimit),
            {.placeholder = "ROWS", .effect = Effect::bits, .help = "see --lr-scaling"});
  group.add(grammar("schedule", &C::schedule),
            {.placeholder = "TEXT",
             .effect = Effect::bits,
             .help = "constant, step(every, factor), exponential(factor), linear(final), cosine(final), "
                     "one_cycle(start, final, peak): the rate over the planned steps; plateau(patience, "
                     "factor): by the evaluations"});
  group.add(any_text("warmup", &C::warmup),
            {.placeholder = "LENGTH",
             .effect = Effect::bits,
             .help = "the rate rises from 0 for so long: `500 steps`, `2 epochs`"});
  group.add(number("l1", &C::l1, 0),
            {.placeholder = "X", .effect = Effect::bits, .help = "penalty X * sum |w|"});
  group.add(number("l2", &C::l2, 0),
            {.placeholder = "X", .effect = Effect::bits, .help = "penalty X/2 * sum w^2"});
  group.add(choice("penalty-scope", &C::penalty_scope, {"weights", "all"}),
            {.placeholder = "SCOPE",
             .effect = Effect::bits,
             .help = "what the penalties count: weights (of dense layers) or all parameters"});
  group.add(
      number("clip-norm", &C::clip_norm, 0),
      {.placeholder = "X", .effect = Effect::bits, .help = "largest norm of the gradient; 0 for no limit"});
  group.add(number("max-norm", &C::max_norm, 0),
            {.placeholder = "X",
             .effect = Effect::bits,
             .help = "largest norm of the weights into a unit; 0 for no limit"});
  group.add(number("average", &C::average, 0),
            {.placeholder = "DECAY",
             .effect = Effect::bits,
             .help = "exponential average of the weights, such as 0.999: it is what is evaluated and kept as "
                     "best; 0 for none"});
  group.add(choice("population-statistics", &C::population_statistics, {"running", "exact"}),
            {.placeholder = "HOW",
             .effect = Effect::bits,
             .help = "of batch norm in evaluations: running averages, or exact: a pass over the training "
                     "rows before each"});
}

void add_length_options(std::vector<Option>& table) {
  GroupOfOptions group(table, "Training");
  group.add(batch_size("batch-size", &C::batch_size),
            {.placeholder = "ROWS",
             .effect = Effect::bits,
             .help = "rows per step over all ranks (it does not change with their number), or full",
             .alias = "batch"});
  group.add(whole("shards", &C::shards, 1, 1 << 20, "auto"),
            {.placeholder = "S",
             .effect = Effect::bits,
             .help = "pieces of a batch that sums are made of; at most so many ranks can compute",
             .default_text = "from the batch"});
  group.add(whole("epochs", &C::epochs, 0, kNoLimit, "auto", -1),
            {.placeholder = "N",
             .help = "passes over the training rows",
             .default_text = "20 unless --max-steps is given"});
  group.add(whole("max-steps", &C::max_steps, 1, kNoLimit, "none"),
            {.placeholder = "N", .help = "steps at most"});
  group.add(any_text("time-limit", &C::time_limit, "none"),
            {.placeholder = "TIME",
             .effect = Effect::none,
             .help = "stop with a checkpoint and exit code 75: `90 min`, 24:00:00, 1-00:00:00"});
  group.add(any_text("time-margin", &C::time_margin),
            {.placeholder = "TIME", .effect = Effect::none, .help = "stop so much before the time limit"});
  group.add(
      any_text("evaluate-every", &C::evaluate_every),
      {.placeholder = "LENGTH", .effect = Effect::bits, .help = "`1 epoch`, `500 steps`, `0.25 epochs`"});
  group.add(
      any_text("goal", &C::goal, "none"),
      {.placeholder = "TEXT", .help = "stop when reached: \"val_accuracy>=0.9\", \"train_loss<=1e-4\""});
  group.add(grammar("early-stopping", &C::early_stopping, "none"),
            {.placeholder = "TEXT",
             .effect = Effect::bits,
             .help = "stop when a metric no longer improves: \"val_loss(patience=5, min_delta=0)\""});
  group.add(
      grammar("metrics", &C::metrics, "none"),
      {.placeholder = "LIST",
       .effect = Effect::bits,
       .help = "figures of evaluations beside loss and accuracy, as in \"top(5) f1 auc\": top(k), precision, "
               "recall, f1, balanced_accuracy, auc; of values r2, rmse, mae",
       .commands = kWithSplits});
  group.add(
      whole("seed", &C::seed),
      {.placeholder = "N", .effect = Effect::bits, .help = "of the starting weights, the order and dropout"});
  group.add(
      choice("precision", &C::precision, {"f32", "bf16"}),
      {.placeholder = "TYPE",
       .effect = Effect::bits,
       .help = "of the factors of dense layers' products in training, f32 or bf16; all else stays f32"});
}

void add_machine_options(std::vector<Option>& table) {
  GroupOfOptions group(table, "Machine");
  group.add(instruction_set("isa", &C::isa, "auto"),
            {.placeholder = "NAME",
             .effect = Effect::bits,
             .help = "limit of oneDNN's instruction set: AVX2, AVX512_CORE, ...",
             .default_text = "what the processor has",
             .commands = kWithData});
  group.add(
      whole("threads", &C::threads, 1, 4096, "auto"),
      {.placeholder = "N",
       .help = "threads of each rank",
       .default_text = "from the processors of the rank and OMP_NUM_THREADS",
       .commands = {Command::train, Command::resume, Command::evaluate, Command::predict, Command::report}});
  group.add(
      tuning("tuning", &C::tuning),
      {.placeholder = "CHOICES",
       .help = "how it is computed, for comparisons; the results are the same: overlap=on|off "
               "(parameters are exchanged under the next step's forward pass), "
               "weight_gradient=auto|own|onednn (the kernel; oneDNN's sums over more than 96 rows of a shard "
               "are made in parts and have other bits), "
               "shared_gradients=on|off (ranks of a node fold each other's gradients where they lie)"});
  group.add(
      number("stall-timeout", &C::stall_timeout_seconds, 0, true),
      {.placeholder = "SECONDS",
       .help = "end the job when a rank has not answered for so long (at least 20 times the longest step)",
       .commands = kLong});
}

std::string listed(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return list;
}

/// Words of a list, each one of `choices`; commas or blanks between them.
Option words(const std::string& name, std::string CommandLine::*member,
             const std::vector<std::string>& choices) {
  Option option = any_text(name, member);
  option.set = [=, set = option.set](CommandLine& line, std::string value) {
    std::replace(value.begin(), value.end(), ',', ' ');
    std::istringstream list(value);
    for (std::string word; list >> word;)
      require(std::find(choices.begin(), choices.end(), word) != choices.end(), ErrorKind::usage, "--", name,
              " ", value, ": \"", word, "\" is none of ", listed(choices));
    set(line, value);
  };
  return option;
}

void add_output_options(std::vector<Option>& table) {
  GroupOfOptions group(table, "Output");
  group.add(any_text("out", &C::out), {.placeholder = "FOLDER",
                                       .help = "run folder; an existing run is never overwritten",
                                       .default_text = "runs/<data>-<date>-<time>",
                                       .commands = {Command::train}});
  group.add(any_text("checkpoint-every", &C::checkpoint_every),
            {.placeholder = "LENGTH", .help = "`1 epoch`, `500 steps`, `10 min`"});
  group.add(whole("keep", &C::keep, 1, kNoLimit), {.placeholder = "N", .help = "checkpoints to keep"});
  group.add(boolean("log-steps", &C::log_steps), {.help = "write steps.csv, a row a step"});
  group.add(boolean("log-gradients", &C::log_gradients),
            {.help = "write gradients.csv: norms of gradients, weights and updates by layer, at steps 1, 2, "
                     "4, 8, ... and at evaluations"});
  group.add(number("log-every", &C::log_every_seconds, 0, true),
            {.placeholder = "SECONDS", .help = "between plain progress lines", .commands = kLong});
  group.add(
      choice("progress", &C::progress, {"auto", "bar", "lines", "none"}),
      {.placeholder = "STYLE", .help = "auto (a bar on a terminal), bar, lines, none", .commands = kLong});
  group.add(boolean("quiet", &C::quiet), {.help = "print the last line only", .commands = kLong});
}

void add_study_options(std::vector<Option>& table) {
  using S = study::Options;
  GroupOfOptions group(table, "Study");
  const std::vector<Command> batch = {Command::study_batch}, ranks = {Command::study_ranks};
  group.add(any_text("batch-sizes", &S::batch_sizes),
            {.placeholder = "LIST",
             .effect = Effect::bits,
             .help = "powers of two as in 32..8192 or 32..full, a list as in 50,100,full",
             .commands = batch});
  group.add(
      any_text("tune", &S::tune),
      {.placeholder = "VARIABLES",
       .effect = Effect::bits,
       .help =
           "what is searched for anew at each batch size, as name=log(low,high), linear, "
           "one_minus_log, whole, list(a,b,...); name: an option, an argument of the optimizer, or $name "
           "in any option's text; none: nothing, to see a rule (--lr-scaling) at work. Under mpirun write "
           "--tune=VARIABLES or --vary: Open MPI takes the words `--tune X` for its own and warns of a "
           "missing file",
       .alias = "vary",
       .commands = batch});
  group.add(any_text("vary", &S::vary),
            {.placeholder = "VARIABLES",
             .effect = Effect::bits,
             .help = "what is searched for: as in \"lr=log(1e-4,1e-1) hidden=list(15,30,100)\" with --model "
                     "'dense($hidden) relu dense(outputs)' (single quotes: a shell takes $ in others)",
             .commands = {Command::study_search}});
  group.add(whole("points", &S::points, 1, 100'000),
            {.placeholder = "N",
             .effect = Effect::bits,
             .help = "of the search (at each batch size); lists alone: at most so many of their combinations",
             .commands = kOfTrials});
  group.add(whole("finalists", &S::finalists, 1, 1000),
            {.placeholder = "N",
             .effect = Effect::bits,
             .help = "points whose trials are done again with other seeds; the best of these is the result",
             .commands = kOfTrials});
  group.add(whole("seeds", &S::seeds, 1, 1000),
            {.placeholder = "N", .effect = Effect::bits, .help = "of each finalist", .commands = kOfTrials});
  group.add(any_text("budget", &S::budget), {.placeholder = "LENGTH",
                                             .effect = Effect::bits,
                                             .help = "of a trial: `20 epochs`, `5000 steps`, `10 min`",
                                             .commands = kOfTrials});
  group.add(
      choice("stop-early", &S::stop_early, {"none", "halving"}),
      {.placeholder = "RULE",
       .effect = Effect::bits,
       .help = "trials of the search that are given up: none; halving (a ninth of the budget for all, a "
               "third for the best third, all of it for the best ninth)",
       .commands = kOfTrials});
  group.add(whole("ranks-per-trial", &S::ranks_per_trial, 1, 1'000'000),
            {.placeholder = "N",
             .help = "so many ranks train one trial; the results do not depend on it",
             .commands = kOfTrials});
  group.add(whole("weak", &S::weak, 1, kNoLimit),
            {.placeholder = "ROWS",
             .effect = Effect::bits,
             .help = "of a rank in weak scaling; strong scaling shares --batch-size",
             .commands = ranks});
  group.add(whole("steps", &S::steps, 10, 1'000'000), {.placeholder = "N",
                                                       .effect = Effect::bits,
                                                       .help = "that are timed at each number of ranks",
                                                       .commands = ranks});
  group.add(any_text("batch-study", &S::trials, "none"),
            {.placeholder = "STUDY",
             .help = "a study of batch sizes: the time to its goal against the number of ranks",
             .commands = ranks});
  group.add(any_text("out", &C::out), {.placeholder = "FOLDER",
                                       .help = "of the study",
                                       .default_text = "none: it must be given",
                                       .commands = kStudies});
}

void add_command_options(std::vector<Option>& table) {
  GroupOfOptions group(table, "This call");
  const std::vector<Command> train = {Command::train};
  const std::vector<Command> evaluate = {Command::evaluate};
  group.add(any_text("config", &CommandLine::config),
            {.placeholder = "FILE",
             .effect = Effect::none,
             .help = "options as lines `name = value`, as in a run's config.ini; the command line wins",
             .commands = train});
  group.add(
      boolean("resume", &CommandLine::resume),
      {.effect = Effect::none,
       .help = "start the run of --out if it is not there, continue it if it is: the line for job scripts",
       .commands = train});
  group.add(boolean("dry-run", &CommandLine::dry_run),
            {.effect = Effect::none,
             .help = "check options, files and folder, print the model, and stop",
             .commands = train});
  group.add(words("accept-change", &CommandLine::accept_change, {"data", "arithmetic", "version", "best"}),
            {.placeholder = "LIST",
             .effect = Effect::none,
             .help = "data, arithmetic, version, best: go on at resume although data, arithmetic or version "
                     "are not those of the checkpoint, "
                     "or the best model is lost; the "
                     "run is then no longer the one that was never stopped"});
  group.add(choice("split", &CommandLine::split, {"test", "validation", "train"}),
            {.placeholder = "NAME",
             .effect = Effect::none,
             .help = "rows of test, validation (as the model was trained, or by --validation) or train",
             .default_text = "test where the data has a test split, else all rows",
             .commands = evaluate});
  group.add(any_text("out", &CommandLine::out_json), {.placeholder = "FILE.json",
                                                      .effect = Effect::none,
                                                      .help = "write the figures there too",
                                                      .commands = evaluate});
  group.add(any_text("out", &CommandLine::data_out),
            {.placeholder = "FILE.h5",
             .effect = Effect::none,
             .help = "the HDF5 file to write; an existing one is replaced",
             .commands = kConverting});
  const std::vector<Command> predict = {Command::predict};
  group.add(
      any_text("out", &CommandLine::predictions),
      {.placeholder = "FILE",
       .effect = Effect::none,
       .help = "the predictions: an HDF5 file (.h5, .hdf5) or a table (.csv); an existing one is replaced",
       .commands = predict});
  group.add(choice("split", &CommandLine::predict_split, {"test", "train"}),
            {.placeholder = "NAME",
             .effect = Effect::none,
             .help = "all rows of test or of train (test where the data has a test split, else all)",
             .commands = predict});
  group.add(whole("samples", &CommandLine::samples, 1, 1'000'000, "none"),
            {.placeholder = "N",
             .effect = Effect::none,
             .help = "the mean of N passes with dropout and noise at work, and the deviation",
             .commands = predict});
  group.add(whole("seed", &C::seed),
            {.placeholder = "N", .effect = Effect::none, .help = "of the samples", .commands = predict});
  group.add(any_text("out", &CommandLine::page),
            {.placeholder = "FILE.html",
             .effect = Effect::none,
             .help = "the page; its pictures go to the folder FILE-figures beside it",
             .default_text = "RUN/report.html with RUN/figures; of several runs ./report.html",
             .commands = {Command::report}});
  group.add(
      boolean("loss-landscape", &CommandLine::loss_landscape),
      {.effect = Effect::none,
       .help = "compute the loss on a plane through the best model (filter-normalised random directions), by "
               "all ranks: mpirun -np N trainer report RUN --loss-landscape; kept as RUN/landscape.csv",
       .commands = {Command::report}});
  group.add(boolean("verify", &CommandLine::verify),
            {.effect = Effect::none,
             .help = "read everything and check the digests: exit code 3 when it is not good",
             .commands = {Command::inspect}});
  group.add(boolean("help", &CommandLine::help),
            {.effect = Effect::none, .help = "print this and stop", .commands = kAll});
  group.add(boolean("version", &CommandLine::version),
            {.effect = Effect::none,
             .help = "print the versions of the program and its libraries, and stop",
             .commands = kAll});
}

std::vector<Option> make_table() {
  std::vector<Option> table;
  add_data_options(table);
  add_model_options(table);
  add_optimizer_options(table);
  add_length_options(table);
  add_machine_options(table);
  add_output_options(table);
  add_study_options(table);
  add_command_options(table);
  return table;
}

}  // namespace

bool Option::belongs_to(Command command) const {
  return std::find(commands.begin(), commands.end(), command) != commands.end();
}

const std::vector<Option>& option_table() {
  static const std::vector<Option> table = make_table();
  return table;
}

const Option* find_option(const std::string& name, Command command) {
  for (const Option& option : option_table()) {
    const bool named = option.name == name || (!option.alias.empty() && option.alias == name);
    if (named && option.belongs_to(command)) return &option;
  }
  return nullptr;
}

std::vector<std::string> option_names(Command command) {
  std::vector<std::string> names;
  for (const Option& option : option_table()) {
    if (!option.belongs_to(command)) continue;
    names.push_back(option.name);
    if (!option.alias.empty()) names.push_back(option.alias);
  }
  return names;
}

}  // namespace trainer::cli
