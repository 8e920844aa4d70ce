#pragma once

#include <string>

#include "trainer/cli/options.h"

namespace trainer::cli {

/// Sets the option `name` (or alias) of the command of `line` and adds it to `given`. White space around the
/// value is dropped, line ends in it become blanks. Throws Error(usage), beginning with `place`, for an
/// unknown name, one that is given already, an empty or bad value.
void apply_option(CommandLine& line, const std::string& name, const std::string& value,
                  const std::string& place);

/// `--naem is no option of train; did you mean --name?`
std::string unknown_option_text(const std::string& name, Command command);

std::string command_name(Command command);

}  // namespace trainer::cli
