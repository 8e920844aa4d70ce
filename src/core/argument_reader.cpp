#include <algorithm>
#include <limits>

#include "trainer/core/grammar.h"

namespace trainer {
namespace {

std::string quoted(std::string_view word) {
  constexpr std::size_t kLongest = 40;
  if (word.size() <= kLongest) return text('"', word, '"');
  return text('"', word.substr(0, kLongest), "...\"");
}

std::string as_written(const Term& term) {
  return quoted(term.has_parentheses ? term.name + "(...)" : term.name);
}

std::string joined(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ", ") + word;
  return result;
}

std::string hint(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string nearest = nearest_name(word, candidates);
  return nearest.empty() ? "" : "; did you mean " + nearest + "?";
}

/// The bounds of a value in words, such as "in [0, 1)" or ">= 1"; empty when there are none.
struct Bounds {
  std::string minimum;
  std::string maximum;
  bool open_minimum = false;
  bool open_maximum = false;

  std::string text() const {
    if (minimum.empty() && maximum.empty()) return "";
    if (maximum.empty()) return (open_minimum ? " > " : " >= ") + minimum;
    if (minimum.empty()) return (open_maximum ? " < " : " <= ") + maximum;
    return (open_minimum ? " in (" : " in [") + minimum + ", " + maximum + (open_maximum ? ")" : "]");
  }
};

Bounds integer_bounds(std::int64_t minimum, std::int64_t maximum) {
  using Limits = std::numeric_limits<std::int64_t>;
  return {.minimum = minimum == Limits::min() ? "" : std::to_string(minimum),
          .maximum = maximum == Limits::max() ? "" : std::to_string(maximum)};
}

Bounds number_bounds(double minimum, double maximum, bool open_minimum, bool open_maximum) {
  using Limits = std::numeric_limits<double>;
  return {.minimum = minimum <= Limits::lowest() ? "" : format_number(minimum),
          .maximum = maximum >= Limits::max() ? "" : format_number(maximum),
          .open_minimum = open_minimum,
          .open_maximum = open_maximum};
}

}  // namespace

ArgumentReader::ArgumentReader(const ParsedText& text, const Term& term)
    : text_(text), term_(term), used_(term.arguments.size(), false) {}

const Argument* ArgumentReader::take(std::string_view key) {
  known_.emplace_back(key);
  const std::vector<Argument>& arguments = term_.arguments;
  std::size_t found = arguments.size();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (used_[i] || arguments[i].key != key) continue;
    if (found < arguments.size()) text_.fail_at(arguments[i].offset, text(key, " is given twice"));
    found = i;
  }
  for (std::size_t i = 0; found == arguments.size() && i < arguments.size(); ++i) {
    if (!used_[i] && arguments[i].key.empty()) found = i;
  }
  if (found == arguments.size()) return nullptr;
  used_[found] = true;
  return &arguments[found];
}

const Term& ArgumentReader::single_term(const Argument& argument, std::string_view key) const {
  if (argument.sequence.size() > 1) {
    text_.fail_at(argument.sequence[1].offset, text(key, " of ", quoted(term_.name),
                                                    " takes one value, found ", argument.sequence.size()));
  }
  return argument.sequence.front();
}

const Term& ArgumentReader::plain_term(const Argument* argument, std::string_view key,
                                       const std::string& expected) const {
  if (argument == nullptr) {
    text_.fail_at(term_.offset, text(quoted(term_.name), " needs ", key, ": ", expected));
  }
  const Term& value = single_term(*argument, key);
  if (value.has_parentheses) fail_value(value, key, expected);
  return value;
}

void ArgumentReader::fail_value(const Term& value, std::string_view key, const std::string& expected) const {
  text_.fail_at(value.offset,
                text(key, " of ", quoted(term_.name), " must be ", expected, ", found ", as_written(value)));
}

std::int64_t ArgumentReader::integer(std::string_view key, std::int64_t minimum, std::int64_t maximum,
                                     std::optional<std::int64_t> fallback) {
  const Argument* argument = take(key);
  if (argument == nullptr && fallback) return *fallback;
  const std::string expected = "a whole number" + integer_bounds(minimum, maximum).text();
  const Term& term = plain_term(argument, key, expected);
  const std::optional<std::int64_t> value = parse_integer(term.name);
  if (!value || *value < minimum || *value > maximum) fail_value(term, key, expected);
  return *value;
}

double ArgumentReader::number(std::string_view key, double minimum, double maximum,
                              std::optional<double> fallback, bool open_minimum, bool open_maximum) {
  const Argument* argument = take(key);
  if (argument == nullptr && fallback) return *fallback;
  const std::string expected =
      "a number" + number_bounds(minimum, maximum, open_minimum, open_maximum).text();
  const Term& term = plain_term(argument, key, expected);
  const std::optional<double> value = parse_number(term.name);
  const bool above = value && (open_minimum ? *value > minimum : *value >= minimum);
  const bool below = value && (open_maximum ? *value < maximum : *value <= maximum);
  if (!above || !below) fail_value(term, key, expected);
  return *value;
}

bool ArgumentReader::boolean(std::string_view key, bool fallback) {
  const Argument* argument = take(key);
  if (argument == nullptr) return fallback;
  const std::string expected = "true or false";
  const Term& term = plain_term(argument, key, expected);
  const std::optional<bool> value = parse_boolean(term.name);
  if (!value) fail_value(term, key, expected);
  return *value;
}

std::string ArgumentReader::word(std::string_view key, const std::vector<std::string>& choices,
                                 std::optional<std::string> fallback) {
  const Argument* argument = take(key);
  if (argument == nullptr && fallback) return *fallback;
  const std::string expected = "one of " + joined(choices);
  const Term& term = plain_term(argument, key, expected);
  if (std::ranges::find(choices, term.name) == choices.end()) {
    text_.fail_at(term.offset, text(key, " of ", quoted(term_.name), " must be ", expected, ", found ",
                                    quoted(term.name), hint(term.name, choices)));
  }
  return term.name;
}

const Term* ArgumentReader::term(std::string_view key) {
  const Argument* argument = take(key);
  return argument == nullptr ? nullptr : &single_term(*argument, key);
}

std::span<const Term> ArgumentReader::sequence(std::string_view key) {
  const Argument* argument = take(key);
  if (argument == nullptr) return {};
  return argument->sequence;
}

std::vector<Term> ArgumentReader::nested_sequence() {
  std::vector<Term> result;
  for (std::size_t i = 0; i < term_.arguments.size(); ++i) {
    const Argument& argument = term_.arguments[i];
    if (used_[i] || !argument.key.empty()) continue;
    used_[i] = true;
    result.insert(result.end(), argument.sequence.begin(), argument.sequence.end());
  }
  if (result.empty()) {
    text_.fail_at(term_.offset, text(quoted(term_.name), " needs a sequence between its parentheses"));
  }
  return result;
}

void ArgumentReader::finish() {
  for (std::size_t i = 0; i < term_.arguments.size(); ++i) {
    if (used_[i]) continue;
    const Argument& argument = term_.arguments[i];
    const std::string takes = known_.empty() ? "no arguments" : joined(known_);
    if (argument.key.empty()) {
      text_.fail_at(argument.offset, text("too many arguments: ", quoted(term_.name), " takes ", takes));
    }
    text_.fail_at(argument.offset, text(quoted(term_.name), " has no argument ", quoted(argument.key),
                                        "; it takes ", takes, hint(argument.key, known_)));
  }
}

}  // namespace trainer
