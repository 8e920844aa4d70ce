#include "csv_scan.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "csv_decoder.h"
#include "csv_file.h"
#include "pack.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// A piece of a file: rows belong to it that begin in [begin, end).
struct Piece {
  std::int64_t file = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool first = false;   ///< of its file
  bool quoted = false;  ///< it begins inside of quotes
};

/// Counted from the piece's own beginning.
struct PieceMark {
  std::int64_t row = 0;
  std::int64_t offset = 0;  ///< in the file
  std::int64_t line = 0;
};

struct PieceFindings {
  bool odd_quotes = false;
  std::int64_t lines = 0;
  std::int64_t rows = 0;
  std::int64_t dropped = 0;
  std::vector<PieceMark> marks;
  std::vector<std::vector<std::string>> categories;
  std::vector<std::string> group_names;  ///< as they are met
  std::vector<std::int32_t> groups;      ///< of its rows: places among these names
  std::vector<CsvTargetFacts> targets;   ///< of numeric target columns, one after the other
  std::optional<CsvFault> fault;
};

using Set = std::set<std::string, std::less<>>;

/// What the rows of a piece hold.
class Collector {
 public:
  explicit Collector(const CsvTable& table)
      : table_(table), categories_(table.used.size()), targets_(table.used.size()) {}

  void number(std::size_t i, const Field& field) {
    if (!table_.used[i].target) return;
    CsvTargetFacts& facts = targets_[i];
    facts.least = std::min(facts.least, field.value);
    facts.greatest = std::max(facts.greatest, field.value);
    facts.fractions |= field.value != std::floor(field.value);
    facts.written_whole &= field.whole;
  }
  void index(std::size_t i, std::int32_t index) {
    number(i, {.kind = FieldKind::number, .value = static_cast<double>(index), .whole = true});
  }
  void category(std::size_t i, std::string_view text) {
    Set& known = categories_[i];
    if (std::ssize(known) <= kMostCategories && !known.contains(text)) known.emplace(text);
  }
  void group(std::string_view text) {
    const auto [known, added] = group_numbers_.emplace(text, static_cast<std::int32_t>(group_names_.size()));
    if (added) group_names_.emplace_back(text);
    groups_.push_back(known->second);
  }
  void give(PieceFindings& out) const {
    out.group_names = group_names_;
    out.groups = groups_;
    for (const Set& set : categories_) out.categories.emplace_back(set.begin(), set.end());
    out.targets = targets_;
  }

 private:
  const CsvTable& table_;
  std::vector<Set> categories_;
  std::vector<CsvTargetFacts> targets_;
  std::unordered_map<std::string, std::int32_t> group_numbers_;
  std::vector<std::string> group_names_;
  std::vector<std::int32_t> groups_;
};

bool is_collected(const CsvColumn& column) { return column.categorical && !column.known; }

std::string packed(const PieceFindings& found, const CsvTable& table) {
  Packer out;
  out.put(found.odd_quotes);
  out.put(found.lines);
  out.put(found.rows);
  out.put(found.dropped);
  out.put(std::ssize(found.marks));
  for (const PieceMark& mark : found.marks) out.put(mark);
  for (std::size_t i = 0; i < table.used.size(); ++i) {
    if (table.used[i].target) out.put(found.targets[i]);
    if (!is_collected(table.used[i])) continue;
    out.put(std::ssize(found.categories[i]));
    for (const std::string& category : found.categories[i]) out.put_text(category);
  }
  out.put(std::ssize(found.group_names));
  for (const std::string& name : found.group_names) out.put_text(name);
  out.put_text(bytes_of(found.groups));
  out.put(found.fault.has_value());
  if (!found.fault) return std::move(out).bytes();
  out.put(found.fault->line);
  out.put(found.fault->column);
  out.put_text(found.fault->what);
  return std::move(out).bytes();
}

PieceFindings unpacked(const std::string& bytes, const CsvTable& table) {
  Unpacker in(bytes);
  PieceFindings found;
  found.odd_quotes = in.get<bool>();
  found.lines = in.get<std::int64_t>();
  found.rows = in.get<std::int64_t>();
  found.dropped = in.get<std::int64_t>();
  for (auto left = in.get<std::ptrdiff_t>(); left > 0; --left) found.marks.push_back(in.get<PieceMark>());
  found.categories.resize(table.used.size());
  found.targets.resize(table.used.size());
  for (std::size_t i = 0; i < table.used.size(); ++i) {
    if (table.used[i].target) found.targets[i] = in.get<CsvTargetFacts>();
    if (!is_collected(table.used[i])) continue;
    for (auto left = in.get<std::ptrdiff_t>(); left > 0; --left) found.categories[i].push_back(in.get_text());
  }
  for (auto left = in.get<std::ptrdiff_t>(); left > 0; --left) found.group_names.push_back(in.get_text());
  found.groups = values_of<std::int32_t>(in.get_text());
  if (!in.get<bool>()) return found;
  CsvFault fault;
  fault.line = in.get<std::int64_t>();
  fault.column = in.get<std::int64_t>();
  fault.what = in.get_text();
  found.fault = fault;
  return found;
}

/// Decodes the rows that begin before `end`, with a mark every `mark_bytes`.
void collect_rows(CsvRowReader reader, std::int64_t end, std::int64_t mark_bytes, const CsvTable& table,
                  PieceFindings& found) {
  CsvDecoder decoder(table);
  Collector collector(table);
  std::int64_t next_mark = reader.offset();
  try {
    for (CsvRow row; reader.offset() < end && reader.next(row);) {
      const CsvDecoder::Outcome outcome = decoder.decode(row, collector);
      if (outcome == CsvDecoder::Outcome::dropped) ++found.dropped;
      if (outcome != CsvDecoder::Outcome::kept) continue;
      if (row.offset >= next_mark) {
        found.marks.push_back({found.rows, row.offset, row.line});
        next_mark = row.offset + mark_bytes;
      }
      ++found.rows;
    }
  } catch (CsvFault& fault) {
    found.fault = std::move(fault);
  }
  collector.give(found);
}

/// The bytes of a piece in memory, and those after it in its file.
CsvRowReader rows_of_piece(const CsvFile& file, const std::string& bytes, std::int64_t begin,
                           std::int64_t offset, std::int64_t line) {
  const auto read = [&file, &bytes, begin, place = offset](char* out, std::int64_t most) mutable {
    const std::int64_t left = begin + std::ssize(bytes) - place;
    const std::int64_t got =
        left > 0 ? std::min(left, most) : file.read_at(place, out, std::min<std::int64_t>(most, 1 << 16));
    if (left > 0) std::memcpy(out, bytes.data() + (place - begin), static_cast<std::size_t>(got));
    place += got;
    return got;
  };
  return {read, offset, line};
}

/// Where in `bytes` the first row of a piece begins, which is not the first of its file; bytes.size() when
/// none does. `after_line_end`: an end of line stands before them.
std::size_t first_row(const std::string& bytes, bool quoted, bool after_line_end) {
  if (after_line_end && !quoted) return 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '"') quoted = !quoted;
    if (bytes[i] == '\n' && !quoted) return i + 1;
  }
  return bytes.size();
}

PieceFindings scan_piece(const CsvFileFacts& facts, const Piece& piece, std::int64_t mark_bytes,
                         const CsvTable& table) {
  const CsvFile file(facts.path);
  require(file.bytes() == facts.bytes && file.is_compressed() == facts.compressed, ErrorKind::data,
          facts.path, ": has ", file.bytes(), " bytes, but had ", facts.bytes,
          "; leave data alone while it is used");
  PieceFindings found;
  if (facts.compressed) {
    const auto endless = std::numeric_limits<std::int64_t>::max() / 2;
    collect_rows(file.rows_from(piece.begin, facts.begin.line), endless, endless, table, found);
    return found;
  }
  // One byte more in front: is it an end of line?
  const std::int64_t before = piece.first ? 0 : 1;
  std::string bytes(static_cast<std::size_t>(piece.end - piece.begin + before), '\0');
  const std::int64_t got = file.read_at(piece.begin - before, bytes.data(), std::ssize(bytes));
  require(got == std::ssize(bytes), ErrorKind::data, facts.path, ": is shorter than it was");
  const bool after_line_end = before == 1 && bytes.front() == '\n';
  bytes.erase(0, static_cast<std::size_t>(before));
  found.odd_quotes = std::count(bytes.begin(), bytes.end(), '"') % 2 != 0;
  found.lines = std::count(bytes.begin(), bytes.end(), '\n');
  const std::size_t skipped = piece.first ? 0 : first_row(bytes, piece.quoted, after_line_end);
  const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(skipped);
  const std::int64_t line = std::count(bytes.begin(), from, '\n');
  const std::int64_t offset = piece.begin + static_cast<std::int64_t>(skipped);
  collect_rows(rows_of_piece(file, bytes, piece.begin, offset, line), piece.end, mark_bytes, table, found);
  file.require_unchanged();
  return found;
}

std::vector<Piece> pieces_of(const std::vector<CsvFileFacts>& files, std::int64_t piece_bytes) {
  std::vector<Piece> pieces;
  for (std::size_t f = 0; f < files.size(); ++f) {
    const CsvFileFacts& file = files[f];
    Piece piece{.file = static_cast<std::int64_t>(f), .begin = file.begin.offset, .first = true};
    do {
      piece.end = file.compressed ? file.bytes : std::min(file.bytes, piece.begin + piece_bytes);
      pieces.push_back(piece);
      piece.begin = piece.end;
      piece.first = false;
    } while (piece.end < file.bytes);
  }
  return pieces;
}

/// Sees in order all pieces up to the first that has a fault.
class Merger {
 public:
  Merger(const std::vector<CsvFileFacts>& files, const CsvTable& table) : files_(files), table_(table) {
    sets_.resize(table.used.size());
    out_.targets.resize(table.used.size());
  }

  void add(const Piece& piece, const PieceFindings& found) {
    const CsvFileFacts& file = files_[static_cast<std::size_t>(piece.file)];
    if (piece.first) line_ = file.compressed ? 0 : file.begin.line;
    if (found.fault) {
      CsvFault fault = *found.fault;
      fault.line += line_;
      fail_at(file.path, table_, fault);
    }
    for (const PieceMark& mark : found.marks)
      out_.marks.push_back({out_.rows + mark.row, piece.file, mark.offset, line_ + mark.line});
    add_groups(found);
    out_.rows += found.rows;
    out_.dropped += found.dropped;
    line_ += found.lines;
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      add_categories(i, found.categories[i]);
      CsvTargetFacts& facts = out_.targets[i];
      facts.least = std::min(facts.least, found.targets[i].least);
      facts.greatest = std::max(facts.greatest, found.targets[i].greatest);
      facts.fractions |= found.targets[i].fractions;
      facts.written_whole &= found.targets[i].written_whole;
    }
  }

  CsvFindings take() {
    for (Set& set : sets_) out_.categories.emplace_back(set.begin(), set.end());
    return std::move(out_);
  }

 private:
  void add_groups(const PieceFindings& found) {
    std::vector<std::int32_t> numbers;
    for (const std::string& name : found.group_names)
      numbers.push_back(
          group_numbers_.emplace(name, static_cast<std::int32_t>(group_numbers_.size())).first->second);
    for (const std::int32_t group : found.groups)
      out_.groups.push_back(numbers[static_cast<std::size_t>(group)]);
  }

  void add_categories(std::size_t i, const std::vector<std::string>& found) {
    sets_[i].insert(found.begin(), found.end());
    const CsvColumn& column = table_.used[i];
    if (std::ssize(sets_[i]) <= kMostCategories) return;
    fail(ErrorKind::data, files_.front().path, ": column ", column.place + 1, " (",
         shown(table_.names[static_cast<std::size_t>(column.place)]), ") holds text (", column.evidence,
         ") of more than ", kMostCategories,
         column.target ? " classes" : " categories; leave the column out by --inputs, or write numbers");
  }

  const std::vector<CsvFileFacts>& files_;
  const CsvTable& table_;
  std::int64_t line_ = 0;
  std::vector<Set> sets_;
  std::unordered_map<std::string, std::int32_t> group_numbers_;
  CsvFindings out_;
};

}  // namespace

CsvFindings scan_csv(const std::vector<CsvFileFacts>& files, const CsvTable& table, std::int64_t piece_bytes,
                     const ShareWork& share) {
  const std::int64_t mark_bytes = std::max<std::int64_t>(1, piece_bytes / 16);
  std::vector<Piece> pieces = pieces_of(files, piece_bytes);
  const auto scan = [&](std::size_t p) {
    const Piece& piece = pieces[p];
    return packed(scan_piece(files[static_cast<std::size_t>(piece.file)], piece, mark_bytes, table), table);
  };
  // First as if no piece began inside of quotes, which is seldom wrong; then those again for which it is.
  std::vector<std::string> results =
      share(std::ssize(pieces), [&](std::int64_t p) { return scan(static_cast<std::size_t>(p)); });
  std::vector<std::size_t> again;
  bool quoted = false;
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    if (pieces[p].first) quoted = false;
    pieces[p].quoted = quoted;
    if (quoted) again.push_back(p);
    const PieceFindings found = unpacked(results[p], table);
    if (!quoted && found.fault) break;
    quoted ^= found.odd_quotes;
  }
  if (!again.empty()) {
    std::vector<std::string> corrected =
        share(std::ssize(again), [&](std::int64_t i) { return scan(again[static_cast<std::size_t>(i)]); });
    for (std::size_t i = 0; i < again.size(); ++i) results[again[i]] = std::move(corrected[i]);
  }

  Merger merger(files, table);
  for (std::size_t p = 0; p < pieces.size(); ++p) merger.add(pieces[p], unpacked(results[p], table));
  return merger.take();
}

}  // namespace trainer::data
