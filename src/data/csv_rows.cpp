#include "csv_rows.h"

#include <csv.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "csv_field.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::size_t kReadBytes = std::size_t{1} << 16;
constexpr std::size_t kMostRowBytes = std::size_t{64} << 20;
constexpr std::size_t kMostColumns = 1'000'000;
constexpr const char* kTooManyColumns = "more than 1,000,000 columns";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // of UTF-8

/// Whether the quotes in [begin, end) are odd.
bool odd_quotes(const char* begin, const char* end) {
  const auto size = static_cast<std::size_t>(end - begin);
  if (std::memchr(begin, '"', size) == nullptr) return false;
  return std::count(begin, end, '"') % 2 != 0;
}

}  // namespace

bool CsvRowReader::refill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + kReadBytes) buffer_.resize(std::max(2 * buffer_.size(), end_ + kReadBytes));
  const std::int64_t got = read_(buffer_.data() + end_,
                                 static_cast<std::int64_t>(std::min(buffer_.size() - end_, 2 * kReadBytes)));
  end_ += static_cast<std::size_t>(got);
  return got > 0;
}

bool CsvRowReader::next(CsvRow& row) {
  std::size_t size = 0;  // of what has been looked at
  std::size_t ending = 0;
  std::int64_t lines = 0;
  bool quoted = false;
  while (ending == 0) {
    const char* const from = buffer_.data() + begin_ + size;
    const std::size_t left = end_ - begin_ - size;
    const auto* const found = static_cast<const char*>(left > 0 ? std::memchr(from, '\n', left) : nullptr);
    const char* const to = found != nullptr ? found : from + left;
    quoted ^= odd_quotes(from, to);
    size += static_cast<std::size_t>(to - from);
    if (size > kMostRowBytes)
      throw CsvFault{line_, -1,
                     text("a row is longer than 64 MiB", quoted ? " (are its quotes closed?)" : "",
                          "; is this a text file with a line per row?")};
    if (found != nullptr) {
      ++lines;
      if (quoted) {
        ++size;
      } else {
        ending = 1;
      }
    } else if (!refill()) {
      break;
    }
  }
  if (size == 0 && ending == 0) return false;
  if (quoted) throw CsvFault{line_, -1, "a quote is opened here and not closed; close it, or double it"};
  row = {.text = {buffer_.data() + begin_, size}, .offset = offset_, .line = line_};
  if (!row.text.empty() && row.text.back() == '\r') row.text.remove_suffix(1);
  if (offset_ == 0 && row.text.starts_with(kByteOrderMark)) row.text.remove_prefix(kByteOrderMark.size());
  if (!row.text.empty() && std::memchr(row.text.data(), '\0', row.text.size()) != nullptr)
    throw CsvFault{line_, -1, "holds a byte 0: no text, or text in UTF-16; save it as UTF-8"};
  begin_ += size + ending;
  offset_ += static_cast<std::int64_t>(size + ending);
  line_ += lines;
  return true;
}

bool is_blank(std::string_view row) { return trimmed(row).empty(); }

struct CsvRowParser::State {
  explicit State(char separator) : blanks(separator == ' ') { start(separator); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { csv_free(&parser); }

  void start(char separator) {
    constexpr unsigned char kOptions = CSV_STRICT | CSV_STRICT_FINI | CSV_EMPTY_IS_NULL;
    require(csv_init(&parser, kOptions) == 0, ErrorKind::internal, "libcsv cannot be started");
    csv_set_delim(&parser, static_cast<unsigned char>(separator));
    csv_set_blk_size(&parser, 4096);
    // The reader has found the ends of rows; a carriage return elsewhere is text.
    csv_set_term_func(&parser, [](unsigned char c) { return c == '\n' ? 1 : 0; });
  }

  // libcsv is C and gives each field in a buffer that it uses again. A failing allocation ends the program
  // here: no exception may pass through C.
  static void add_field(void* field, std::size_t size, void* self) noexcept {
    auto& state = *static_cast<State*>(self);
    if (field == nullptr && state.blanks) return;  // between two blanks
    if (state.ends.size() > kMostColumns) return;
    state.fields_text.append(static_cast<const char*>(field), field != nullptr ? size : 0);
    state.ends.push_back(state.fields_text.size());
  }
  static void end_row(int, void*) noexcept {}

  /// A row without quotes, several times as fast as libcsv splits it: no copy, no call for each byte.
  void split(std::string_view text) {
    if (blanks) {
      for (std::size_t end = 0; end != text.npos && fields.size() <= kMostColumns;) {
        const std::size_t begin = text.find_first_not_of(" \t", end);
        if (begin == text.npos) return;
        end = text.find_first_of(" \t", begin);
        fields.push_back(text.substr(begin, std::min(end, text.size()) - begin));
      }
      return;
    }
    const auto separator = static_cast<char>(csv_get_delim(&parser));
    while (fields.size() <= kMostColumns) {
      const std::size_t end = text.find(separator);
      // As libcsv does: blanks and tabs around a field do not belong to it.
      fields.push_back(trimmed(text.substr(0, end)));
      if (end == text.npos) return;
      text.remove_prefix(end + 1);
    }
  }

  csv_parser parser{};
  bool blanks;
  std::string copy;  ///< of a row with tabs as blanks
  std::string fields_text;
  std::vector<std::size_t> ends;
  std::vector<std::string_view> fields;
};

CsvRowParser::CsvRowParser(char separator) : state_(std::make_unique<State>(separator)) {}
CsvRowParser::~CsvRowParser() = default;

std::span<const std::string_view> CsvRowParser::parse(const CsvRow& row) {
  State& state = *state_;
  state.fields_text.clear();
  state.ends.clear();
  state.fields.clear();
  std::string_view text = row.text;
  const bool separates = csv_get_delim(&state.parser) == '\t' && text.find('\t') != text.npos;
  if (is_blank(text) && !separates) return {};
  if (text.find('"') == text.npos) {
    state.split(text);
    if (state.fields.size() > kMostColumns) throw CsvFault{row.line, -1, kTooManyColumns};
    return state.fields;
  }
  if (state.blanks && text.find('\t') != text.npos) {
    state.copy = text;
    std::replace(state.copy.begin(), state.copy.end(), '\t', ' ');
    text = state.copy;
  }
  const bool whole = csv_parse(&state.parser, text.data(), text.size(), State::add_field, State::end_row,
                               &state) == text.size() &&
                     csv_fini(&state.parser, State::add_field, State::end_row, &state) == 0;
  if (!whole) {
    const auto separator = static_cast<char>(csv_get_delim(&state.parser));
    csv_free(&state.parser);
    state.start(separator);
    throw CsvFault{
        row.line, static_cast<std::int64_t>(state.ends.size()),
        "a quote is out of place; a field with quotes stands in quotes, with those inside it doubled"};
  }
  if (state.ends.size() > kMostColumns) throw CsvFault{row.line, -1, kTooManyColumns};
  std::size_t begin = 0;
  for (const std::size_t end : state.ends) {
    state.fields.emplace_back(state.fields_text.data() + begin, end - begin);
    begin = end;
  }
  return state.fields;
}

}  // namespace trainer::data
