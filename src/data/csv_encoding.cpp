#include "csv_encoding.h"

#include <charconv>
#include <string_view>

#include "csv_field.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '"' || c == '\\') {
      out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string place_and_name(const CsvEncoding& encoding, const CsvEncodedColumn& column) {
  return text(" ", column.place + 1, encoding.named ? " " + quoted(column.name) : "");
}

/// Reads the text from its front.
class Reader {
 public:
  explicit Reader(std::string_view text) : all_(text), left_(text) {}

  bool take(std::string_view word) {
    if (!left_.starts_with(word)) return false;
    left_.remove_prefix(word.size());
    return true;
  }
  bool at(std::string_view word) const { return left_.starts_with(word); }
  void expect(std::string_view word) {
    if (!take(word)) refuse();
  }
  std::int64_t number() {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(left_.data(), left_.data() + left_.size(), value);
    if (error != std::errc() || value < 1) refuse();
    left_.remove_prefix(static_cast<std::size_t>(end - left_.data()));
    return value;
  }
  std::string quoted_text() {
    expect("\"");
    std::string out;
    while (!take("\"")) out += take("\\x") ? byte() : any();
    return out;
  }
  bool ended() const { return left_.empty(); }
  [[noreturn]] void refuse() const {
    fail(ErrorKind::data, "the model was not trained on a CSV file: its encoding of the inputs is ",
         shown(all_), all_.size() == left_.size() ? "" : text(", wrong at ", shown(left_)),
         "; give it data of the same format");
  }

 private:
  char any() {
    if (left_.empty()) refuse();
    const char c = left_.front();
    left_.remove_prefix(1);
    return c;
  }
  char byte() {
    const std::size_t high = kDigits.find(any());
    const std::size_t low = kDigits.find(any());
    if (high == kDigits.npos || low == kDigits.npos) refuse();
    return static_cast<char>(high << 4 | low);
  }

  std::string_view all_;
  std::string_view left_;
};

/// Place and name.
CsvEncodedColumn read_column(Reader& reader, const CsvEncoding& encoding) {
  CsvEncodedColumn column;
  reader.expect(" ");
  column.place = reader.number() - 1;
  if (column.place >= encoding.columns) reader.refuse();
  if (encoding.named) {
    reader.expect(" ");
    column.name = reader.quoted_text();
  }
  return column;
}

CsvEncodedColumn read_input(Reader& reader, const CsvEncoding& encoding) {
  CsvEncodedColumn column = read_column(reader, encoding);
  if (reader.take(" number")) return column;
  reader.expect(" in");
  column.categorical = true;
  do {
    reader.expect(" ");
    column.categories.push_back(reader.quoted_text());
  } while (!reader.at(",") && !reader.at(";"));
  return column;
}

}  // namespace

std::string text_of(const CsvEncoding& encoding) {
  std::string out = text("csv of ", encoding.columns, encoding.named ? " named" : "", " columns:");
  for (const CsvEncodedColumn& column : encoding.inputs) {
    if (&column != &encoding.inputs.front()) out += ',';
    out += place_and_name(encoding, column) + (column.categorical ? " in" : " number");
    for (const std::string& category : column.categories) out += " " + quoted(category);
  }
  out += encoding.classes ? "; classes:" : "; values:";
  for (const CsvEncodedColumn& column : encoding.targets) {
    if (&column != &encoding.targets.front()) out += ',';
    out += place_and_name(encoding, column);
  }
  return out;
}

CsvEncoding csv_encoding_of(const std::string& text) {
  Reader reader(text);
  CsvEncoding encoding;
  reader.expect("csv of ");
  encoding.columns = reader.number();
  encoding.named = reader.take(" named");
  reader.expect(" columns:");
  do {
    encoding.inputs.push_back(read_input(reader, encoding));
  } while (reader.take(","));
  encoding.classes = reader.take("; classes:");
  if (!encoding.classes) reader.expect("; values:");
  while (!reader.ended()) {
    if (!encoding.targets.empty()) reader.expect(",");
    encoding.targets.push_back(read_column(reader, encoding));
  }
  return encoding;
}

}  // namespace trainer::data
