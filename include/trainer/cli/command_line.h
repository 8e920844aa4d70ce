#pragma once

#include <string>
#include <vector>

#include "trainer/cli/options.h"

namespace trainer::cli {

/// Reads the arguments behind the program's name, and the file of --config. Strict: names match exactly,
/// every value is checked, nothing is given twice, nothing is left over. The command line wins over --config;
/// without --data, --model and --config the built-in recipe is the base that options change. Throws
/// Error(usage), and Error(data) when the file of --config cannot be read.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

/// The help of a command: what it does and its options.
std::string help_text(Command command);
/// The help of the program: its commands, then the options of train.
std::string program_help_text();

}  // namespace trainer::cli
