#include "csv_layout.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "csv_field.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

std::string unnamed(std::size_t column) { return text("column ", column + 1); }

using Fields = std::vector<std::string>;

struct HeadRow {
  std::string text;
  std::int64_t line = 0;
};

struct HeadFields {
  Fields fields;
  std::int64_t line = 0;
};

/// The first rows that are not blank: two, and more of them up to some size.
std::vector<HeadRow> read_head(const CsvFile& file) {
  constexpr std::size_t kBytes = 256 << 10;
  constexpr std::size_t kMostRows = 1000;
  std::vector<HeadRow> rows;
  std::size_t bytes = 0;
  CsvRowReader reader = file.rows_from(0, 1);
  for (CsvRow row; rows.size() < kMostRows && (rows.size() < 2 || bytes < kBytes) && reader.next(row);) {
    if (is_blank(row.text)) continue;
    rows.push_back({std::string(row.text), row.line});
    bytes += row.text.size();
  }
  require(!rows.empty(), ErrorKind::data, file.path(), ": is empty; expected rows of text");
  return rows;
}

Fields fields_of(CsvRowParser& parser, const CsvRow& row) {
  const auto fields = parser.parse(row);
  return Fields(fields.begin(), fields.end());
}

/// How well a separator fits the first rows.
struct Fit {
  std::size_t rows = 0;    ///< with the most frequent number of fields; 0 if that is 1
  std::size_t fields = 0;  ///< that number
  bool decimal_commas = false;
};

Fit fit_of(char separator, const std::vector<HeadRow>& rows) {
  CsvRowParser parser(separator);
  std::map<std::size_t, std::size_t> rows_with;
  Fit fit;
  for (const HeadRow& row : rows) {
    try {
      const auto fields = parser.parse({row.text, 0, row.line});
      ++rows_with[fields.size()];
      fit.decimal_commas |= std::any_of(fields.begin(), fields.end(), has_decimal_comma);
    } catch (const CsvFault&) {  // this separator does not fit, or the row is named when it is read
    }
  }
  for (const auto& [fields, count] : rows_with) {
    if (fields > 1 && count >= fit.rows) {
      fit.rows = count;
      fit.fields = fields;
    }
  }
  return fit;
}

char guess_separator(const std::vector<HeadRow>& rows) {
  // A semicolon beside decimal commas fits no better than the comma, but is meant.
  const Fit semicolon = fit_of(';', rows);
  const Fit comma = fit_of(',', rows);
  if (semicolon.rows > 0 && semicolon.rows >= comma.rows && semicolon.decimal_commas) return ';';
  char best = ',';
  Fit most = comma;
  for (const auto& [separator, fit] :
       {std::pair{';', semicolon}, {'\t', fit_of('\t', rows)}, {'|', fit_of('|', rows)}}) {
    if (std::pair(fit.rows, fit.fields) <= std::pair(most.rows, most.fields)) continue;
    best = separator;
    most = fit;
  }
  if (most.rows < rows.size() && fit_of(' ', rows).rows > most.rows) return ' ';
  return best;
}

bool is_number(const std::string& field) {
  const FieldKind kind = parse_field(field).kind;
  return kind != FieldKind::missing && kind != FieldKind::text;
}

/// Of one column, what its first field is beside the others.
struct ColumnHead {
  bool names_numbers = false;  ///< a text above nothing but numbers
  bool is_number = false;
  bool returns = false;  ///< it stands below once more
};

ColumnHead column_head(const std::vector<HeadFields>& rows, std::size_t column) {
  const std::string& first = rows.front().fields[column];
  ColumnHead head;
  head.is_number = is_number(first);
  bool numbers = false;
  bool texts = false;
  for (std::size_t r = 1; r < rows.size(); ++r) {
    if (column >= rows[r].fields.size()) continue;
    const std::string& field = rows[r].fields[column];
    if (is_missing(field)) continue;
    (is_number(field) ? numbers : texts) = true;
    if (field == first) head.returns = true;
  }
  head.names_numbers = numbers && !texts && !head.is_number && !is_missing(first);
  return head;
}

bool holds_all(const Fields& fields, const std::vector<std::string>& names) {
  const std::set<std::string_view> present(fields.begin(), fields.end());
  return !names.empty() &&
         std::all_of(names.begin(), names.end(), [&](const std::string& n) { return present.contains(n); });
}

bool guess_header(const std::vector<HeadFields>& rows, const std::vector<std::string>& known_names) {
  const Fields& first = rows.front().fields;
  if (holds_all(first, known_names)) return true;
  bool could = std::set(first.begin(), first.end()).size() == first.size();
  for (std::size_t c = 0; c < first.size(); ++c) {
    const ColumnHead head = column_head(rows, c);
    if (head.names_numbers) return true;
    if (head.is_number || head.returns || is_missing(first[c])) could = false;
  }
  return could;  // nothing but texts, each of them once
}

void name_columns(const CsvFile& file, const HeadFields& header, CsvLayout& layout) {
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t c = 0; c < header.fields.size(); ++c) {
    const std::string name(trimmed(header.fields[c]));
    if (name.empty()) continue;
    const auto [known, added] = places.emplace(name, c);
    require(added, ErrorKind::data, file.path(), ": line ", header.line, ": columns ", known->second + 1,
            " and ", c + 1, " are both called ", shown(name), "; names must differ");
    layout.columns[c].name = name;
    layout.columns[c].is_named = true;
  }
}

/// The kind of `column` by its first value.
void find_kind(const std::vector<HeadFields>& rows, std::size_t c, CsvHeadColumn& column) {
  for (const HeadFields& row : rows) {
    if (c >= row.fields.size() || is_missing(row.fields[c])) continue;
    const std::string& field = row.fields[c];
    column.kind = is_number(field) ? CsvKind::number : CsvKind::text;
    column.value = field.substr(0, 48);
    column.line = row.line;
    return;
  }
}

}  // namespace

CsvLayout read_layout(const CsvFile& file, const std::vector<std::string>& known_names) {
  std::vector<HeadRow> head = read_head(file);
  CsvLayout layout;
  layout.separator = guess_separator(head);
  CsvRowParser parser(layout.separator);
  std::vector<HeadFields> rows;
  for (HeadRow& row : head) {
    rows.push_back({fields_of(parser, {row.text, 0, row.line}), row.line});
    row.text = {};
  }
  for (std::string& field : rows.front().fields) field = trimmed(field);
  layout.header = guess_header(rows, known_names);
  layout.columns.resize(rows.front().fields.size());
  for (std::size_t c = 0; c < layout.columns.size(); ++c) layout.columns[c].name = unnamed(c);
  if (layout.header) {
    name_columns(file, rows.front(), layout);
    rows.erase(rows.begin());
  }
  for (std::size_t c = 0; c < layout.columns.size(); ++c) find_kind(rows, c, layout.columns[c]);
  return layout;
}

CsvBegin rows_begin(const CsvFile& file, const CsvLayout& layout) {
  require(file.bytes() > 0, ErrorKind::data, file.path(), ": is empty; expected rows of text");
  if (!layout.header) return {};
  CsvRowReader reader = file.rows_from(0, 1);
  CsvRow row;
  do {
    if (!reader.next(row)) return {};
  } while (is_blank(row.text));
  CsvRowParser parser(layout.separator);
  const auto fields = parser.parse(row);
  if (fields.size() != layout.columns.size()) return {};
  for (std::size_t c = 0; c < fields.size(); ++c) {
    const std::string_view name = trimmed(fields[c]);
    if (name.empty() ? layout.columns[c].name != unnamed(c) : layout.columns[c].name != name) return {};
  }
  return {.offset = reader.offset(), .line = reader.line()};
}

}  // namespace trainer::data
