#include <algorithm>
#include <cstdio>
#include <vector>

#include "trainer/cli/commands.h"
#include "trainer/cli/config_file.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/study/study.h"

namespace trainer::cli {
namespace {

/// Arguments of optimizers, which may be varied by their names.
const std::vector<std::string> kOfOptimizers = {"momentum", "beta",    "beta1",
                                                "beta2",    "epsilon", "weight_decay"};

study::Kind kind_of(Command command) {
  return command == Command::study_batch    ? study::Kind::batch
         : command == Command::study_search ? study::Kind::search
                                            : study::Kind::ranks;
}

/// `source` with `value` for each $name; empty when there is none.
std::string with_value(const std::string& source, const std::string& name, const std::string& value) {
  const std::string mark = "$" + name;
  std::string result;
  std::size_t done = 0;
  bool found = false;
  for (std::size_t at = source.find(mark); at != std::string::npos; at = source.find(mark, at + 1)) {
    const std::size_t end = at + mark.size();
    const bool longer = end < source.size() &&
                        (std::isalnum(static_cast<unsigned char>(source[end])) != 0 || source[end] == '_');
    if (longer) continue;
    result += source.substr(done, at - done) + value;
    done = end;
    found = true;
  }
  return found ? result + source.substr(done) : "";
}

/// "sgd" with momentum=0.9: "sgd(momentum=0.9)".
std::string with_argument(const std::string& optimizer, const std::string& name, const std::string& value) {
  const std::string argument = name + "=" + value;
  if (optimizer.empty() || optimizer.back() != ')') return optimizer + "(" + argument + ")";
  const bool none = optimizer[optimizer.find_last_not_of(" )")] == '(';
  return optimizer.substr(0, optimizer.size() - 1) + (none ? "" : ", ") + argument + ")";
}

constexpr const char* kQuoting =
    "; a shell takes $ in double quotes for its own, so write such texts in single quotes, as in "
    "--model 'dense($hidden) relu dense(outputs)'";

/// Each $name has a value by now.
void require_no_placeholder(const CommandLine& line) {
  for (const Option& option : option_table()) {
    const bool of_data = option.group == "Data" && option.name != "augment";  // files may be called so
    if (!option.belongs_to(Command::train) || of_data || option.effect != Effect::bits) continue;
    const std::string source = option.get(line);
    const std::size_t at = source.find('$');
    if (at == std::string::npos) continue;
    std::size_t end = at + 1;
    while (end < source.size() &&
           (std::isalnum(static_cast<unsigned char>(source[end])) != 0 || source[end] == '_'))
      ++end;
    const std::string name = source.substr(at + 1, end - at - 1);
    fail(ErrorKind::usage, "--", option.name, " ", source, ": $", name,
         " has no value: name it among what is varied, as in \"", name, "=list(16,32)\"", kQuoting);
  }
}

void set(CommandLine& line, const std::string& name, const std::string& value) {
  if (const Option* option = find_option(name, Command::train)) return option->set(line, value);
  bool found = false;
  for (const Option& option : option_table()) {
    if (!option.belongs_to(Command::train)) continue;
    const std::string replaced = with_value(option.get(line), name, value);
    if (replaced.empty()) continue;
    option.set(line, replaced);
    found = true;
  }
  if (found) return;
  require(std::ranges::find(kOfOptimizers, name) != kOfOptimizers.end(), ErrorKind::usage, "\"", name,
          "\" is to be varied, but it is no option, and no option's text holds $", name, kQuoting);
  line.configuration.optimizer = with_argument(line.configuration.optimizer, name, value);
}

/// What decides the data is the same for all trials of a study.
void require_variable(const std::string& name) {
  const Option* option = find_option(name, Command::train);
  if (option == nullptr) return;
  const bool of_data = option->group == "Data" && option->name != "augment";
  const bool fixed = of_data || option->effect != Effect::bits || option->name == "seed" ||
                     option->name == "goal" || option->name == "isa" || option->name == "max-steps" ||
                     option->name == "epochs";
  require(!fixed, ErrorKind::usage, "--", option->name, " cannot be varied within a study: ",
          of_data ? "all trials share the data; make a study of each" : "it is the same for all trials");
}

study::Request request_of(const Job& job) {
  study::Request request;
  request.kind = kind_of(job.line.command);
  request.options = job.line.study;
  request.configuration = job.line.configuration;
  request.configuration.test = "none";
  const CommandLine defaults;
  for (const Option& option : option_table())
    if (option.belongs_to(Command::train) && option.get(job.line) != option.get(defaults))
      request.given[option.name] = option.get(job.line);
  request.command = job.command;
  request.resume = job.line.resume;
  request.dry_run = job.line.dry_run;
  request.threads = job.threads;
  request.signals = job.signals;
  request.out = job.line.dry_run && comm::rank_from_environment() != 0 ? nullptr : stdout;
  request.on_folder = job.on_folder;
  request.with = [](const train::Configuration& base, const study::Settings& settings) {
    CommandLine line;
    line.configuration = base;
    for (const auto& [name, value] : settings) set(line, name, value);
    require_no_placeholder(line);
    return line.configuration;
  };
  request.require_variable = require_variable;
  request.config_text = [line = job.line](const std::map<std::string, std::string>&) {
    return study_config_text(line);
  };
  return request;
}

}  // namespace

int run_study(const comm::Communicator& world, const Job& job) {
  return study::run_study(world, request_of(job));
}

std::string write_study_report(const std::string& folder, const std::string& page,
                               const std::string& figures) {
  const std::string file = folder + "/config.ini";
  const std::vector<ConfigEntry> entries = read_config(file);
  const auto has = [&](const std::string& name) {
    return std::ranges::any_of(entries, [&](const ConfigEntry& one) { return one.name == name; });
  };
  const bool of_search = has("vary"), of_batches = has("batch-sizes");
  require(of_search || of_batches || has("weak"), ErrorKind::data, file,
          entries.empty() ? " holds no options" : " holds the options of no study",
          "; put back the file that the study wrote");
  Job job;
  job.line.command = of_search    ? Command::study_search
                     : of_batches ? Command::study_batch
                                  : Command::study_ranks;
  apply_config(entries, job.line);
  return study::write_study_report(request_of(job), folder, page, figures);
}

}  // namespace trainer::cli
