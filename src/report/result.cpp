#include "trainer/report/result.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "trainer/core/grammar.h"

namespace trainer::report {

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        result += "\\\"";
        break;
      case '\\':
        result += "\\\\";
        break;
      case '\n':
        result += "\\n";
        break;
      case '\t':
        result += "\\t";
        break;
      case '\r':
        result += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          std::array<char, 8> escape{};
          std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
          result += escape.data();
        } else {
          result += c;
        }
    }
  }
  return result + "\"";
}

std::string json_number(double value) { return std::isfinite(value) ? format_number(value) : "null"; }

JsonObject& JsonObject::add_raw(const std::string& name, std::string value) {
  members_.emplace_back(name, std::move(value));
  return *this;
}

JsonObject& JsonObject::add(const std::string& name, const std::string& value) {
  return add_raw(name, json_string(value));
}
JsonObject& JsonObject::add(const std::string& name, const char* value) {
  return add_raw(name, json_string(value));
}
JsonObject& JsonObject::add(const std::string& name, double value) {
  return add_raw(name, json_number(value));
}
JsonObject& JsonObject::add(const std::string& name, std::int64_t value) {
  return add_raw(name, std::to_string(value));
}
JsonObject& JsonObject::add(const std::string& name, int value) {
  return add_raw(name, std::to_string(value));
}
JsonObject& JsonObject::add(const std::string& name, bool value) {
  return add_raw(name, value ? "true" : "false");
}

JsonObject& JsonObject::add(const std::string& name, const JsonObject& value) {
  std::string indented;
  for (const char c : value.text()) {
    indented += c;
    if (c == '\n') indented += "  ";
  }
  return add_raw(name, std::move(indented));
}

JsonObject& JsonObject::add(const std::string& name, const std::vector<double>& values) {
  std::string list;
  for (const double value : values) list += (list.empty() ? "" : ", ") + json_number(value);
  return add_raw(name, "[" + list + "]");
}

JsonObject& JsonObject::add(const std::string& name, const std::vector<std::int64_t>& values) {
  std::string list;
  for (const std::int64_t value : values) list += (list.empty() ? "" : ", ") + std::to_string(value);
  return add_raw(name, "[" + list + "]");
}

JsonObject& JsonObject::add(const std::string& name, const std::vector<std::int64_t>& values,
                            std::int64_t columns) {
  std::string rows;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool begins = i % static_cast<std::size_t>(columns) == 0;
    rows += begins ? (rows.empty() ? "\n    [" : "],\n    [") : ", ";
    rows += std::to_string(values[i]);
  }
  return add_raw(name, rows.empty() ? "[]" : "[" + rows + "]\n  ]");
}

JsonObject& JsonObject::add(const std::string& name, const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "" : ", ") + json_string(value);
  return add_raw(name, "[" + list + "]");
}

std::string JsonObject::text() const {
  if (members_.empty()) return "{}";
  std::string result = "{\n";
  for (std::size_t i = 0; i < members_.size(); ++i) {
    result += "  " + json_string(members_[i].first) + ": " + members_[i].second;
    result += i + 1 < members_.size() ? ",\n" : "\n";
  }
  return result + "}";
}

}  // namespace trainer::report
