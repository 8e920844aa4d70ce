#include "trainer/cli/config_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "apply_option.h"
#include "trainer/core/error.h"

namespace trainer::cli {
namespace {

constexpr std::streamsize kLargestFile = 1 << 20;

std::string trimmed(const std::string& text) {
  const char* const kBlank = " \t\r\v\f";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// Options of the call itself make no sense in a file.
bool may_stand_in_file(const std::string& name) {
  return name != "config" && name != "help" && name != "version";
}

/// Where a run is done, with what processors and how is no part of what it computes.
bool is_of_the_call(const Option& option) {
  return option.effect == Effect::none || option.name == "out" || option.name == "threads" ||
         option.name == "tuning";
}

bool is_written(const Option& option) {
  return option.belongs_to(Command::train) && !is_of_the_call(option);
}

std::map<std::string, std::string> values_of(const std::string& text, const std::string& file) {
  std::map<std::string, std::string> values;
  for (const ConfigEntry& entry : parse_config(text, file)) values[entry.name] = entry.value;
  return values;
}

std::string value_or_default(const std::map<std::string, std::string>& values, const Option& option) {
  const auto found = values.find(option.name);
  return found == values.end() ? option.get(CommandLine{}) : found->second;
}

}  // namespace

std::vector<ConfigEntry> parse_config(const std::string& text, const std::string& file) {
  std::vector<ConfigEntry> entries;
  std::istringstream lines(text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line = trimmed(line);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const std::string place = trainer::text(file, ":", number);
    const std::size_t equals = line.find('=');
    require(line.front() != '[' && equals != std::string::npos && equals > 0, ErrorKind::usage, place, ": \"",
            line, "\" is no line `name = value`");
    entries.push_back({trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)), place});
  }
  return entries;
}

std::string read_config_text(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text(static_cast<std::size_t>(kLargestFile) + 1, '\0');
  file.read(text.data(), kLargestFile + 1);
  require(file.is_open() && !file.bad() && errno == 0, ErrorKind::data, "cannot read ", path, ": ",
          std::strerror(errno));
  require(file.gcount() <= kLargestFile, ErrorKind::data, path, " has more than ", kLargestFile,
          " bytes: it is no list of options");
  text.resize(static_cast<std::size_t>(file.gcount()));
  require(text.find('\0') == std::string::npos, ErrorKind::data, path,
          " is no text: it is no list of options");
  return text;
}

std::vector<ConfigEntry> read_config(const std::string& path) {
  return parse_config(read_config_text(path), path);
}

void apply_config(const std::vector<ConfigEntry>& entries, CommandLine& line) {
  for (const ConfigEntry& entry : entries) {
    require(may_stand_in_file(entry.name), ErrorKind::usage, entry.place, ": --", entry.name,
            " belongs on the command line");
    apply_option(line, entry.name, entry.value, entry.place + ": ");
  }
}

std::string config_text(const train::Configuration& configuration,
                        const std::map<std::string, std::string>& resolved, const std::string& comment) {
  CommandLine line;
  line.configuration = configuration;
  const CommandLine defaults;
  std::string result;
  std::istringstream comment_lines(comment);
  for (std::string words; std::getline(comment_lines, words);) result += "# " + words + "\n";
  std::string group;
  for (const Option& option : option_table()) {
    if (!is_written(option)) continue;
    const auto found = resolved.find(option.name);
    const std::string value = found != resolved.end() ? found->second : option.get(line);
    const bool asked =
        option.effect == Effect::bits || option.name == "data" || value != option.get(defaults);
    if (!asked || value.empty()) continue;
    if (option.group != group) {
      group = option.group;
      result += "\n# " + group + "\n";
    }
    result += option.name + " = " + value + "\n";
  }
  return result;
}

std::string study_config_text(const CommandLine& line) {
  const CommandLine defaults;
  std::string result = text("# What this study was asked for; `trainer ", command_name(line.command),
                            " --config FILE --out STUDY` does it again.\n");
  std::string group;
  for (const Option& option : option_table()) {
    if (!option.belongs_to(line.command) || is_of_the_call(option)) continue;
    const std::string value = option.get(line);
    const bool asked =
        option.effect == Effect::bits || option.name == "data" || value != option.get(defaults);
    if (!asked || value.empty()) continue;
    if (option.group != group) {
      group = option.group;
      result += "\n# " + group + "\n";
    }
    result += option.name + " = " + value + "\n";
  }
  return result;
}

CommandLine with_run_settings(const CommandLine& asked, const std::string& run,
                              const std::string& config_ini) {
  CommandLine settings;
  apply_config(parse_config(config_ini, run + "/config.ini"), settings);
  CommandLine line = asked;
  line.configuration = settings.configuration;
  for (const Option& option : option_table()) {
    if (!option.belongs_to(asked.command) || !asked.given.contains(option.name)) continue;
    const std::string value = option.get(asked);
    require(option.effect != Effect::bits || value == option.get(settings), ErrorKind::usage, "--",
            option.name, " is fixed for a run: ", run, " was started with \"", option.get(settings), "\", \"",
            value, "\" is asked for now; leave it out, or start a new run");
    option.set(line, value);
  }
  line.configuration.out = run;
  return line;
}

void require_same_bits(const std::string& run, const std::string& was, const std::string& now) {
  const std::map<std::string, std::string> before = values_of(was, run + "/config.ini");
  const std::map<std::string, std::string> asked = values_of(now, "the options");
  for (const Option& option : option_table()) {
    if (!is_written(option) || option.effect != Effect::bits) continue;
    const std::string first = value_or_default(before, option);
    const std::string second = value_or_default(asked, option);
    require(first == second, ErrorKind::usage, "--", option.name, " is fixed for a run: ", run,
            " was started with \"", first, "\", \"", second,
            "\" is asked for now; use the same options, or another --out");
  }
}

}  // namespace trainer::cli
