#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "trainer/cli/command_line.h"
#include "trainer/cli/commands.h"

namespace trainer::cli {
namespace {

constexpr Command kCommands[] = {
    Command::train,  Command::resume, Command::evaluate,      Command::predict,      Command::inspect,
    Command::report, Command::doctor, Command::data_describe, Command::data_convert, Command::data_generate};

TEST(Help, NamesEveryOptionWithMarkAliasAndDefault) {
  for (const Command command : kCommands) {
    const std::string help = help_text(command);
    for (const Option& option : option_table()) {
      const bool named = help.find("--" + option.name + " ") != std::string::npos;
      if (find_option(option.name, command) != nullptr && !option.belongs_to(command))
        continue;  // --out of another
      EXPECT_EQ(named, option.belongs_to(command)) << option.name;
      if (!option.belongs_to(command)) continue;
      if (!option.alias.empty()) {
        EXPECT_NE(help.find("--" + option.alias), std::string::npos);
      }
    }
  }
}

TEST(Help, OfTheProgramNamesTheCommands) {
  const std::string help = program_help_text();
  for (const char* name :
       {"[train]", "resume", "evaluate", "predict", "inspect", "report", "data describe", "data convert"}) {
    EXPECT_NE(help.find(std::string("trainer ") + name), std::string::npos) << name;
  }
  EXPECT_NE(help.find("--batch-size ROWS"), std::string::npos);
  EXPECT_NE(help.find("\n  --epochs 15\n"), std::string::npos);  // of the built-in job
}

TEST(Help, OfDataNamesItsCommands) {
  const std::string help = help_text(Command::data);
  for (const char* name : {"data describe WHAT", "data convert WHAT --out", "data generate"})
    EXPECT_NE(help.find(name), std::string::npos) << name;
}

TEST(Help, FitsAScreensWidthAndIsPlainText) {
  for (const Command command : kCommands) {
    std::istringstream lines(help_text(command));
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 118U) << line;
      for (const char c : line) EXPECT_TRUE(c >= ' ' && c < 127) << line;
    }
  }
}

TEST(Help, MarksWhatIsFixedForARun) {
  EXPECT_NE(help_text(Command::train).find(" [bits]"), std::string::npos);
  EXPECT_NE(help_text(Command::resume).find(" [free]"), std::string::npos);
  EXPECT_EQ(help_text(Command::evaluate).find(" [bits]"), std::string::npos);
}

TEST(OptionTable, IsConsistent) {
  for (const Command command : kCommands) {
    std::set<std::string> names;
    for (const std::string& name : option_names(command)) EXPECT_TRUE(names.insert(name).second) << name;
  }
  for (const Option& option : option_table()) {
    EXPECT_FALSE(option.help.empty()) << option.name;
    EXPECT_FALSE(option.commands.empty()) << option.name;
    EXPECT_FALSE(option.group.empty()) << option.name;
    if (option.is_boolean()) {
      EXPECT_EQ(option.get(CommandLine{}), "false") << option.name;
    }
  }
}

TEST(OptionTable, EveryDefaultReadsBackAsItself) {
  for (const Option& option : option_table()) {
    CommandLine line;
    const std::string value = option.get(line);
    if (value.empty()) continue;
    option.set(line, value);
    EXPECT_EQ(option.get(line), value) << option.name;
  }
}

TEST(Version, NamesTheProgramAndItsLibraries) {
  const std::string text = version_text();
  for (const char* part : {"trainer 0.", "compiler ", "build ", "oneDNN ", "MPI "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace trainer::cli
