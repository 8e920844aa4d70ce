#pragma once

#include <map>
#include <string>
#include <vector>

#include "trainer/cli/options.h"

namespace trainer::cli {

/// One line `name = value` of a configuration file.
struct ConfigEntry {
  std::string name;   ///< as written
  std::string value;  ///< as written, without the white space around it; # and ; belong to it
  std::string place;  ///< "FILE:12", for messages
};

/// Reads the text of a configuration file called `file` (in messages): lines `name = value`; empty lines;
/// comments, which begin a line with # or ; Throws Error(usage) with the file and line for anything else.
std::vector<ConfigEntry> parse_config(const std::string& text, const std::string& file);
/// The content of such a file, at most 1 MiB. Throws Error(data) when it cannot be read or is no text.
std::string read_config_text(const std::string& path);
/// Both.
std::vector<ConfigEntry> read_config(const std::string& path);

/// Sets the options of `entries` in `line` and adds their names to `given`. Throws Error(usage), with the
/// place, for an unknown or repeated name or a bad value.
void apply_config(const std::vector<ConfigEntry>& entries, CommandLine& line);

/// The text of RUN/config.ini: every *bits* option with its value in `resolved` (by option name), else as
/// configured; --data; the free options that differ from their defaults; never --out. `comment` lines come
/// first. `trainer --config` reads it back.
std::string config_text(const train::Configuration& configuration,
                        const std::map<std::string, std::string>& resolved, const std::string& comment);

/// The same of a study: the options of its command.
std::string study_config_text(const CommandLine& line);

/// What `trainer resume` runs: the settings of the run's config.ini (`config_ini` is its text, `run` the
/// folder), changed by the *free* options that `asked` gives; --out is the run folder. Throws Error(usage)
/// when a *bits* option is given another value.
CommandLine with_run_settings(const CommandLine& asked, const std::string& run,
                              const std::string& config_ini);

/// Compares two texts of config_text(): throws Error(usage) that names the first *bits* option that differs
/// and both values. `run` is the run's folder, for the message; `was` the text of its config.ini, `now` what
/// is asked at resume.
void require_same_bits(const std::string& run, const std::string& was, const std::string& now);

}  // namespace trainer::cli
