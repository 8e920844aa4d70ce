#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "trainer/cli/options.h"

namespace trainer::cli {

// Options that know their name and how to read and write their value; the table adds the rest. `automatic` is
// the word that stands for "not set" (empty: there is none).

using Configuration = train::Configuration;

/// A whole number from `minimum` to `maximum`.
Option whole(const std::string& name, std::int64_t Configuration::*member, std::int64_t minimum,
             std::int64_t maximum, const std::string& automatic = "", std::int64_t unset = 0);
Option whole(const std::string& name, std::int64_t CommandLine::*member, std::int64_t minimum,
             std::int64_t maximum, const std::string& automatic, std::int64_t unset = 0);
Option whole(const std::string& name, std::uint64_t Configuration::*member);
/// A finite number from `minimum` on; with `open` the minimum itself is excluded.
Option number(const std::string& name, double Configuration::*member, double minimum, bool open = false);
Option number(const std::string& name, std::optional<double> Configuration::*member, double minimum,
              bool open, const std::string& automatic);
Option whole(const std::string& name, std::int64_t study::Options::*member, std::int64_t minimum,
             std::int64_t maximum);
Option boolean(const std::string& name, bool Configuration::*member);
Option boolean(const std::string& name, bool CommandLine::*member);
Option any_text(const std::string& name, std::string Configuration::*member,
                const std::string& automatic = "");
Option any_text(const std::string& name, std::string CommandLine::*member);
Option any_text(const std::string& name, std::string study::Options::*member,
                const std::string& automatic = "");
/// A text in the project's grammar: its form is checked here, its names by the room that knows them.
Option grammar(const std::string& name, std::string Configuration::*member,
               const std::string& automatic = "");
Option choice(const std::string& name, std::string Configuration::*member, std::vector<std::string> choices,
              const std::string& automatic = "");
Option choice(const std::string& name, std::string CommandLine::*member, std::vector<std::string> choices);
Option choice(const std::string& name, std::string study::Options::*member, std::vector<std::string> choices);
/// Whole rows from 1 on, or `full`.
Option batch_size(const std::string& name, std::string Configuration::*member);
/// A name of oneDNN's instruction sets, in capitals or not.
Option instruction_set(const std::string& name, std::string Configuration::*member,
                       const std::string& automatic);
/// Choices of train::Tuning.
Option tuning(const std::string& name, std::string Configuration::*member);

}  // namespace trainer::cli
