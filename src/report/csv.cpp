#include "trainer/report/csv.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "file_system.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::report {
namespace {

constexpr std::size_t kBufferBytes = 64 << 10;
constexpr std::size_t kMostWaiting = 256 << 20;

/// RFC 4180: a text with a comma or a quote stands in quotes, and quotes in it are doubled.
std::string quoted(const std::string& value) {
  require(value.find_first_of("\r\n") == std::string::npos, ErrorKind::internal,
          "a CSV cell holds a line end: ", value);
  if (value.find_first_of(",\"") == std::string::npos) return value;
  std::string result = "\"";
  for (const char c : value) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

std::string cell_text(const CsvCell& cell) {
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) return std::to_string(*whole);
  if (const auto* number = std::get_if<float>(&cell)) return format_number(*number);
  if (const auto* number = std::get_if<double>(&cell)) return format_number(*number);
  if (const auto* words = std::get_if<std::string>(&cell)) return quoted(*words);
  return "";
}

std::string header_line(const std::vector<std::string>& columns) {
  std::string line;
  for (const std::string& column : columns) line += (line.empty() ? "" : ",") + quoted(column);
  return line + "\n";
}

/// The offset behind line `lines` (from 1) of a file, or nothing when it has fewer whole lines. Reads in
/// pieces: steps.csv can be large.
std::optional<off_t> end_of_line(int file, std::int64_t lines, const std::string& path) {
  std::array<char, kBufferBytes> piece{};
  off_t offset = 0;
  while (true) {
    const ssize_t got = ::pread(file, piece.data(), piece.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ErrorKind::data, with_reason("cannot read " + path));
    if (got == 0) return std::nullopt;
    for (ssize_t i = 0; i < got; ++i) {
      if (piece[static_cast<std::size_t>(i)] == '\n' && --lines == 0) return offset + i + 1;
    }
    offset += got;
  }
}

std::string first_bytes(int file, std::size_t count, const std::string& path) {
  std::string bytes(count, '\0');
  const ssize_t got = ::pread(file, bytes.data(), bytes.size(), 0);
  require(got >= 0, ErrorKind::data, with_reason("cannot read " + path));
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

}  // namespace

CsvFile::CsvFile(std::string path, std::vector<std::string> columns, int file, std::int64_t rows)
    : path_(std::move(path)), columns_(std::move(columns)), file_(file), rows_(rows) {}

CsvFile::~CsvFile() {
  if (file_ < 0) return;
  try {
    flush();
  } catch (const Error&) {  // a destructor cannot tell; who needs to know calls flush()
  }
  ::close(file_);
}

CsvFile::CsvFile(CsvFile&& other) noexcept
    : path_(std::move(other.path_)),
      columns_(std::move(other.columns_)),
      buffer_(std::move(other.buffer_)),
      file_(std::exchange(other.file_, -1)),
      rows_(other.rows_) {}

CsvFile& CsvFile::operator=(CsvFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(columns_, other.columns_);
  std::swap(buffer_, other.buffer_);
  std::swap(file_, other.file_);
  std::swap(rows_, other.rows_);
  return *this;
}

CsvFile CsvFile::create(const std::string& path, std::vector<std::string> columns) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  require(file >= 0, ErrorKind::data, with_reason("cannot create " + path));
  CsvFile csv(path, std::move(columns), file, 0);
  csv.buffer_ = header_line(csv.columns_);
  csv.flush();
  return csv;
}

CsvFile CsvFile::reopen(const std::string& path, std::vector<std::string> columns, std::int64_t rows) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  require(file >= 0, ErrorKind::data, with_reason("cannot open " + path));
  CsvFile csv(path, std::move(columns), file, rows);
  const std::string header = header_line(csv.columns_);
  require(first_bytes(file, header.size(), path) == header, ErrorKind::data, path,
          " does not begin with the columns of this run: ", header.substr(0, header.size() - 1));
  const std::optional<off_t> end = end_of_line(file, rows + 1, path);
  require(end.has_value(), ErrorKind::data, path, " holds fewer than the ", rows,
          " rows that the checkpoint counts; delete the file: it is made again as far as it can be");
  const bool cut = ::ftruncate(file, *end) == 0;
  require(cut, ErrorKind::data, with_reason("cannot cut " + path));
  const bool placed = ::lseek(file, *end, SEEK_SET) == *end;
  require(placed, ErrorKind::data, with_reason("cannot write " + path));
  return csv;
}

void CsvFile::append(const std::vector<CsvCell>& cells) {
  require(cells.size() == columns_.size(), ErrorKind::internal, "a row of ", cells.size(), " cells for ",
          path_, ", which has ", columns_.size(), " columns");
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += ',';
    line += cell_text(cells[i]);
  }
  buffer_ += line;
  buffer_ += '\n';
  ++rows_;
  if (buffer_.size() < kBufferBytes) return;
  try {
    flush();
  } catch (const Error&) {  // who needs the rows on the disk calls flush(), and hears of it
    require(buffer_.size() < kMostWaiting, ErrorKind::data, path_, ": could not be written for so long that ",
            buffer_.size() >> 20, " MiB of rows wait; free some space there");
  }
}

void CsvFile::flush() {
  std::size_t written = 0;
  try {
    while (written < buffer_.size())
      written += write_some(file_, {buffer_.data() + written, buffer_.size() - written}, path_);
  } catch (...) {
    buffer_.erase(0, written);
    throw;
  }
  buffer_.clear();
}

void CsvFile::sync_flushed() const { sync_file(file_, path_); }

}  // namespace trainer::report
