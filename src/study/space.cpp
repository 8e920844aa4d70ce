#include "trainer/study/space.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/core/random.h"

namespace trainer::study {
namespace {

constexpr const char* kExpected =
    "expected name=log(low,high), name=linear(low,high), name=one_minus_log(low,high), name=whole(low,high) "
    "or "
    "name=list(a,b,...)";

/// A point of a range as a person would write it: no more digits than tell neighbours apart.
std::string short_number(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof(buffer), "%.4g", value);
  return format_number(std::stod(buffer));
}

Variable::Kind kind_of(const ParsedText& text, const Term& term) {
  if (term.name == "linear") return Variable::Kind::linear;
  if (term.name == "log") return Variable::Kind::log;
  if (term.name == "one_minus_log") return Variable::Kind::one_minus_log;
  if (term.name == "whole") return Variable::Kind::whole;
  if (term.name == "list") return Variable::Kind::list;
  text.fail_at(term.offset, kExpected);
}

void read_range(const ParsedText& text, const Term& term, Variable& variable) {
  constexpr double kMost = 1e30, kLeast = 1e-30;  // widened, they are numbers still
  ArgumentReader arguments(text, term);
  const bool positive = variable.kind == Variable::Kind::log || variable.kind == Variable::Kind::whole;
  const bool share = variable.kind == Variable::Kind::one_minus_log;
  const double least = positive ? kLeast : share ? 0 : -kMost;
  const double most = share ? 1 : kMost;
  variable.low = arguments.number("low", least, most, std::nullopt, false, share);
  variable.high = arguments.number("high", least, most, std::nullopt, false, share);
  arguments.finish();
  if (variable.low >= variable.high) text.fail_at(term.offset, "expected a range that begins below its end");
  if (variable.kind == Variable::Kind::whole && variable.low < 1)
    text.fail_at(term.offset, "expected whole numbers from 1 on");
}

/// A value of a list may be any text of the grammar: adam, or "dense(64) relu".
void read_list(const ParsedText& text, const Term& term, Variable& variable) {
  for (std::size_t i = 0; i < term.arguments.size(); ++i) {
    const Argument& argument = term.arguments[i];
    if (!argument.key.empty()) text.fail_at(argument.offset, "expected a value of the list");
    // As it stands in the source: to the comma, or the bracket that ends the list.
    const std::string& source = text.source();
    std::size_t end = argument.offset;
    for (int depth = 0; end < source.size(); ++end) {
      if (source[end] == '(') ++depth;
      if (source[end] == ')' && depth-- == 0) break;
      if (source[end] == ',' && depth == 0) break;
    }
    std::string value = source.substr(argument.offset, end - argument.offset);
    value.erase(value.find_last_not_of(" \t\n") + 1);
    if (value.find_first_of("\n\r") != std::string::npos)
      text.fail_at(argument.offset, "expected a value on one line");
    if (std::ranges::find(variable.values, value) != variable.values.end())
      text.fail_at(argument.offset, "this value stands in the list already");
    variable.values.push_back(value);
  }
  if (variable.values.empty()) text.fail_at(term.offset, "expected values, as in list(15,30,100)");
}

/// The one root above 1 of x^(d+1) = x + 1.
double golden_ratio(std::size_t dimensions) {
  double root = 2;
  for (int i = 0; i < 64; ++i) root = std::pow(1 + root, 1.0 / (static_cast<double>(dimensions) + 1));
  return root;
}

}  // namespace

std::string Variable::at(double place) const {
  switch (kind) {
    case Kind::linear:
      return short_number(low + place * (high - low));
    case Kind::log:
      return short_number(low * std::pow(high / low, place));
    case Kind::one_minus_log:
      return format_number(1 - std::stod(short_number((1 - low) * std::pow((1 - high) / (1 - low), place))));
    case Kind::whole:
      return format_number(std::max(1.0, std::round(low * std::pow(high / low, place))));
    case Kind::list:
      return values[static_cast<std::size_t>(std::clamp(place * static_cast<double>(values.size()), 0.0,
                                                        static_cast<double>(values.size()) - 1))];
  }
  fail(ErrorKind::internal, "a variable of no kind");
}

double Variable::place_of(const std::string& value) const {
  if (kind == Kind::list) {
    const auto found = std::ranges::find(values, value);
    return (static_cast<double>(found - values.begin()) + 0.5) / static_cast<double>(values.size());
  }
  const double number = parse_number(value).value_or(std::numeric_limits<double>::quiet_NaN());
  if (kind == Kind::linear) return (number - low) / (high - low);
  if (kind == Kind::one_minus_log)
    return std::log((1 - number) / (1 - low)) / std::log((1 - high) / (1 - low));
  return std::log(number / low) / std::log(high / low);
}

Space::Space(const std::string& option, const std::string& source) {
  constexpr std::size_t kMostVariables = 32;
  const ParsedText text(option, source, ParsedText::Form::assignments);
  for (const Argument& assignment : text.assignments()) {
    const Term& term = assignment.sequence.front();
    Variable variable;
    variable.name = assignment.key;
    if (std::ranges::any_of(variables_, [&](const Variable& one) { return one.name == variable.name; }))
      text.fail_at(assignment.offset, "this variable stands there already");
    if (variables_.size() == kMostVariables)
      text.fail_at(assignment.offset, trainer::text("more than ", kMostVariables, " variables"));
    variable.kind = kind_of(text, term);
    if (variable.is_range())
      read_range(text, term, variable);
    else
      read_list(text, term, variable);
    variables_.push_back(std::move(variable));
  }
}

bool Space::is_grid() const {
  return std::ranges::none_of(variables_, [](const Variable& one) { return one.is_range(); });
}

std::int64_t Space::combinations() const {
  std::int64_t count = 1;
  for (const Variable& variable : variables_) {
    const auto values = static_cast<std::int64_t>(variable.values.size());
    require(count <= std::numeric_limits<std::int64_t>::max() / values, ErrorKind::usage,
            "the lists have too many combinations to count; make them shorter");
    count *= values;
  }
  return count;
}

std::vector<double> Space::places(std::int64_t number, std::uint64_t seed) const {
  std::vector<double> places;
  if (is_grid()) {  // the last variable varies fastest
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
      const auto values = static_cast<std::int64_t>(variable->values.size());
      places.push_back((static_cast<double>(number % values) + 0.5) / static_cast<double>(values));
      number /= values;
    }
    std::ranges::reverse(places);
    return places;
  }
  const double ratio = golden_ratio(variables_.size());
  RandomStream shift(RandomKey(seed, Purpose::study), 0);
  double step = 1;
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    step /= ratio;
    const double place = shift.uniform() + static_cast<double>(number) * step;
    places.push_back(place - std::floor(place));
  }
  return places;
}

Settings Space::settings(const std::vector<double>& places) const {
  Settings settings;
  for (std::size_t i = 0; i < variables_.size(); ++i)
    settings.emplace_back(variables_[i].name, variables_[i].at(places[i]));
  return settings;
}

}  // namespace trainer::study
