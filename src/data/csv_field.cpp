#include "csv_field.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <system_error>

namespace trainer::data {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) text.remove_prefix(1);
  return text;
}

/// A number that no double holds: 0 when it is too small, else infinite.
double out_of_range(const char* begin, const char* end) {
  long double wide = 0;
  const bool known = std::from_chars(begin, end, wide).ec == std::errc();
  const std::string_view text(begin, static_cast<std::size_t>(end - begin));
  const bool small =
      known ? std::fabs(wide) < 1 : text.find("e-") != text.npos || text.find("E-") != text.npos;
  return small ? 0 : HUGE_VAL;
}

/// Integers of few digits, the most frequent fields by far.
std::optional<double> short_integer(std::string_view digits) {
  constexpr std::size_t kMost = 15;  // so many are exact in a double
  if (digits.empty() || digits.size() > kMost) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    value = 10 * value + (c - '0');
  }
  return static_cast<double>(value);
}

/// What pandas' read_csv takes for a missing value, beside what std::from_chars reads as nan.
bool is_missing_word(std::string_view text) {
  constexpr std::array<std::string_view, 14> kWords{"NA",       "N/A",     "n/a",     "<NA>",    "#N/A",
                                                    "#N/A N/A", "#NA",     "NULL",    "null",    "None",
                                                    "1.#IND",   "-1.#IND", "1.#QNAN", "-1.#QNAN"};
  return std::find(kWords.begin(), kWords.end(), text) != kWords.end();
}

Field number(double value, bool whole) {
  if (std::isnan(value)) return {};
  if (std::isinf(value)) return {.kind = FieldKind::infinite};
  if (std::isinf(static_cast<float>(value))) return {.kind = FieldKind::beyond};
  return {.kind = FieldKind::number, .value = value, .whole = whole};
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool is_missing(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return true;
  if (is_digit(text.back()) || text.back() == '.') return false;  // most fields, by far
  return parse_field(text).kind == FieldKind::missing;
}

Field parse_field(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return {};
  if (const std::optional<double> integer = short_integer(text))
    return {.kind = FieldKind::number, .value = *integer, .whole = true};
  const bool plus = text.front() == '+' && text.size() > 1 && text[1] != '-';
  const char* const begin = text.data() + (plus ? 1 : 0);
  const char* const end = text.data() + text.size();
  double value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (stop != end || error == std::errc::invalid_argument)
    return {.kind = is_missing_word(text) ? FieldKind::missing : FieldKind::text};
  if (error == std::errc::result_out_of_range) {
    value = out_of_range(begin, end);
    if (value != 0) return {.kind = FieldKind::beyond};
  }
  const std::string_view digits = without_sign(text);
  return number(value, std::all_of(digits.begin(), digits.end(), is_digit));
}

bool has_decimal_comma(std::string_view text) {
  text = without_sign(trimmed(text));
  const std::size_t comma = text.find(',');
  if (comma == 0 || comma == text.npos || comma + 1 == text.size()) return false;
  const auto digit_or_comma = [](char c) { return is_digit(c) || c == ','; };
  return std::all_of(text.begin(), text.end(), digit_or_comma) && text.back() != ',';
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 40;
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text.substr(0, kMost)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out + (text.size() > kMost ? "...'" : "'");
}

}  // namespace trainer::data
