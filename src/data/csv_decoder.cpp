#include "csv_decoder.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// Of a field that has no value, or a word for that.
std::string missing(const CsvTable& table, const CsvColumn& column, std::string_view text) {
  text = trimmed(text);
  return trainer::text("has no value", text.empty() ? "" : trainer::text(" (", shown(text), ")"), "; ",
                       column.target ? table.target_remedy : table.input_remedy);
}

}  // namespace

CsvDecoder::CsvDecoder(const CsvTable& table)
    : table_(&table), parser_(table.separator), indices_(table.used.size()), last_(table.used.size()) {
  for (std::size_t i = 0; i < table.used.size(); ++i) {
    const std::vector<std::string>& values = table.used[i].values;
    for (std::size_t v = 0; v < values.size(); ++v)
      indices_[i].emplace(values[v], static_cast<std::int32_t>(v));
  }
}

bool CsvDecoder::lacks_value(std::span<const std::string_view> fields) const {
  if (table_->group >= 0 && is_missing(fields[static_cast<std::size_t>(table_->group)])) return true;
  for (std::size_t i = 0; i < table_->used.size(); ++i) {
    const std::string_view text = fields[static_cast<std::size_t>(table_->used[i].place)];
    if (is_missing(text) && !indices_[i].contains(trimmed(text))) return true;
  }
  return false;
}

std::int32_t CsvDecoder::index_of(const CsvRow& row, std::size_t i, std::string_view text) const {
  const auto found = indices_[i].find(text);
  if (found != indices_[i].end()) return found->second;
  const CsvColumn& column = table_->used[i];
  if (is_missing(text)) {
    if (table_->keep_missing && !column.target) return kNoCategory;
    throw CsvFault{row.line, column.place, missing(*table_, column, text)};
  }
  const Field field = parse_field(text);
  if (column.or_index && field.kind == FieldKind::number && field.whole && field.value >= 0 &&
      field.value < static_cast<double>(column.values.size()))
    return static_cast<std::int32_t>(field.value);
  std::string known;
  constexpr std::size_t kMost = 8;
  for (std::size_t v = 0; v < std::min(kMost, column.values.size()); ++v)
    known += (v > 0 ? ", " : "") + shown(column.values[v]);
  if (column.values.size() > kMost) known += trainer::text(" and ", column.values.size() - kMost, " more");
  throw CsvFault{row.line, column.place,
                 trainer::text(shown(text), " is none of the ", column.target ? "classes" : "categories",
                               " that are known: ", known)};
}

std::string_view CsvDecoder::group_in(const CsvRow& row, std::span<const std::string_view> fields) const {
  const std::string_view text = trimmed(fields[static_cast<std::size_t>(table_->group)]);
  if (is_missing(text))
    throw CsvFault{
        row.line, table_->group,
        "has no value, so the row belongs to no group of --validation groups(); fill it in, leave the "
        "row out, or say --missing drop"};
  return text;
}

void CsvDecoder::require_category(const CsvRow& row, std::size_t i, std::string_view text) {
  const CsvColumn& column = table_->used[i];
  const FieldKind kind = parse_field(text).kind;
  if (kind == FieldKind::missing) throw CsvFault{row.line, column.place, missing(*table_, column, text)};
  if (kind != FieldKind::text)
    throw CsvFault{row.line, column.place,
                   trainer::text(shown(text), " is a number, but the column holds text (", column.evidence,
                                 "); a column holds one of both")};
  last_[i] = text;
}

void CsvDecoder::fail_ragged(const CsvRow& row, std::int64_t fields) const {
  const bool comment = trimmed(row.text).starts_with('#');
  throw CsvFault{
      row.line, -1,
      text("has ", fields, fields == 1 ? " field" : " fields", " where the first line has ", table_->columns,
           comment ? "; comments are not supported, remove them" : "; every line needs as many (separator ",
           comment                    ? ""
           : table_->separator == ' ' ? "blanks)"
                                      : shown(std::string_view(&table_->separator, 1)) + ")")};
}

void CsvDecoder::fail_number(const CsvRow& row, const CsvColumn& column, std::string_view text,
                             FieldKind kind) const {
  std::string what = missing(*table_, column, text);
  if (kind == FieldKind::infinite) what = shown(text) + " is not finite; numbers must be";
  if (kind == FieldKind::beyond) what = shown(text) + " is beyond f32, whose greatest number is 3.4e38";
  if (kind == FieldKind::text)
    what = trainer::text(shown(text), " is no number, but the column holds numbers",
                         column.evidence.empty() ? "" : " (" + column.evidence + ")",
                         "; correct it, or leave the field empty where a value is missing");
  throw CsvFault{row.line, column.place, what};
}

}  // namespace trainer::data
