#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "csv_field.h"
#include "csv_rows.h"
#include "csv_table.h"

namespace trainer::data {

/// Turns rows into the values of the columns that are used.
class CsvDecoder {
 public:
  enum class Outcome { blank, dropped, kept };
  /// The index of a missing category, where missing inputs are kept.
  static constexpr std::int32_t kNoCategory = -1;

  /// `table` must live as long.
  explicit CsvDecoder(const CsvTable& table);

  /// Calls `sink` for each used column i of a row that is kept, in order: number(i, Field), index(i,
  /// std::int32_t) for a category that is known, or category(i, std::string_view); then
  /// group(std::string_view) where the table has groups. Throws CsvFault for what does not fit.
  template <class Sink>
  Outcome decode(const CsvRow& row, Sink& sink) {
    const auto fields = parser_.parse(row);
    if (fields.empty()) return Outcome::blank;
    if (std::ssize(fields) != table_->columns) fail_ragged(row, std::ssize(fields));
    if (table_->drop_missing && lacks_value(fields)) return Outcome::dropped;
    for (std::size_t i = 0; i < table_->used.size(); ++i) {
      const CsvColumn& column = table_->used[i];
      const std::string_view text = fields[static_cast<std::size_t>(column.place)];
      if (!column.categorical) {
        Field field = parse_field(text);
        if (field.kind == FieldKind::missing && table_->keep_missing && !column.target) [[unlikely]]
          field = {
              .kind = FieldKind::number, .value = std::numeric_limits<double>::quiet_NaN(), .whole = false};
        if (field.kind != FieldKind::number) [[unlikely]]
          fail_number(row, column, text, field.kind);
        sink.number(i, field);
      } else if (column.known) {
        sink.index(i, index_of(row, i, trimmed(text)));
      } else {
        const std::string_view category = trimmed(text);
        if (table_->keep_missing && !column.target && is_missing(category)) continue;
        if (category.empty() || category != last_[i]) require_category(row, i, category);
        sink.category(i, category);
      }
    }
    if (table_->group >= 0) sink.group(group_in(row, fields));
    return Outcome::kept;
  }

 private:
  bool lacks_value(std::span<const std::string_view> fields) const;
  std::int32_t index_of(const CsvRow& row, std::size_t i, std::string_view text) const;
  std::string_view group_in(const CsvRow& row, std::span<const std::string_view> fields) const;
  void require_category(const CsvRow& row, std::size_t i, std::string_view text);
  [[noreturn]] void fail_ragged(const CsvRow& row, std::int64_t fields) const;
  [[noreturn]] void fail_number(const CsvRow& row, const CsvColumn& column, std::string_view text,
                                FieldKind kind) const;

  const CsvTable* table_;
  CsvRowParser parser_;
  std::vector<std::unordered_map<std::string_view, std::int32_t>> indices_;  ///< by used column
  std::vector<std::string> last_;  ///< by used column: the category found right last
};

}  // namespace trainer::data
