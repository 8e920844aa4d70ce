#include <charconv>
#include <cmath>

#include "trainer/core/grammar.h"

namespace trainer {
namespace {

template <class T>
std::optional<T> parse_whole(std::string_view word) {
  T value{};
  const char* const end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  if (word.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

template <class T>
std::string format_shortest(T value) {
  if (std::isnan(value)) return "nan";
  char text[64];
  const auto result = std::to_chars(text, text + sizeof text, value);
  return {text, result.ptr};
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view word) { return parse_whole<std::int64_t>(word); }

std::optional<double> parse_number(std::string_view word) {
  const std::optional<double> value = parse_whole<double>(word);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return value;
}

std::optional<bool> parse_boolean(std::string_view word) {
  if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
  if (word == "false" || word == "no" || word == "off" || word == "0") return false;
  return std::nullopt;
}

std::string format_number(double value) { return format_shortest(value); }
std::string format_number(float value) { return format_shortest(value); }

}  // namespace trainer
