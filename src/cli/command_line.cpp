#include "trainer/cli/command_line.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <limits>
#include <span>
#include <utility>

#include "apply_option.h"
#include "description.h"
#include "trainer/cli/config_file.h"
#include "trainer/cli/default_recipe.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::cli {
namespace {

namespace po = boost::program_options;

using Arguments = std::vector<std::string>;

struct GivenOption {
  std::string name;
  std::string value;
};

struct Parsed {
  std::vector<GivenOption> options;
  Arguments positional;
};

constexpr Command kCommands[] = {Command::train,   Command::resume,  Command::evaluate,
                                 Command::predict, Command::inspect, Command::report,
                                 Command::study,   Command::doctor,  Command::data};
constexpr Command kStudyCommands[] = {Command::study_batch, Command::study_ranks, Command::study_search};
constexpr Command kDataCommands[] = {Command::data_describe, Command::data_convert, Command::data_generate};

/// The second word of `trainer data` and `trainer study`, which are in `commands`.
std::pair<Command, Arguments> take_second_word(Command group, std::span<const Command> commands,
                                               const Arguments& arguments) {
  if (arguments.empty() || arguments.front().starts_with("-")) return {group, arguments};
  const std::string first = command_name(group);
  std::vector<std::string> names;
  std::string list;
  for (const Command command : commands) {
    names.push_back(command_name(command).substr(first.size() + 1));
    if (arguments.front() == names.back()) return {command, {arguments.begin() + 1, arguments.end()}};
    list += (list.empty() ? "" : command == commands.back() ? " and " : ", ") + command_name(command);
  }
  const std::string near = nearest_name(arguments.front(), names);
  fail(ErrorKind::usage, "\"", first, " ", arguments.front(), "\" is no command; ",
       near.empty() ? "" : "did you mean " + first + " " + near + "? ", "there are ", list, ", see `trainer ",
       first, " --help`");
}

/// The command and what is behind it. No command means train.
std::pair<Command, Arguments> take_command(const Arguments& arguments) {
  if (arguments.empty() || arguments.front().starts_with("-")) return {Command::train, arguments};
  std::vector<std::string> names;
  for (const Command command : kCommands) {
    if (arguments.front() == command_name(command)) {
      const Arguments rest(arguments.begin() + 1, arguments.end());
      if (command == Command::data) return take_second_word(command, kDataCommands, rest);
      if (command == Command::study) return take_second_word(command, kStudyCommands, rest);
      return {command, rest};
    }
    names.push_back(command_name(command));
  }
  const std::string near = nearest_name(arguments.front(), names);
  fail(ErrorKind::usage, "\"", arguments.front(), "\" is no command; ",
       near.empty() ? "" : "did you mean " + near + "? ",
       "there are train, resume, evaluate, predict, inspect, report, study, data and doctor, see `trainer "
       "--help`");
}

/// Boost would take any next word for the value of a boolean: it is written behind `=`, where there is one,
/// or true.
Arguments with_joined_booleans(const Arguments& arguments, Command command) {
  Arguments joined;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    joined.push_back(word == "-h" ? "--help" : word);
    if (word == "--") {
      joined.insert(joined.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1, arguments.end());
      break;
    }
    const Option* option = word.starts_with("--") ? find_option(word.substr(2), command) : nullptr;
    if (option == nullptr) continue;
    const bool has_next = i + 1 < arguments.size();
    if (!option->is_boolean()) {
      // The next word is the value, even if it looks like a boolean option.
      if (has_next) joined.push_back(arguments[++i]);
    } else {
      joined.back() += has_next && parse_boolean(arguments[i + 1]) ? "=" + arguments[++i] : "=true";
    }
  }
  return joined;
}

std::string without_dashes(const std::string& name) {
  const std::size_t begin = name.find_first_not_of('-');
  return begin == std::string::npos ? name : name.substr(begin);
}

Parsed split_arguments(const Arguments& arguments, Command command) {
  const po::options_description description = parser_description(command);
  Parsed parsed;
  try {
    // No allow_guessing: a prefix of an option is not that option.
    const int exact = po::command_line_style::allow_long | po::command_line_style::long_allow_adjacent |
                      po::command_line_style::long_allow_next;
    const po::parsed_options result =
        po::command_line_parser(arguments).options(description).style(exact).run();
    for (const po::option& option : result.options) {
      if (option.position_key >= 0 || option.string_key.empty()) {
        parsed.positional.insert(parsed.positional.end(), option.value.begin(), option.value.end());
      } else {
        parsed.options.push_back({option.string_key, option.value.empty() ? "true" : option.value.front()});
      }
    }
  } catch (const po::unknown_option& error) {
    fail(ErrorKind::usage, unknown_option_text(without_dashes(error.get_option_name()), command));
  } catch (const po::error_with_option_name& error) {
    fail(ErrorKind::usage, "--", without_dashes(error.get_option_name()), " needs a value; see `trainer ",
         command_name(command), " --help`");
  } catch (const po::error& error) {
    fail(ErrorKind::usage, error.what());
  }
  return parsed;
}

/// A value that begins with dashes is a forgotten value and the next option.
void require_no_option_as_value(const Parsed& parsed) {
  for (const GivenOption& option : parsed.options) {
    require(!option.value.starts_with("--"), ErrorKind::usage, "--", option.name, " needs a value; found ",
            option.value);
  }
}

std::size_t most_arguments(Command command) {
  switch (command) {
    case Command::evaluate:
    case Command::predict:
    case Command::report:
      return std::numeric_limits<std::size_t>::max();
    case Command::resume:
    case Command::inspect:
    case Command::data_describe:
    case Command::data_convert:
    case Command::data_generate:
      return 1;
    case Command::train:
    case Command::study:
    case Command::study_batch:
    case Command::study_ranks:
    case Command::study_search:
    case Command::doctor:
    case Command::data:
      break;
  }
  return 0;
}

void take_positional(const Parsed& parsed, CommandLine& line) {
  for (const std::string& word : parsed.positional) {
    require(word.empty() || word.front() != '-' || word == "-", ErrorKind::usage,
            unknown_option_text(without_dashes(word), line.command));
  }
  const std::size_t most = most_arguments(line.command);
  require(parsed.positional.size() <= most, ErrorKind::usage, "\"",
          parsed.positional.size() > most ? parsed.positional[most] : "",
          "\" is one argument too many for `trainer ", command_name(line.command),
          "`; a value of several words needs quotes, an option two dashes");
  line.models_or_run = parsed.positional;
  require(std::ranges::none_of(line.models_or_run, &std::string::empty), ErrorKind::usage,
          "an argument of `trainer ", command_name(line.command), "` is empty");
  const bool of_runs = line.command == Command::resume || line.command == Command::report;
  if (line.models_or_run.empty() && of_runs) line.models_or_run = {"runs/latest"};
}

const std::string* find_given(const Parsed& parsed, const std::string& name) {
  for (const GivenOption& option : parsed.options) {
    if (option.name == name) return &option.value;
  }
  return nullptr;
}

bool is_of_study(Command command) {
  return std::ranges::find(kStudyCommands, command) != std::end(kStudyCommands);
}

/// The options that the command line changes: those of --config, or the built-in recipe, or the defaults.
CommandLine base_of(const Parsed& parsed, Command command) {
  CommandLine base;
  base.command = command;
  if (command != Command::train && command != Command::doctor && !is_of_study(command)) return base;
  if (const std::string* file = find_given(parsed, "config")) {
    require(!file->empty(), ErrorKind::usage, "--config needs a value: FILE");
    apply_config(read_config(*file), base);
  } else if (command == Command::train && find_given(parsed, "data") == nullptr &&
             find_given(parsed, "model") == nullptr) {
    apply_default_recipe(base.configuration);
  }
  return base;
}

bool is_of_data(Command command) {
  return std::ranges::find(kDataCommands, command) != std::end(kDataCommands);
}

/// WHAT of `trainer data ...` is what --data takes.
void take_what(CommandLine& line) {
  if (!is_of_data(line.command) || line.models_or_run.empty()) return;
  const std::string generate = "generate:";
  const std::string& what = line.models_or_run.front();
  const bool lacks_prefix = line.command == Command::data_generate && !what.starts_with(generate);
  line.configuration.data = (lacks_prefix ? generate : "") + what;
  line.given.insert("data");
}

void require_complete_data(const CommandLine& line) {
  const std::string name = command_name(line.command);
  require(!line.models_or_run.empty(), ErrorKind::usage, "`trainer ", name, "` needs ",
          line.command == Command::data_generate ? "NAME(...), such as \"blobs(rows=1000, classes=3)\""
                                                 : "WHAT: data as --data takes it, such as fashion-mnist");
  require(line.command == Command::data_describe || !line.data_out.empty(), ErrorKind::usage, "`trainer ",
          name, "` needs --out, a file that ends in .h5 or .hdf5");
}

void require_complete(const CommandLine& line) {
  if (line.help || line.version || line.command == Command::data || line.command == Command::study) return;
  if (is_of_data(line.command)) return require_complete_data(line);
  const bool of_models = line.command == Command::evaluate || line.command == Command::predict;
  const std::string name = command_name(line.command);
  require((!of_models && line.command != Command::inspect) || !line.models_or_run.empty(), ErrorKind::usage,
          "`trainer ", name, "` needs ",
          of_models ? "MODEL, a checkpoint file or a run folder" : "FILE, a checkpoint");
  require(!of_models || line.given.contains("data"), ErrorKind::usage, "`trainer ", name,
          "` needs --data, such as --data fashion-mnist");
  require(line.command != Command::predict || line.given.contains("out"), ErrorKind::usage,
          "`trainer predict` needs --out, a file that ends in .h5, .hdf5 or .csv");
  require(!is_of_study(line.command) || line.dry_run || !line.configuration.out.empty(), ErrorKind::usage,
          "`trainer ", name, "` needs --out, the folder of the study");
  if (line.command != Command::train) return;
  require(!line.resume || !line.configuration.out.empty(), ErrorKind::usage,
          "--resume needs --out, the run folder to continue or to start");
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  const auto [command, rest] = take_command(arguments);
  const Parsed parsed = split_arguments(with_joined_booleans(rest, command), command);
  require_no_option_as_value(parsed);
  CommandLine line;
  line.command = command;
  take_positional(parsed, line);
  const bool only_asks = find_given(parsed, "help") != nullptr || find_given(parsed, "version") != nullptr;
  if (!only_asks) {
    CommandLine base = base_of(parsed, command);
    base.models_or_run = line.models_or_run;
    line = std::move(base);
  }
  const std::set<std::string> from_file = std::exchange(line.given, {});
  for (const GivenOption& option : parsed.options) apply_option(line, option.name, option.value, "");
  line.given.insert(from_file.begin(), from_file.end());
  take_what(line);
  require_complete(line);
  return line;
}

}  // namespace trainer::cli
