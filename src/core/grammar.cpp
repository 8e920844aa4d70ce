#include "trainer/core/grammar.h"

#include <algorithm>

namespace trainer {
namespace {

constexpr std::size_t kMaximumBytes = 64 * 1024;
constexpr int kMaximumDepth = 32;
constexpr std::size_t kWindowColumns = 100;  // of a long text, around the caret

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_punctuation(char c) { return c == '(' || c == ')' || c == ',' || c == '='; }

class Parser {
 public:
  explicit Parser(const ParsedText& text) : text_(text), source_(text.source()) {}

  std::vector<Term> parse() {
    skip_space();
    if (at_end()) text_.fail_at(0, "the text is empty; expected a name");
    std::vector<Term> result = parse_terms(0);
    if (!at_end()) text_.fail_at(position_, text("expected a name or the end of the text, found ", found()));
    return result;
  }

  std::vector<Argument> parse_assignments() {
    constexpr const char* kExpected = "expected name=value";
    std::vector<Argument> result;
    skip_space();
    do {
      Argument argument{.key = {}, .sequence = {}, .offset = position_};
      if (!at_word()) text_.fail_at(position_, text(kExpected, ", found ", found()));
      argument.key = take_word();
      if (!skip('=')) text_.fail_at(position_, text(kExpected, ", found ", found()));
      const std::size_t offset = position_;
      if (!at_word()) text_.fail_at(position_, text("expected a value, found ", found()));
      argument.sequence.push_back(finish_term(take_word(), offset, 0));
      result.push_back(std::move(argument));
      skip(',');
    } while (!at_end());
    return result;
  }

 private:
  bool at_end() const { return position_ == source_.size(); }
  bool at(char c) const { return !at_end() && source_[position_] == c; }
  bool at_word() const { return !at_end() && !is_punctuation(source_[position_]); }
  std::string found() const { return at_end() ? "the end of the text" : text('"', source_[position_], '"'); }

  void skip_space() {
    while (!at_end() && is_space(source_[position_])) ++position_;
  }
  bool skip(char c) {
    if (!at(c)) return false;
    ++position_;
    skip_space();
    return true;
  }

  std::string take_word() {
    const std::size_t begin = position_;
    while (at_word() && !is_space(source_[position_])) ++position_;
    std::string word(source_.substr(begin, position_ - begin));
    skip_space();
    return word;
  }

  std::vector<Term> parse_terms(int depth) {
    std::vector<Term> terms;
    while (at_word()) {
      const std::size_t offset = position_;
      terms.push_back(finish_term(take_word(), offset, depth));
    }
    return terms;
  }

  Term finish_term(std::string name, std::size_t offset, int depth) {
    Term term{.name = std::move(name), .has_parentheses = false, .arguments = {}, .offset = offset};
    const std::size_t opening = position_;
    if (!skip('(')) return term;
    if (depth == kMaximumDepth) {
      text_.fail_at(opening, text("parentheses are nested deeper than ", kMaximumDepth));
    }
    term.has_parentheses = true;
    if (skip(')')) return term;
    do {
      term.arguments.push_back(parse_argument(depth + 1));
    } while (skip(','));
    if (at_end()) text_.fail_at(opening, "this \"(\" is never closed; expected \",\" or \")\"");
    if (!skip(')')) text_.fail_at(position_, text("expected \",\" or \")\", found ", found()));
    return term;
  }

  Argument parse_argument(int depth) {
    Argument argument{.key = {}, .sequence = {}, .offset = position_};
    if (!at_word()) text_.fail_at(position_, text("expected a value, found ", found()));
    std::string first = take_word();
    if (skip('=')) {
      argument.key = std::move(first);
      argument.sequence = parse_terms(depth);
      if (argument.sequence.empty()) text_.fail_at(position_, text("expected a value, found ", found()));
      return argument;
    }
    argument.sequence.push_back(finish_term(std::move(first), argument.offset, depth));
    std::ranges::move(parse_terms(depth), std::back_inserter(argument.sequence));
    return argument;
  }

  const ParsedText& text_;
  std::string_view source_;
  std::size_t position_ = 0;
};

/// The length of the well-formed UTF-8 character at the front of `bytes` (RFC 3629); 0 when there is none.
std::size_t utf8_length(std::string_view bytes) {
  const auto byte = [bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length > bytes.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  }
  if (length >= 3) {
    const unsigned second = byte(1);
    const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
    const bool beyond = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
    if (overlong || beyond) return 0;
  }
  return length;
}

/// One column of a terminal line for each character of a text.
struct Columns {
  std::vector<std::string_view> cells;
  std::size_t marked = 0;  ///< the column of the byte that was asked for

  std::string text(std::size_t begin, std::size_t end) const {
    std::string result;
    for (std::size_t i = begin; i < std::min(end, cells.size()); ++i) result += cells[i];
    return result;
  }
};

/// Control characters become blanks and malformed bytes question marks: a hostile text must not drive the
/// terminal.
Columns to_columns(std::string_view source, std::size_t marked_byte) {
  Columns result;
  for (std::size_t i = 0; i < source.size();) {
    const std::size_t length = utf8_length(source.substr(i));
    const auto first = static_cast<unsigned char>(source[i]);
    const bool is_c1_control =
        first == 0xC2 && length == 2 && static_cast<unsigned char>(source[i + 1]) < 0xA0;
    const bool is_control = first < 0x20 || first == 0x7F || is_c1_control;
    if (i <= marked_byte) result.marked = result.cells.size();
    result.cells.push_back(length == 0 ? "?" : is_control ? " " : source.substr(i, length));
    i += std::max<std::size_t>(length, 1);
  }
  if (marked_byte >= source.size()) result.marked = result.cells.size();
  return result;
}

}  // namespace

ParsedText::ParsedText(std::string option, std::string source, Form form)
    : option_(std::move(option)), source_(std::move(source)) {
  if (source_.size() > kMaximumBytes) {
    fail_at(kMaximumBytes,
            text("the text has ", source_.size(), " bytes; at most ", kMaximumBytes, " are allowed"));
  }
  if (form == Form::assignments)
    assignments_ = Parser(*this).parse_assignments();
  else
    sequence_ = Parser(*this).parse();
}

void ParsedText::fail_at(std::size_t offset, const std::string& message) const {
  // Only the neighbourhood of the place is looked at: a text may be long, and its columns cost memory.
  constexpr std::size_t kContextBytes = 4 * kWindowColumns;
  const std::size_t place = std::min(offset, source_.size());
  std::size_t context = place - std::min(place, kContextBytes);
  while (context > 0 && context < place && (static_cast<unsigned char>(source_[context]) & 0xC0U) == 0x80U)
    ++context;
  const Columns columns =
      to_columns(std::string_view(source_).substr(context, 2 * kContextBytes), place - context);

  const std::size_t before = std::min(columns.marked, kWindowColumns / 2);
  std::size_t begin = columns.marked - before;
  std::size_t end = std::min(begin + kWindowColumns, columns.cells.size());
  if (end - begin < kWindowColumns) begin = end - std::min(end, kWindowColumns);
  const bool cut_left = begin > 0 || context > 0;
  const bool cut_right = end < columns.cells.size() || context + 2 * kContextBytes < source_.size();
  const std::string left = cut_left ? "... " : "";

  const Columns title = to_columns(message, 0);
  const std::string line = option_ + ": " + title.text(0, title.cells.size());
  if (std::ranges::all_of(source_, is_space)) fail(ErrorKind::usage, line);
  fail(ErrorKind::usage, line, "\n  ", left, columns.text(begin, end), cut_right ? " ..." : "", "\n  ",
       std::string(left.size() + columns.marked - begin, ' '), "^");
}

}  // namespace trainer
