#include "plain_text.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace trainer::report {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Symbol {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

/// The first character of `text` (RFC 3629).
Symbol first_symbol(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xF0 && lead < 0xF8 ? 4 : lead >= 0xE0 && lead < 0xF0 ? 3 : 2;
  if (lead < 0xC2 || lead >= 0xF8 || text.size() < bytes) return {};
  char32_t code = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return {code, bytes, code >= kLeast[bytes] && code <= 0x10FFFF && !surrogate};
}

bool may_be_shown(char32_t code) {
  if (code == '\n' || code == '\t') return true;
  return code >= 0x20 && (code < 0x7F || code > 0x9F) && code != 0xFFFE && code != 0xFFFF;
}

}  // namespace

std::string plain_text(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Symbol symbol = first_symbol(text);
    result += symbol.valid && may_be_shown(symbol.code) ? text.substr(0, symbol.bytes) : kReplacement;
    text.remove_prefix(symbol.valid ? symbol.bytes : 1);
  }
  return result;
}

std::string html_text(std::string_view text) {
  std::string result;
  for (const char c : plain_text(text)) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string short_number(double value) {
  if (std::isnan(value)) return "nan";
  std::array<char, 40> buffer{};
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  std::snprintf(buffer.data(), buffer.size(), whole ? "%.0f" : "%.4g", value);
  return buffer.data();
}

}  // namespace trainer::report
