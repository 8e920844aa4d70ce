#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trainer::report {

/// `text` as a JSON string, quotes included (RFC 8259); bytes beyond ASCII are passed through.
std::string json_string(std::string_view text);
/// A number that reads back exactly; `null` for what JSON has no number for (nan, infinities).
std::string json_number(double value);

/// A JSON object written member by member, in the order of the calls: for result.json.
class JsonObject {
 public:
  JsonObject& add(const std::string& name, const std::string& value);
  JsonObject& add(const std::string& name, const char* value);
  JsonObject& add(const std::string& name, double value);
  JsonObject& add(const std::string& name, std::int64_t value);
  JsonObject& add(const std::string& name, int value);
  JsonObject& add(const std::string& name, bool value);
  JsonObject& add(const std::string& name, const JsonObject& value);
  JsonObject& add(const std::string& name, const std::vector<double>& values);
  JsonObject& add(const std::string& name, const std::vector<std::int64_t>& values);
  JsonObject& add(const std::string& name, const std::vector<std::string>& values);
  /// A matrix, a row a line: values.size() / columns rows.
  JsonObject& add(const std::string& name, const std::vector<std::int64_t>& values, std::int64_t columns);
  /// The object, two spaces of indent a level, without a final line end.
  std::string text() const;

 private:
  JsonObject& add_raw(const std::string& name, std::string value);
  std::vector<std::pair<std::string, std::string>> members_;
};

}  // namespace trainer::report
