#include <algorithm>
#include <cmath>

#include "read_length.h"
#include "trainer/optim/schedule.h"

namespace trainer::optim {
namespace {

constexpr double kMostSteps = 1e15;  // whole numbers up to here are exact in double

std::optional<Length::Unit> parse_unit(const std::string& word) {
  if (word == "step" || word == "steps") return Length::Unit::steps;
  if (word == "epoch" || word == "epochs") return Length::Unit::epochs;
  return std::nullopt;
}

void require_plain(const ParsedText& source, const Term& term) {
  if (term.has_parentheses)
    source.fail_at(term.offset, "expected a plain number and a unit, found parentheses");
}

}  // namespace

Length read_length(const ParsedText& source, std::span<const Term> terms) {
  const Term& number = terms[0];
  require_plain(source, number);
  const std::optional<double> value = parse_number(number.name);
  if (!value || !(*value >= 0 && *value <= kMostSteps)) {
    source.fail_at(number.offset,
                   "expected a length such as \"500 steps\" or \"0.25 epochs\", from 0 to 1e15");
  }
  if (terms.size() == 1) {
    if (*value != 0) {
      source.fail_at(number.offset, text("a length needs its unit: \"", number.name, " steps\" or \"",
                                         number.name, " epochs\""));
    }
    return {};
  }
  require_plain(source, terms[1]);
  const std::optional<Length::Unit> unit = parse_unit(terms[1].name);
  if (!unit) source.fail_at(terms[1].offset, "unknown unit; expected steps or epochs");
  if (terms.size() > 2) source.fail_at(terms[2].offset, "expected the end of the length after its unit");
  if (*unit == Length::Unit::steps && *value != std::floor(*value)) {
    source.fail_at(number.offset, "expected a whole number of steps");
  }
  return {.value = *value, .unit = *unit};
}

Length Length::parse(const std::string& option, const std::string& text) {
  const ParsedText source(option, text);
  return read_length(source, source.sequence());
}

std::int64_t Length::steps(std::int64_t steps_per_epoch) const {
  const double exact = unit == Unit::steps ? value : value * static_cast<double>(steps_per_epoch);
  require(exact <= kMostSteps, ErrorKind::usage, "a length of ", format_number(value), " epochs of ",
          steps_per_epoch, " steps exceeds 1e15 steps; choose a shorter one");
  if (exact == 0) return 0;
  return std::max<std::int64_t>(1, std::llround(exact));
}

}  // namespace trainer::optim
