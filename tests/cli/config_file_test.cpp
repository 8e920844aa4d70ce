#include "trainer/cli/config_file.h"

#include <gtest/gtest.h>

#include "trainer/cli/command_line.h"
#include "trainer/cli/default_recipe.h"
#include "trainer/core/error.h"

namespace trainer::cli {
namespace {

std::string complaint(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

std::string complaint_about(const std::string& config) {
  return complaint([&] {
    CommandLine line;
    apply_config(parse_config(config, "my.ini"), line);
  });
}

CommandLine read(const std::string& config) {
  CommandLine line;
  apply_config(parse_config(config, "my.ini"), line);
  return line;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ConfigFile, ReadsLinesAndComments) {
  const std::vector<ConfigEntry> entries = parse_config(
      "# a comment\n\n  ; another\n epochs =  3 \r\nmodel=dense(2, bias=false)\nlog-steps = no", "f");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].name, "epochs");
  EXPECT_EQ(entries[0].value, "3");
  EXPECT_EQ(entries[0].place, "f:4");
  EXPECT_EQ(entries[1].value, "dense(2, bias=false)");  // the first = separates
  EXPECT_EQ(entries[2].place, "f:6");
  EXPECT_EQ(parse_config("\xef\xbb\xbf"
                         "epochs = 3",
                         "f")
                .front()
                .name,
            "epochs");
}

TEST(ConfigFile, AHashBelongsToTheValue) {
  EXPECT_EQ(read("data = /data/run#3/x;y\n").configuration.data, "/data/run#3/x;y");
  EXPECT_EQ(read("out = a # b\n").configuration.out, "a # b");
  EXPECT_TRUE(contains(complaint_about("epochs = 3 # three\n"), "\"3 # three\" is not a whole number"));
}

TEST(ConfigFile, NamesTheLineThatIsWrong) {
  EXPECT_TRUE(complaint_about("epochs = 3\nlrr = 1\n").starts_with("my.ini:2: --lrr is no option"));
  EXPECT_TRUE(contains(complaint_about("epoch = 3\n"), "did you mean --epochs?"));
  EXPECT_TRUE(complaint_about("epochs = 3\n\nepochs = 4\n")
                  .starts_with("my.ini:3: --epochs is given more than once"));
  EXPECT_TRUE(
      complaint_about("batch = 3\nbatch-size = 3\n").starts_with("my.ini:2: --batch-size is given more"));
  EXPECT_TRUE(complaint_about("epochs =\n").starts_with("my.ini:1: --epochs needs a value"));
  EXPECT_TRUE(complaint_about("batch-size = 0\n").starts_with("my.ini:1: --batch-size: \"0\" is not"));
  EXPECT_TRUE(complaint_about("seed = -1\n").starts_with("my.ini:1: --seed"));
  EXPECT_TRUE(complaint_about("lr = nan\n").starts_with("my.ini:1: --lr"));
  EXPECT_TRUE(complaint_about("model = dense(\n").starts_with("my.ini:1: --model: "));
  EXPECT_TRUE(contains(complaint_about("epochs 3\n"), "my.ini:1: \"epochs 3\" is no line `name = value`"));
  EXPECT_TRUE(contains(complaint_about("[train]\n"), "is no line"));
  EXPECT_TRUE(contains(complaint_about("[a] = 3\n"), "is no line"));
  EXPECT_TRUE(contains(complaint_about("= 3\n"), "is no line"));
  EXPECT_TRUE(contains(complaint_about("help = true\n"), "command line"));
  EXPECT_TRUE(contains(complaint_about("config = other.ini\n"), "command line"));
  EXPECT_TRUE(contains(complaint_about("--epochs = 3\n"), "no option"));
}

/// The values of all options that decide results, and the others that are not at their defaults.
std::map<std::string, std::string> values_of(const train::Configuration& configuration) {
  CommandLine line;
  line.configuration = configuration;
  std::map<std::string, std::string> values;
  for (const Option& option : option_table()) {
    if (option.belongs_to(Command::train) && option.effect != Effect::none)
      values[option.name] = option.get(line);
  }
  return values;
}

TEST(ConfigFile, WhatIsWrittenReadsBackAsTheSameJob) {
  const CommandLine line = parse_command_line({"--model",
                                               "dense(3) relu",
                                               "--data",
                                               "x#1",
                                               "--lr",
                                               "0.1",
                                               "--l1",
                                               "1e-7",
                                               "--epochs",
                                               "4",
                                               "--goal",
                                               "val_loss<=0.1",
                                               "--batch",
                                               "full",
                                               "--shuffle",
                                               "none",
                                               "--isa",
                                               "AVX2",
                                               "--log-steps",
                                               "--max-steps",
                                               "9",
                                               "--validation",
                                               "5000 rows",
                                               "--early-stopping",
                                               "val_loss(patience=5, min_delta=0)"});
  const std::string text = config_text(line.configuration, {}, "made by\na test");
  EXPECT_TRUE(text.starts_with("# made by\n# a test\n")) << text;
  EXPECT_EQ(values_of(read(text).configuration), values_of(line.configuration)) << text;
}

TEST(ConfigFile, TheRecipeReadsBackAsTheSameJob) {
  train::Configuration recipe;
  apply_default_recipe(recipe);
  EXPECT_EQ(values_of(read(config_text(recipe, {}, "")).configuration), values_of(recipe));
}

TEST(ConfigFile, EveryBitsOptionIsWrittenWithItsResolvedValue) {
  train::Configuration configuration;
  configuration.model = "512-512";
  configuration.out = "somewhere";
  configuration.threads = 3;
  configuration.tuning = "overlap=off weight_gradient=auto shared_gradients=on";
  const std::string text = config_text(
      configuration,
      {{"model", "dense(512) relu dense(512) relu dense(10)"}, {"shards", "16"}, {"lr", "0.001"}}, "");
  EXPECT_TRUE(contains(text, "\nmodel = dense(512) relu dense(512) relu dense(10)\n")) << text;
  EXPECT_TRUE(contains(text, "\nshards = 16\n")) << text;
  EXPECT_TRUE(contains(text, "\nlr = 0.001\n")) << text;
  EXPECT_TRUE(contains(text, "\ndata = fashion-mnist\n")) << text;
  for (const Option& option : option_table()) {
    if (option.effect == Effect::bits && option.belongs_to(Command::train)) {
      EXPECT_TRUE(contains(text, "\n" + option.name + " = ")) << option.name;
    }
  }
  for (const char* absent : {"\nout", "\nthreads", "\ntuning", "\nresume", "\nhelp", "\nepochs", "\nquiet"}) {
    EXPECT_FALSE(contains(text, absent)) << absent;
  }
}

TEST(ConfigFile, ResumeTakesTheRunsSettingsAndChangesWhatIsFree) {
  const std::string was =
      config_text(read("model = 30\nbatch = 100\nseed = 5\nepochs = 3\n").configuration, {}, "");
  const CommandLine asked = parse_command_line({"resume", "runs/a", "--epochs", "9", "--seed", "5", "--quiet",
                                                "--data", "/moved", "--tuning", "overlap=off"});
  const CommandLine line = with_run_settings(asked, "runs/a", was);
  EXPECT_EQ(line.command, Command::resume);
  EXPECT_EQ(line.configuration.batch_size, "100");
  EXPECT_EQ(line.configuration.epochs, 9);
  EXPECT_EQ(line.configuration.data, "/moved");
  EXPECT_TRUE(line.configuration.quiet);
  EXPECT_EQ(line.configuration.tuning, "overlap=off weight_gradient=auto shared_gradients=on");
  EXPECT_EQ(line.configuration.out, "runs/a");
  const std::string message = complaint([&] {
    with_run_settings(parse_command_line({"resume", "runs/a", "--batch", "200"}), "runs/a", was);
  });
  EXPECT_TRUE(contains(message, "--batch-size is fixed for a run: runs/a was started with \"100\", \"200\""))
      << message;
}

TEST(ConfigFile, SettingsThatDifferAreNamed) {
  train::Configuration configuration;
  configuration.model = "30";
  const std::string was = config_text(configuration, {{"shards", "4"}}, "");
  EXPECT_NO_THROW(require_same_bits("r", was, was));
  configuration.epochs = 50;  // free
  EXPECT_NO_THROW(
      require_same_bits("r", was, config_text(configuration, {{"shards", "4"}}, "another comment")));
  const std::string message = complaint([&] {
    require_same_bits("r", was, config_text(configuration, {{"shards", "8"}}, ""));
  });
  EXPECT_TRUE(contains(message, "--shards")) << message;
  EXPECT_TRUE(contains(message, "\"4\"") && contains(message, "\"8\"")) << message;
  configuration.seed = 2;
  EXPECT_TRUE(contains(complaint([&] {
                         require_same_bits("r", was, config_text(configuration, {{"shards", "4"}}, ""));
                       }),
                       "--seed"));
}

}  // namespace
}  // namespace trainer::cli
