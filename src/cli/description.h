#pragma once

#include <boost/program_options/options_description.hpp>

#include "trainer/cli/options.h"

namespace trainer::cli {

/// The options of a command as Boost parses them: aliases are options of their own.
boost::program_options::options_description parser_description(Command command);

/// The options of a command as Boost prints them, under their headings.
boost::program_options::options_description printed_description(Command command);

}  // namespace trainer::cli
