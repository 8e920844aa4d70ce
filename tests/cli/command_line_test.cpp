#include "trainer/cli/command_line.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>

#include "trainer/cli/default_recipe.h"
#include "trainer/core/error.h"

namespace trainer::cli {
namespace {

using Words = std::vector<std::string>;

/// The message of the usage error that these words cause.
std::string complaint(const Words& words, ErrorKind kind = ErrorKind::usage) {
  try {
    parse_command_line(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  std::string all;
  for (const std::string& word : words) all += " " + word;
  ADD_FAILURE() << "accepted:" << all;
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A file that is removed at the end of a test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    path_ = testing::TempDir() + "trainer-config-" + std::to_string(::getpid()) + ".ini";
    std::ofstream(path_) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(CommandLine, NoArgumentsIsTheDefaultRecipe) {
  train::Configuration recipe;
  apply_default_recipe(recipe);
  const CommandLine line = parse_command_line({});
  EXPECT_EQ(line.command, Command::train);
  EXPECT_EQ(line.configuration.model, recipe.model);
  EXPECT_EQ(line.configuration.batch_size, recipe.batch_size);
  EXPECT_EQ(line.configuration.epochs, recipe.epochs);
  EXPECT_TRUE(line.given.empty());
}

TEST(CommandLine, OptionsGivenChangeTheRecipe) {
  train::Configuration recipe;
  apply_default_recipe(recipe);
  const CommandLine line = parse_command_line({"train", "--epochs", "3", "--seed=7"});
  EXPECT_EQ(line.configuration.epochs, 3);
  EXPECT_EQ(line.configuration.seed, 7U);
  EXPECT_EQ(line.configuration.model, recipe.model);
  EXPECT_EQ(line.given, (std::set<std::string>{"epochs", "seed"}));
}

TEST(CommandLine, WithDataOrModelOrConfigThereIsNoRecipe) {
  const train::Configuration defaults;
  const CommandLine by_model = parse_command_line({"--model", "512-512"});
  EXPECT_EQ(by_model.configuration.model, "512-512");
  EXPECT_EQ(by_model.configuration.schedule, defaults.schedule);
  EXPECT_EQ(by_model.configuration.epochs, -1);
  EXPECT_EQ(parse_command_line({"--data", "mnist"}).configuration.model, "");  // resolved against the data
  const TemporaryFile file("model = 30\n");
  EXPECT_EQ(parse_command_line({"--config", file.path()}).configuration.batch_size, defaults.batch_size);
}

TEST(CommandLine, EveryKindOfValueIsRead) {
  const CommandLine line = parse_command_line({"--data",
                                               "generate:xor(rows=5)",
                                               "--model",
                                               " dense(2)\n  relu",
                                               "--lr",
                                               "3e-3",
                                               "--l2",
                                               "-0",
                                               "--batch",
                                               "full",
                                               "--shards",
                                               "6",
                                               "--isa",
                                               "avx2",
                                               "--shuffle",
                                               "false",
                                               "--max-steps",
                                               "none",
                                               "--threads=auto",
                                               "--scale",
                                               "auto",
                                               "--clip-norm",
                                               "1",
                                               "--time-limit",
                                               "1-00:00:00",
                                               "--loss",
                                               "auto",
                                               "--log-every",
                                               "0.5"});
  const train::Configuration& c = line.configuration;
  EXPECT_EQ(c.data, "generate:xor(rows=5)");
  EXPECT_EQ(c.model, "dense(2)   relu");
  EXPECT_EQ(c.lr, 3e-3);
  EXPECT_EQ(std::signbit(c.l2), false);
  EXPECT_EQ(c.batch_size, "full");
  EXPECT_EQ(c.shards, 6);
  EXPECT_EQ(c.isa, "AVX2");
  EXPECT_EQ(c.shuffle, "none");
  EXPECT_EQ(c.max_steps, 0);
  EXPECT_EQ(c.threads, 0);
  EXPECT_EQ(c.scale, "");
  EXPECT_EQ(c.clip_norm, 1);
  EXPECT_EQ(c.time_limit, "1-00:00:00");
  EXPECT_EQ(c.loss, "");
  EXPECT_EQ(c.log_every_seconds, 0.5);
  EXPECT_TRUE(line.given.contains("batch-size"));  // the canonical name
  EXPECT_FALSE(line.given.contains("batch"));
}

TEST(CommandLine, BooleansTakeAnOptionalValue) {
  EXPECT_TRUE(parse_command_line({"--log-steps"}).configuration.log_steps);
  EXPECT_FALSE(parse_command_line({"--log-steps=false"}).configuration.log_steps);
  EXPECT_FALSE(parse_command_line({"--log-steps", "false"}).configuration.log_steps);
  EXPECT_TRUE(parse_command_line({"--log-steps", "yes", "--quiet"}).configuration.log_steps);
  EXPECT_TRUE(parse_command_line({"--log-steps", "--epochs", "2"}).configuration.log_steps);
  EXPECT_TRUE(parse_command_line({"train", "--resume", "--out", "r"}).resume);
  EXPECT_FALSE(parse_command_line({"train", "--resume", "off"}).resume);
  EXPECT_TRUE(parse_command_line({"inspect", "--verify", "a.h5"}).verify);
  EXPECT_EQ(parse_command_line({"inspect", "--verify", "a.h5"}).models_or_run,
            std::vector<std::string>{"a.h5"});
  EXPECT_TRUE(contains(complaint({"--log-steps=maybe"}), "true, false"));
  EXPECT_TRUE(contains(complaint({"--log-steps", "maybe"}), "one argument too many"));
}

TEST(CommandLine, NamesMatchExactly) {
  EXPECT_TRUE(contains(complaint({"--epoch", "3"}), "did you mean --epochs?"));
  EXPECT_TRUE(contains(complaint({"--batch-s", "5"}), "did you mean --batch-size?"));
  EXPECT_TRUE(contains(complaint({"--epoch=3"}), "did you mean --epochs?"));
  EXPECT_TRUE(contains(complaint({"--Epochs", "3"}), "--Epochs is no option"));
  EXPECT_TRUE(contains(complaint({"-epochs", "3"}), "did you mean --epochs?"));
  EXPECT_TRUE(contains(complaint({"--xyzzyxyzzy"}), "--xyzzyxyzzy is no option of `trainer train`"));
  EXPECT_TRUE(contains(complaint({"--verify"}), "no option of `trainer train`"));  // of another command
  EXPECT_TRUE(contains(complaint({"resume", "--out", "x"}), "no option of `trainer resume`"));
  for (const Option& option : option_table()) {
    for (const Command command : option.commands) {
      const std::string prefix = option.name.substr(0, option.name.size() - 1);
      if (find_option(prefix, command) != nullptr) continue;
      Words words = {"--" + prefix, "1"};
      if (command == Command::resume) words.insert(words.begin(), "resume");
      if (command == Command::evaluate) words.insert(words.begin(), {"evaluate", "m.h5"});
      if (command == Command::predict) words.insert(words.begin(), {"predict", "m.h5"});
      if (command == Command::report) words.insert(words.begin(), "report");
      if (command == Command::study_batch) words.insert(words.begin(), {"study", "batch"});
      if (command == Command::study_ranks) words.insert(words.begin(), {"study", "ranks"});
      if (command == Command::study_search) words.insert(words.begin(), {"study", "search"});
      if (command == Command::inspect) words.insert(words.begin(), {"inspect", "m.h5"});
      EXPECT_TRUE(contains(complaint(words), "is no option")) << prefix;
    }
  }
}

TEST(CommandLine, ReportTakesRunsAndAPage) {
  EXPECT_EQ(parse_command_line({"report"}).models_or_run, (Words{"runs/latest"}));
  const CommandLine line = parse_command_line({"report", "a", "b", "--out", "c.html"});
  EXPECT_EQ(line.command, Command::report);
  EXPECT_EQ(line.models_or_run, (Words{"a", "b"}));
  EXPECT_EQ(line.page, "c.html");
}

TEST(CommandLine, ValuesOutOfRangeAreRefusedWithTheLimit) {
  EXPECT_EQ(complaint({"--batch-size", "0"}),
            "--batch-size: \"0\" is not a whole number of rows from 1 on, nor full");
  EXPECT_EQ(complaint({"--epochs", "-1"}), "--epochs: \"-1\" is not a whole number from 0 on, nor auto");
  EXPECT_EQ(complaint({"--l1", "-0.5"}), "--l1: \"-0.5\" is not a finite number from 0 on");
  EXPECT_EQ(complaint({"--lr", "0"}), "--lr: \"0\" is not a finite number above 0, nor auto");
  const std::vector<Words> bad = {{"--batch", "-1"},       {"--batch", "1.5"},
                                  {"--batch", "1e3"},      {"--batch", "512 rows"},
                                  {"--batch", "nan"},      {"--batch", "+5"},
                                  {"--batch", "0x10"},     {"--batch", "99999999999999999999"},
                                  {"--batch", "half"},     {"--epochs", "2.5"},
                                  {"--epochs", "ten"},     {"--epochs=-3"},
                                  {"--shards", "0"},       {"--shards", "-4"},
                                  {"--shards", "9999999"}, {"--max-steps", "0"},
                                  {"--max-steps", "-1"},   {"--threads", "0"},
                                  {"--threads", "-2"},     {"--threads", "100000"},
                                  {"--keep", "0"},         {"--keep", "-1"},
                                  {"--seed", "-1"},        {"--seed", "1.0"},
                                  {"--split-seed", "-7"},  {"--lr", "nan"},
                                  {"--lr", "inf"},         {"--lr", "-1e-3"},
                                  {"--lr", "1e-3x"},       {"--lr", "1,5"},
                                  {"--lr", "1e999"},       {"--l2", "nan"},
                                  {"--l2", "-1"},          {"--l1", "infinity"},
                                  {"--clip-norm", "-1"},   {"--log-every", "0"},
                                  {"--log-every", "-30"},  {"--validation-rows", "0"},
                                  {"--progress", "bars"},  {"--task", "regresion"},
                                  {"--scale", "unity"},    {"--shuffle", "true"},
                                  {"--precision", "f16"},  {"--penalty-scope", "some"},
                                  {"--isa", "MMX"},        {"--scale-targets", "unit"}};
  for (const Words& words : bad) {
    const std::string message = complaint(words);
    EXPECT_TRUE(contains(message, "\" is not ")) << message;
    EXPECT_FALSE(contains(message, "\n")) << message;
  }
  EXPECT_TRUE(contains(complaint({"--task", "regresion"}), "did you mean regression?"));
}

TEST(CommandLine, TuningIsChosenByName) {
  EXPECT_EQ(parse_command_line({"train"}).configuration.tuning,
            "overlap=on weight_gradient=auto shared_gradients=on");
  for (const Words& words : {Words{"train"}, {"resume", "r"}, {"doctor"}, {"study", "ranks", "--out", "s"}}) {
    Words all = words;
    all.insert(all.end(), {"--tuning", "weight_gradient=own, overlap=off"});
    EXPECT_EQ(parse_command_line(all).configuration.tuning,
              "overlap=off weight_gradient=own shared_gradients=on")
        << words[0];
  }
  EXPECT_TRUE(contains(complaint({"predict", "m.h5", "--tuning", "overlap=off"}),
                       "--tuning is no option of `trainer predict`"));
  EXPECT_TRUE(complaint({"--tuning", "overlop=off"})
                  .starts_with("--tuning: \"overlop\" is no name: expected one of overlap, weight_gradient, "
                               "shared_gradients; did you mean overlap?\n"));
  EXPECT_TRUE(
      complaint({"--tuning", "overlap=of"})
          .starts_with("--tuning: \"of\" is no value of overlap: expected one of on, off; did you mean "));
  EXPECT_TRUE(contains(complaint({"--tuning", "weight_gradient=onedn"}), "did you mean onednn?"));
  for (const char* bad :
       {"overlap", "overlap=", "overlap=on(1)", "overlap=on overlap=off", "=on", "on", "x=1"})
    EXPECT_TRUE(complaint({"--tuning", bad}).starts_with("--tuning: ")) << bad;
}

TEST(CommandLine, MalformedTextsShowACaret) {
  const std::string message = complaint({"--model", "dense(10 relu"});
  EXPECT_TRUE(message.starts_with("--model: ")) << message;
  EXPECT_TRUE(contains(message, "dense(10 relu\n")) << message;
  EXPECT_TRUE(contains(message, "^")) << message;
  EXPECT_TRUE(complaint({"--optimizer", "sgd)"}).starts_with("--optimizer: "));
  EXPECT_TRUE(complaint({"--schedule", "cosine(,)"}).starts_with("--schedule: "));
  EXPECT_TRUE(complaint({"--loss", "(mse)"}).starts_with("--loss: "));
  EXPECT_TRUE(complaint({"--early-stopping", "val_loss(patience=)"}).starts_with("--early-stopping: "));
}

TEST(CommandLine, MissingAndEmptyValuesAreErrors) {
  for (const Words& words : std::vector<Words>{{"--epochs"},
                                               {"--epochs="},
                                               {"--epochs", ""},
                                               {"--model", "  "},
                                               {"--out", ""},
                                               {"--config", ""},
                                               {"--model", "--epochs", "3"},
                                               {"--model", "--nonsense"},
                                               {"--log-steps="}}) {
    EXPECT_TRUE(contains(complaint(words), "needs a value")) << complaint(words);
  }
}

TEST(CommandLine, RepeatedOptionsAreErrors) {
  EXPECT_TRUE(contains(complaint({"--epochs", "3", "--epochs", "4"}), "more than once"));
  EXPECT_TRUE(
      contains(complaint({"--batch", "3", "--batch-size", "3"}), "--batch-size is given more than once"));
  EXPECT_TRUE(contains(complaint({"--quiet", "--quiet=false"}), "more than once"));
  EXPECT_TRUE(contains(complaint({"--help", "--help"}), "more than once"));
}

TEST(CommandLine, StrayArgumentsAreErrors) {
  EXPECT_TRUE(contains(complaint({"train", "fashion-mnist"}), "one argument too many"));
  EXPECT_TRUE(contains(complaint({"--epochs", "3", "4"}), "\"4\" is one argument too many"));
  EXPECT_TRUE(contains(complaint({"--model", "dense(2)", "relu"}), "\"relu\""));
  EXPECT_TRUE(contains(complaint({"resume", "a", "b"}), "\"b\" is one argument too many"));
  EXPECT_TRUE(contains(complaint({"--", "train"}), "one argument too many"));
  complaint({""});
  complaint({"-"});
  complaint(
      {"--"
       "=3"});
  complaint({"--", "--epochs"});
  complaint({"-x"});
  complaint({"resume", ""});
}

TEST(CommandLine, UnknownCommands) {
  EXPECT_TRUE(contains(complaint({"trian"}), "did you mean train?"));
  EXPECT_TRUE(contains(complaint({"resum", "runs/a"}), "did you mean resume?"));
  EXPECT_TRUE(contains(complaint({"frobnicate"}), "is no command"));
  EXPECT_TRUE(contains(complaint({"Train"}), "is no command"));
}

TEST(CommandLine, EveryCommandIsRead) {
  const CommandLine resume = parse_command_line({"resume"});
  EXPECT_EQ(resume.command, Command::resume);
  EXPECT_EQ(resume.models_or_run, std::vector<std::string>{"runs/latest"});
  EXPECT_EQ(parse_command_line({"resume", "runs/a", "--epochs", "40"}).models_or_run,
            std::vector<std::string>{"runs/a"});
  EXPECT_EQ(parse_command_line({"resume", "--epochs", "40", "runs/a"}).models_or_run,
            std::vector<std::string>{"runs/a"});

  const CommandLine evaluate = parse_command_line(
      {"evaluate", "best.h5", "--data", "mnist", "--split", "validation", "--out", "f.json"});
  EXPECT_EQ(evaluate.command, Command::evaluate);
  EXPECT_EQ(evaluate.models_or_run, std::vector<std::string>{"best.h5"});
  EXPECT_EQ(evaluate.split, "validation");
  EXPECT_EQ(evaluate.out_json, "f.json");
  EXPECT_EQ(evaluate.configuration.out, "");
  EXPECT_TRUE(contains(complaint({"evaluate", "best.h5"}), "--data"));
  EXPECT_TRUE(contains(complaint({"evaluate", "--data", "mnist"}), "MODEL"));
  EXPECT_TRUE(
      contains(complaint({"evaluate", "m", "--data", "d", "--split", "all"}), "test, validation, train"));
  EXPECT_TRUE(contains(complaint({"inspect"}), "FILE"));
  EXPECT_TRUE(parse_command_line({"train", "--dry-run"}).dry_run);
  EXPECT_TRUE(contains(complaint({"train", "--resume"}), "--out"));
}

TEST(CommandLine, TakesTheCommandsOfData) {
  const CommandLine line = parse_command_line(
      {"data", "convert", "a/*.h5", "--out", "b.h5", "--inputs", "T, Q", "--test", "none"});
  EXPECT_EQ(line.command, Command::data_convert);
  EXPECT_EQ(line.configuration.data, "a/*.h5");
  EXPECT_EQ(line.configuration.inputs, "T, Q");
  EXPECT_EQ(line.configuration.test, "none");
  EXPECT_EQ(line.data_out, "b.h5");
  const CommandLine looks = parse_command_line({"data", "describe", "mnist", "--shuffle", "chunks(4)"});
  EXPECT_EQ(looks.command, Command::data_describe);
  EXPECT_EQ(looks.configuration.data, "mnist");
  EXPECT_EQ(looks.configuration.shuffle, "chunks(4)");
  for (const char* what : {"blobs(rows=9)", "generate:blobs(rows=9)"})
    EXPECT_EQ(parse_command_line({"data", "generate", what, "--out", "b.h5"}).configuration.data,
              "generate:blobs(rows=9)");
  EXPECT_EQ(parse_command_line({"data"}).command, Command::data);
  EXPECT_TRUE(parse_command_line({"data", "--help"}).help);
  EXPECT_TRUE(parse_command_line({"data", "convert", "--help"}).help);
}

TEST(CommandLine, SaysWhatACommandOfDataLacks) {
  EXPECT_TRUE(contains(complaint({"data", "describe"}), "needs WHAT"));
  EXPECT_TRUE(contains(complaint({"data", "convert", "mnist"}), "needs --out"));
  EXPECT_TRUE(contains(complaint({"data", "generate", "--out", "b.h5"}), "needs NAME"));
  EXPECT_TRUE(contains(complaint({"data", "desribe", "mnist"}), "did you mean data describe?"));
  EXPECT_TRUE(contains(complaint({"data", "describe", "mnist", "fashion-mnist"}), "one argument too many"));
  EXPECT_TRUE(contains(complaint({"data", "describe", "mnist", "--out", "b.h5"}), "is no option"));
  EXPECT_TRUE(
      contains(complaint({"data", "generate", "xor", "--out", "b.h5", "--inputs", "x"}), "is no option"));
}

TEST(CommandLine, PredictTakesModelsDataAndAFile) {
  const CommandLine line =
      parse_command_line({"predict", "a.h5", "--data", "mnist", "runs/b", "--out", "y.csv", "--samples", "50",
                          "--seed", "3", "--split", "train"});
  EXPECT_EQ(line.command, Command::predict);
  EXPECT_EQ(line.models_or_run, (std::vector<std::string>{"a.h5", "runs/b"}));
  EXPECT_EQ(line.predictions, "y.csv");
  EXPECT_EQ(line.configuration.out, "");
  EXPECT_EQ(line.samples, 50);
  EXPECT_EQ(line.configuration.seed, 3U);
  EXPECT_EQ(line.predict_split, "train");
  const CommandLine least = parse_command_line({"predict", "a.h5", "--data", "mnist", "--out", "y.h5"});
  EXPECT_EQ(least.samples, 0);
  EXPECT_EQ(least.predict_split, "");
  EXPECT_TRUE(contains(complaint({"predict", "--data", "mnist", "--out", "y.h5"}), "MODEL"));
  EXPECT_TRUE(contains(complaint({"predict", "a.h5", "--out", "y.h5"}), "--data"));
  EXPECT_TRUE(contains(complaint({"predict", "a.h5", "--data", "mnist"}), "--out"));
  EXPECT_TRUE(contains(complaint({"predict", "a.h5", "--samples", "0"}), "from 1"));
  EXPECT_TRUE(contains(complaint({"predict", "a.h5", "", "--data", "mnist", "--out", "y.h5"}), "is empty"));
  EXPECT_TRUE(contains(complaint({"predict", "a.h5", "--epochs", "3"}), "no option of `trainer predict`"));
  EXPECT_EQ(parse_command_line({"evaluate", "a.h5", "b.h5", "--data", "mnist"}).models_or_run.size(), 2U);
}

TEST(CommandLine, HelpAndVersionNeedNothingElse) {
  EXPECT_TRUE(parse_command_line({"--help"}).help);
  EXPECT_TRUE(parse_command_line({"-h"}).help);
  EXPECT_TRUE(parse_command_line({"--version"}).version);
  EXPECT_TRUE(parse_command_line({"evaluate", "--help"}).help);
  EXPECT_EQ(parse_command_line({"evaluate", "--help"}).command, Command::evaluate);
  EXPECT_TRUE(parse_command_line({"inspect", "--help"}).help);
  EXPECT_TRUE(parse_command_line({"--data", "mnist", "--help"}).help);
}

TEST(CommandLine, TheCommandLineWinsOverTheFile) {
  const TemporaryFile file("model = 30\nepochs = 5\nbatch = 10\nlog-steps = yes\n");
  const CommandLine line = parse_command_line({"--config", file.path(), "--epochs", "7"});
  EXPECT_EQ(line.configuration.epochs, 7);
  EXPECT_EQ(line.configuration.batch_size, "10");
  EXPECT_TRUE(line.configuration.log_steps);
  EXPECT_EQ(line.given, (std::set<std::string>{"batch-size", "config", "epochs", "log-steps", "model"}));
}

TEST(CommandLine, FilesThatCannotBeReadAreDataErrors) {
  EXPECT_TRUE(contains(complaint({"--config", "/no/such/file.ini"}, ErrorKind::data), "/no/such/file.ini"));
  EXPECT_TRUE(contains(complaint({"--config", "/tmp"}, ErrorKind::data), "/tmp"));
  EXPECT_TRUE(contains(complaint({"--config", "/dev/zero"}, ErrorKind::data), "no list of options"));
}

/// No argument list makes the parser throw anything but an Error.
TEST(CommandLine, AnyWordsGiveAnErrorOrAResult) {
  const Words pieces = {
      "--",       "-",         "--=",       "=",     "--epochs", "--epochs=", "3",        "--quiet",
      "--quiet=", "--batch=1", "--help=",   "train", "resume",   "\x01\xff",  "--model",  "a(b",
      "--no",     "@file",     "--epochs ", "",      "--a b=",   "---",       "---epochs"};
  for (const std::string& a : pieces) {
    for (const std::string& b : pieces) {
      for (const std::string& c : pieces) {
        try {
          parse_command_line({a, b, c});
        } catch (const Error& error) {
          EXPECT_TRUE(error.kind() == ErrorKind::usage || error.kind() == ErrorKind::data);
        }
      }
    }
  }
}

}  // namespace
}  // namespace trainer::cli
