#include "csv_lines.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <utility>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/report/csv_table.h"

namespace trainer::study {
namespace {

/// As a message can show it.
std::string shown(std::string value) {
  constexpr std::size_t kMost = 60;
  std::ranges::replace_if(
      value, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return value.size() > kMost ? value.substr(0, kMost) + "..." : value;
}

}  // namespace

CsvLines::CsvLines(std::string file, std::string remedy)
    : file_(std::move(file)), remedy_(std::move(remedy)) {
  std::error_code missing;
  require(std::filesystem::is_regular_file(file_, missing), ErrorKind::data, "cannot read ", file_,
          ": it is no plain file");
  in_.open(file_, std::ios::binary);
  require(in_.good(), ErrorKind::data, "cannot open ", file_);
  require(read_line(), ErrorKind::data, file_, " has no heading");
  columns_ = cells_of_line();
}

/// The longest line of ours has a message of an error in it.
bool CsvLines::read_line() {
  constexpr std::streamsize kLongest = 1 << 20;
  buffer_.resize(kLongest);
  in_.getline(buffer_.data(), kLongest);
  require(in_.eof() || !in_.fail() || in_.gcount() < kLongest - 1, ErrorKind::data, file_, ": line ",
          line_ + 1, " has more than ", kLongest, " bytes: this is no file of a study");
  if (in_.eof() || in_.fail()) return false;
  text_.assign(buffer_.data(), static_cast<std::size_t>(in_.gcount()) - 1);
  if (text_.ends_with('\r')) text_.pop_back();
  ++line_;
  return true;
}

std::vector<std::string> CsvLines::cells_of_line() const {
  auto cells = report::csv_cells(text_);
  require(cells.has_value(), ErrorKind::data, file_, ": line ", line_, " is no CSV; ", remedy_);
  return std::move(*cells);
}

bool CsvLines::next() {
  do {
    if (!read_line()) return false;
  } while (text_.empty());
  cells_ = cells_of_line();
  cell_ = 0;
  require(cells_.size() == columns_.size(), ErrorKind::data, file_, ": line ", line_, " has ", cells_.size(),
          " cells, its heading ", columns_.size(), "; ", remedy_);
  return true;
}

void CsvLines::fail_here(const std::string& what) const {
  fail(ErrorKind::data, file_, ": line ", line_, ", column ", columns_[cell_ - 1], ": \"",
       shown(cells_[cell_ - 1]), "\" is ", what, "; ", remedy_);
}

const std::string& CsvLines::word() { return cells_.at(cell_++); }

std::int64_t CsvLines::whole(std::int64_t least) {
  const auto number = parse_integer(word());
  if (!number || *number < least) fail_here(text("no whole number from ", least, " on"));
  return *number;
}

double CsvLines::number() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::string& cell = word();
  if (cell == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (cell == "inf" || cell == "-inf") return cell == "inf" ? kInfinity : -kInfinity;
  const auto number = parse_number(cell);
  if (!number) fail_here("no number");
  return *number;
}

double CsvLines::number(double least) {
  const auto number = parse_number(word());
  if (!number || *number < least) fail_here(text("no number from ", least, " on"));
  return *number;
}

const std::string& CsvLines::name(const std::vector<std::string>& names) {
  const std::string& cell = word();
  if (std::ranges::find(names, cell) != names.end()) return cell;
  std::string list;
  for (const std::string& one : names) list += (list.empty() ? "" : ", ") + one;
  fail_here("none of " + list);
}

}  // namespace trainer::study
