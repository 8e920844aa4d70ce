#include "hdf5_selection.h"

#include <algorithm>
#include <string_view>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::data {
namespace {

constexpr std::size_t kLongestText = 64 * 1024;
constexpr std::size_t kMostAxes = 32;  // HDF5's own limit
constexpr std::size_t kWindow = 50;    // characters shown on each side of the caret

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

class Parser {
 public:
  Parser(const std::string& option, const std::string& source) : option_(option), source_(source) {
    if (source_.size() > kLongestText) fail_at(0, text("the text is longer than ", kLongestText, " bytes"));
    const auto control = std::ranges::find_if(source_, is_control);
    if (control != source_.end())
      fail_at(static_cast<std::size_t>(control - source_.begin()),
              "there is a control character in the text");
  }

  std::vector<Hdf5Selection> selections() {
    std::vector<Hdf5Selection> found;
    do {
      found.push_back(selection());
    } while (skip(','));
    if (!at_end())
      fail_at(place_, text("expected \",\" or the end of the text, found \"", source_[place_], '"'));
    return found;
  }

  std::vector<std::int64_t> axes() {
    std::vector<std::int64_t> found;
    do {
      skip_spaces();
      found.push_back(number("a number of an axis, such as 0 or -1"));
      skip_spaces();
    } while (skip(','));
    if (!at_end())
      fail_at(place_, text("expected \",\" or the end of the text, found \"", source_[place_], '"'));
    return found;
  }

  [[noreturn]] void fail_at(std::size_t place, const std::string& message) const {
    std::size_t begin = place > kWindow ? place - kWindow : 0;
    while (begin < place && continues_character(source_[begin])) ++begin;
    std::string shown = source_.substr(begin, 2 * kWindow);
    std::ranges::replace_if(shown, is_control, ' ');
    const auto column = std::count_if(source_.begin() + static_cast<std::ptrdiff_t>(begin),
                                      source_.begin() + static_cast<std::ptrdiff_t>(place),
                                      [](char c) { return !continues_character(c); });
    const std::string left = begin > 0 ? "... " : "";
    fail(ErrorKind::usage, option_, ": ", message, "\n  ", left, shown, "\n  ",
         std::string(left.size() + static_cast<std::size_t>(column), ' '), '^');
  }

 private:
  bool at_end() const { return place_ == source_.size(); }
  bool at(char c) const { return !at_end() && source_[place_] == c; }
  bool skip(char c) {
    if (!at(c)) return false;
    ++place_;
    return true;
  }
  void skip_spaces() {
    while (!at_end() && is_space(source_[place_])) ++place_;
  }

  Hdf5Selection selection() {
    skip_spaces();
    const std::size_t begin = place_;
    while (!at_end() && !at(',') && !at('[') && !at(']')) ++place_;
    std::size_t end = place_;
    while (end > begin && is_space(source_[end - 1])) --end;
    if (end == begin) fail_at(begin, "expected the path of a data set");
    Hdf5Selection found;
    found.path = source_.substr(begin, end - begin);
    if (found.path.front() != '/') found.path.insert(0, "/");
    if (at('[')) {
      found.slices = slices();
      end = place_;
      skip_spaces();
    }
    found.written = source_.substr(begin, end - begin);
    return found;
  }

  std::vector<Hdf5Slice> slices() {
    const std::size_t opening = place_++;
    std::vector<Hdf5Slice> found;
    do {
      if (found.size() == kMostAxes) fail_at(place_, text("more than ", kMostAxes, " axes"));
      found.push_back(slice());
    } while (skip(','));
    if (at_end()) fail_at(opening, "this \"[\" is never closed; expected \",\" or \"]\"");
    if (!skip(']')) fail_at(place_, text("expected \":\", \",\" or \"]\", found \"", source_[place_], '"'));
    return found;
  }

  Hdf5Slice slice() {
    Hdf5Slice found;
    skip_spaces();
    if (at_number()) found.begin = number("a number");
    skip_spaces();
    if (!skip(':')) {
      if (!found.begin) fail_at(place_, "expected \":\" or a place on the axis, such as 0:40");
      found.is_index = true;
      return found;
    }
    skip_spaces();
    if (at_number()) found.end = number("a number");
    skip_spaces();
    if (!skip(':')) return found;
    skip_spaces();
    const std::size_t begin = place_;
    if (at_number()) found.step = number("a number");
    if (found.step < 1) fail_at(begin, "a step is at least 1");
    skip_spaces();
    return found;
  }

  bool at_number() const {
    return at('-') || (!at_end() && source_[place_] >= '0' && source_[place_] <= '9');
  }

  std::int64_t number(const char* expected) {
    const std::size_t begin = place_;
    if (at('-')) ++place_;
    while (!at_end() && source_[place_] >= '0' && source_[place_] <= '9') ++place_;
    const std::optional<std::int64_t> value =
        parse_integer(std::string_view(source_).substr(begin, place_ - begin));
    if (!value) fail_at(begin, text("expected ", expected));
    return *value;
  }

  const std::string& option_;
  const std::string& source_;
  std::size_t place_ = 0;
};

}  // namespace

std::vector<Hdf5Selection> parse_hdf5_selections(const std::string& option, const std::string& text) {
  return Parser(option, text).selections();
}

std::vector<std::int64_t> parse_row_axes(const std::string& text) {
  const std::string option = "--row-axis";
  Parser parser(option, text);
  const std::vector<std::int64_t> axes = parser.axes();
  if (axes.size() > kMostAxes) parser.fail_at(0, trainer::text("more than ", kMostAxes, " axes"));
  return axes;
}

}  // namespace trainer::data
