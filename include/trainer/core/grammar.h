#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/core/error.h"

namespace trainer {

struct Argument;

/// One item of a sequence: `name`, `name(arguments)` or a plain value such as `0.5`, `500`, `he`, `xor|and`.
struct Term {
  std::string name;                 ///< the word as written
  bool has_parentheses = false;     ///< `name()` differs from `name`
  std::vector<Argument> arguments;  ///< in the order written
  std::size_t offset = 0;           ///< of the word in the text
};

/// One argument: `value` or `key=value`, where the value is itself a sequence (of one term, mostly).
struct Argument {
  std::string key;             ///< empty when positional
  std::vector<Term> sequence;  ///< never empty
  std::size_t offset = 0;      ///< of the key, or of the value when positional
};

/// A text of the project's one grammar (`--model`, `--loss`, `--optimizer`, ...), parsed: a sequence of
/// terms. Words are separated by white space; a word is any run of characters without white space and without
/// ( ) , =
class ParsedText {
 public:
  /// A sequence of terms; or assignments, `name=term name=term ...` with commas between them or without.
  enum class Form { sequence, assignments };

  /// Parses `source`, the value of `option` (such as "--model", used in messages only).
  /// Throws Error(usage) with a caret under the place and what was expected, also for texts over 64 KiB or
  /// nested deeper than 32.
  ParsedText(std::string option, std::string source, Form form = Form::sequence);

  const std::vector<Term>& sequence() const { return sequence_; }
  /// Each with its key and one term.
  const std::vector<Argument>& assignments() const { return assignments_; }
  const std::string& option() const { return option_; }
  const std::string& source() const { return source_; }

  /// Throws Error(usage): the message `--model: <message>`, then the text and, under `offset`, a caret, on
  /// lines of their own.
  [[noreturn]] void fail_at(std::size_t offset, const std::string& message) const;

 private:
  std::string option_;
  std::string source_;
  std::vector<Term> sequence_;
  std::vector<Argument> assignments_;
};

/// Typed, checked reading of one term's arguments. Positional arguments are taken in the order of the calls;
/// an argument given by key is found whatever its place. Every failure is an Error(usage) with a caret.
class ArgumentReader {
 public:
  ArgumentReader(const ParsedText& text, const Term& term);

  /// A whole number in [minimum, maximum]; `fallback` when absent; an error when absent without a fallback.
  std::int64_t integer(std::string_view key, std::int64_t minimum, std::int64_t maximum,
                       std::optional<std::int64_t> fallback = std::nullopt);
  /// A finite number in [minimum, maximum]; with open_minimum / open_maximum the bound itself is excluded.
  double number(std::string_view key, double minimum, double maximum,
                std::optional<double> fallback = std::nullopt, bool open_minimum = false,
                bool open_maximum = false);
  /// true|false|yes|no|on|off|1|0.
  bool boolean(std::string_view key, bool fallback);
  /// One of `choices`; the error lists them and names the nearest.
  std::string word(std::string_view key, const std::vector<std::string>& choices,
                   std::optional<std::string> fallback = std::nullopt);
  /// The argument's term itself (for values with arguments of their own: `init=normal(0.1)`), null when
  /// absent.
  const Term* term(std::string_view key);
  /// All words of the argument, for values of more than one (`every=2 epochs`); empty when absent.
  std::span<const Term> sequence(std::string_view key);
  /// All remaining positional arguments, which together are one nested sequence: the body of residual(...)
  /// or, after its count, of repeat(n, ...). Commas between them are allowed and mean nothing.
  std::vector<Term> nested_sequence();
  /// Throws when an argument was given that no call asked for; names the known keys.
  void finish();

 private:
  const Argument* take(std::string_view key);
  const Term& single_term(const Argument& argument, std::string_view key) const;
  const Term& plain_term(const Argument* argument, std::string_view key, const std::string& expected) const;
  [[noreturn]] void fail_value(const Term& value, std::string_view key, const std::string& expected) const;

  const ParsedText& text_;
  const Term& term_;
  std::vector<bool> used_;
  std::vector<std::string> known_;
};

/// Strict parsing of a whole word: no sign for unsigned values, no trailing characters, no nan or inf.
std::optional<std::int64_t> parse_integer(std::string_view word);
std::optional<double> parse_number(std::string_view word);
std::optional<bool> parse_boolean(std::string_view word);

/// The candidate with the smallest edit distance to `word`; empty when none is near (distance > 1 + length /
/// 3).
std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates);

/// Shortest decimal text that reads back as exactly the same value; `nan`, `inf`, `-inf` without a sign on
/// nan.
std::string format_number(double value);
std::string format_number(float value);

}  // namespace trainer
