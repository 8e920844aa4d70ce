#include "apply_option.h"

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::cli {
namespace {

std::string tidy(std::string value) {
  for (char& c : value) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  const std::size_t begin = value.find_first_not_of(' ');
  if (begin == std::string::npos) return "";
  return value.substr(begin, value.find_last_not_of(' ') - begin + 1);
}

/// The option that was meant: one whose beginning this is, or the nearest; empty when none is near.
std::string likely_option(const std::string& name, Command command) {
  for (const Option& option : option_table()) {
    if (!name.empty() && option.belongs_to(command) && option.name.starts_with(name)) return option.name;
  }
  return nearest_name(name, option_names(command));
}

}  // namespace

std::string command_name(Command command) {
  switch (command) {
    case Command::train:
      return "train";
    case Command::resume:
      return "resume";
    case Command::evaluate:
      return "evaluate";
    case Command::predict:
      return "predict";
    case Command::inspect:
      return "inspect";
    case Command::report:
      return "report";
    case Command::study:
      return "study";
    case Command::study_batch:
      return "study batch";
    case Command::study_ranks:
      return "study ranks";
    case Command::study_search:
      return "study search";
    case Command::doctor:
      return "doctor";
    case Command::data:
      return "data";
    case Command::data_describe:
      return "data describe";
    case Command::data_convert:
      return "data convert";
    case Command::data_generate:
      return "data generate";
  }
  return "";
}

std::string unknown_option_text(const std::string& name, Command command) {
  const std::string near = likely_option(name, command);
  return text("--", name, " is no option of `trainer ", command_name(command), "`; ",
              near.empty() ? "" : "did you mean --" + near + "? ", "`trainer ", command_name(command),
              " --help` lists them");
}

void apply_option(CommandLine& line, const std::string& name, const std::string& value,
                  const std::string& place) {
  const Option* option = find_option(name, line.command);
  require(option != nullptr, ErrorKind::usage, place, unknown_option_text(name, line.command));
  require(line.given.insert(option->name).second, ErrorKind::usage, place, "--", option->name,
          " is given more than once; give it once");
  const std::string tidied = tidy(value);
  require(!tidied.empty(), ErrorKind::usage, place, "--", option->name,
          " needs a value: ", option->placeholder);
  try {
    option->set(line, tidied);
  } catch (const Error& error) {
    throw Error(error.kind(), place + error.what());
  }
}

}  // namespace trainer::cli
