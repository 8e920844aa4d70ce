#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "trainer/study/study.h"
#include "trainer/train/configuration.h"

namespace trainer::cli {

enum class Command {
  train,
  resume,
  evaluate,
  predict,
  inspect,
  report,
  study,  ///< without a word behind it: prints its help
  study_batch,
  study_ranks,
  study_search,
  doctor,
  data,  ///< without a word behind it: prints its help
  data_describe,
  data_convert,
  data_generate
};

/// A command line, read and checked.
struct CommandLine {
  Command command = Command::train;
  train::Configuration configuration;
  std::set<std::string>
      given;  ///< options set on the command line or in --config, by canonical name ("batch-size")
  std::vector<std::string> models_or_run;  ///< RUN of resume (default runs/latest), FILE of inspect, each
                                           ///< one; RUNs of report; MODELs of evaluate and predict; WHAT of
                                           ///< data ..., also in configuration.data
  std::string config;                      ///< --config
  bool resume = false;                     ///< train --resume
  bool dry_run = false;
  std::string accept_change;  ///< of resume and train --resume: "data arithmetic version"
  bool help = false;
  bool version = false;
  bool verify = false;          ///< inspect --verify
  std::string split;            ///< evaluate --split; empty: the test split, or else all rows
  std::string out_json;         ///< evaluate --out
  std::string predict_split;    ///< predict --split; empty: the test split, if there is one
  std::string predictions;      ///< predict --out
  std::int64_t samples = 0;     ///< predict --samples; 0: none
  std::string data_out;         ///< data convert --out, data generate --out
  std::string page;             ///< report --out
  bool loss_landscape = false;  ///< report --loss-landscape
  study::Options study;         ///< of study ...
};

/// `bits`: decides results and is fixed for a run. `free`: may change at resume. `none`: belongs to one call
/// of the program.
enum class Effect { bits, free, none };

/// One option: the help, the parser, the defaults and the configuration file all come from this.
struct Option {
  std::string name;         ///< without dashes
  std::string alias;        ///< another name, or empty
  std::string placeholder;  ///< of its value, in the help; empty for a boolean, whose value may be left out
  std::string group;        ///< heading in the help
  Effect effect = Effect::free;
  std::string default_text;  ///< as shown in the help; empty: none
  std::string help;
  std::vector<Command> commands;  ///< that take it
  /// Reads a value. Throws Error(usage) that names the option, the value and the limits.
  std::function<void(CommandLine&, const std::string&)> set;
  /// The value as text that set() takes; empty where the option is not set (automatic).
  std::function<std::string(const CommandLine&)> get;

  bool is_boolean() const { return placeholder.empty(); }
  bool belongs_to(Command command) const;
};

/// Every option of the program, in the order of the help.
const std::vector<Option>& option_table();
/// The option with this name or alias that `command` takes; null when there is none.
const Option* find_option(const std::string& name, Command command);
/// Names and aliases of the options that `command` takes.
std::vector<std::string> option_names(Command command);

}  // namespace trainer::cli
