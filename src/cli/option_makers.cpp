#include "option_makers.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/train/tuning.h"

namespace trainer::cli {
namespace {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void refuse(const std::string& name, const std::string& value, const std::string& expected) {
  fail(ErrorKind::usage, "--", name, ": \"", value, "\" is not ", expected);
}

std::string or_word(const std::string& word) { return word.empty() ? "" : ", nor " + word; }

std::string range_text(std::int64_t minimum, std::int64_t maximum) {
  return maximum == kLargest ? text("a whole number from ", minimum, " on")
                             : text("a whole number from ", minimum, " to ", maximum);
}

double read_number(const std::string& name, const std::string& value, double minimum, bool open,
                   const std::string& automatic) {
  const std::optional<double> read = parse_number(value);
  if (!read || *read < minimum || (open && *read == minimum)) {
    refuse(name, value,
           text("a finite number ", open ? "above " : "from ", format_number(minimum), open ? "" : " on",
                or_word(automatic)));
  }
  return *read == 0 ? 0.0 : *read;  // no -0: it would print as another value
}

std::string one_of(const std::vector<std::string>& choices) {
  std::string list;
  for (const std::string& word : choices) list += (list.empty() ? "" : ", ") + word;
  return list;
}

std::string read_choice(const std::string& name, const std::string& value,
                        const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return value;
  const std::string near = nearest_name(value, choices);
  refuse(name, value, "one of " + one_of(choices) + (near.empty() ? "" : "; did you mean " + near + "?"));
}

bool read_boolean(const std::string& name, const std::string& value) {
  const std::optional<bool> read = parse_boolean(value);
  if (!read) refuse(name, value, "one of true, false (yes, no, on, off, 1, 0)");
  return *read;
}

Option make(const std::string& name, std::function<void(CommandLine&, const std::string&)> set,
            std::function<std::string(const CommandLine&)> get) {
  Option option;
  option.name = name;
  option.set = std::move(set);
  option.get = std::move(get);
  return option;
}

std::int64_t read_whole(const std::string& name, const std::string& value, std::int64_t minimum,
                        std::int64_t maximum, const std::string& automatic, std::int64_t unset) {
  if (!automatic.empty() && value == automatic) return unset;
  const std::optional<std::int64_t> read = parse_integer(value);
  if (!read || *read < minimum || *read > maximum)
    refuse(name, value, range_text(minimum, maximum) + or_word(automatic));
  return *read;
}

std::string whole_text(std::int64_t value, const std::string& automatic, std::int64_t unset) {
  return !automatic.empty() && value == unset ? automatic : std::to_string(value);
}

}  // namespace

Option whole(const std::string& name, std::int64_t Configuration::*member, std::int64_t minimum,
             std::int64_t maximum, const std::string& automatic, std::int64_t unset) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.configuration.*member = read_whole(name, value, minimum, maximum, automatic, unset);
      },
      [=](const CommandLine& line) { return whole_text(line.configuration.*member, automatic, unset); });
}

Option whole(const std::string& name, std::int64_t CommandLine::*member, std::int64_t minimum,
             std::int64_t maximum, const std::string& automatic, std::int64_t unset) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.*member = read_whole(name, value, minimum, maximum, automatic, unset);
      },
      [=](const CommandLine& line) { return whole_text(line.*member, automatic, unset); });
}

Option whole(const std::string& name, std::uint64_t Configuration::*member) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        const std::optional<std::int64_t> read = parse_integer(value);
        if (!read || *read < 0) refuse(name, value, text("a whole number from 0 to ", kLargest));
        line.configuration.*member = static_cast<std::uint64_t>(*read);
      },
      [=](const CommandLine& line) { return std::to_string(line.configuration.*member); });
}

Option number(const std::string& name, double Configuration::*member, double minimum, bool open) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.configuration.*member = read_number(name, value, minimum, open, "");
      },
      [=](const CommandLine& line) { return format_number(line.configuration.*member); });
}

Option number(const std::string& name, std::optional<double> Configuration::*member, double minimum,
              bool open, const std::string& automatic) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        std::optional<double>& target = line.configuration.*member;
        if (value == automatic) {
          target.reset();
        } else {
          target = read_number(name, value, minimum, open, automatic);
        }
      },
      [=](const CommandLine& line) {
        const std::optional<double>& value = line.configuration.*member;
        return value ? format_number(*value) : automatic;
      });
}

Option boolean(const std::string& name, bool Configuration::*member) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.configuration.*member = read_boolean(name, value);
      },
      [=](const CommandLine& line) { return text(line.configuration.*member); });
}

Option boolean(const std::string& name, bool CommandLine::*member) {
  return make(
      name, [=](CommandLine& line, const std::string& value) { line.*member = read_boolean(name, value); },
      [=](const CommandLine& line) { return text(line.*member); });
}

Option any_text(const std::string& name, std::string Configuration::*member, const std::string& automatic) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.configuration.*member = value == automatic ? "" : value;
      },
      [=](const CommandLine& line) {
        const std::string& value = line.configuration.*member;
        return value.empty() ? automatic : value;
      });
}

Option any_text(const std::string& name, std::string CommandLine::*member) {
  return make(
      name, [=](CommandLine& line, const std::string& value) { line.*member = value; },
      [=](const CommandLine& line) { return line.*member; });
}

Option grammar(const std::string& name, std::string Configuration::*member, const std::string& automatic) {
  Option option = any_text(name, member, automatic);
  option.set = [name, set = option.set](CommandLine& line, const std::string& value) {
    const ParsedText checked("--" + name, value);  // throws where the brackets do not match
    set(line, value);
  };
  return option;
}

Option choice(const std::string& name, std::string Configuration::*member, std::vector<std::string> choices,
              const std::string& automatic) {
  if (!automatic.empty()) choices.push_back(automatic);
  Option option = any_text(name, member, automatic);
  option.set = [name, choices, set = option.set](CommandLine& line, const std::string& value) {
    set(line, read_choice(name, value, choices));
  };
  return option;
}

Option choice(const std::string& name, std::string CommandLine::*member, std::vector<std::string> choices) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) { line.*member = read_choice(name, value, choices); },
      [=](const CommandLine& line) { return line.*member; });
}

Option batch_size(const std::string& name, std::string Configuration::*member) {
  Option option = any_text(name, member);
  option.set = [=](CommandLine& line, const std::string& value) {
    const std::optional<std::int64_t> rows = parse_integer(value);
    if (value != "full" && (!rows || *rows < 1))
      refuse(name, value, "a whole number of rows from 1 on, nor full");
    line.configuration.*member = rows ? std::to_string(*rows) : value;
  };
  return option;
}

Option instruction_set(const std::string& name, std::string Configuration::*member,
                       const std::string& automatic) {
  const std::vector<std::string> choices = {"SSE41",
                                            "AVX",
                                            "AVX2",
                                            "AVX2_VNNI",
                                            "AVX512_CORE",
                                            "AVX512_CORE_VNNI",
                                            "AVX512_CORE_BF16",
                                            "AVX512_CORE_FP16",
                                            "AVX512_CORE_AMX",
                                            "ALL"};
  Option option = any_text(name, member, automatic);
  option.set = [=, set = option.set](CommandLine& line, const std::string& value) {
    std::string capitals = value;
    for (char& c : capitals) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    set(line, value == automatic ? value : read_choice(name, capitals, choices));
  };
  return option;
}

Option tuning(const std::string& name, std::string Configuration::*member) {
  Option option = any_text(name, member);
  option.set = [set = option.set](CommandLine& line, const std::string& value) {
    set(line, train::Tuning::parse(value).text());
  };
  return option;
}

Option whole(const std::string& name, std::int64_t study::Options::*member, std::int64_t minimum,
             std::int64_t maximum) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.study.*member = read_whole(name, value, minimum, maximum, "", 0);
      },
      [=](const CommandLine& line) { return std::to_string(line.study.*member); });
}

Option any_text(const std::string& name, std::string study::Options::*member, const std::string& automatic) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.study.*member = !automatic.empty() && value == automatic ? "" : value;
      },
      [=](const CommandLine& line) { return (line.study.*member).empty() ? automatic : line.study.*member; });
}

Option choice(const std::string& name, std::string study::Options::*member,
              std::vector<std::string> choices) {
  return make(
      name,
      [=](CommandLine& line, const std::string& value) {
        line.study.*member = read_choice(name, value, choices);
      },
      [=](const CommandLine& line) { return line.study.*member; });
}

}  // namespace trainer::cli
