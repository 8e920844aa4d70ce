#include "hdf5_look.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::data {
namespace {

/// Less is not worth a place of its own in the order of rows, nor in the list of pieces.
constexpr std::int64_t kSmallestPieceBytes = std::int64_t{256} << 10;
constexpr std::int64_t kMostPieces = std::int64_t{1} << 20;
/// A file without chunks is one piece up to here.
constexpr std::int64_t kSmallFileBytes = std::int64_t{4} << 20;

/// Numbers and texts without control characters, one after the other, as a result of a task.
class Writer {
 public:
  void add(const std::string& field) { out_ += field + '\t'; }
  void add(std::int64_t field) { add(std::to_string(field)); }
  void end_line() { out_ += '\n'; }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(const std::string& line) : line_(line) {}
  std::string word() {
    const std::size_t end = line_.find('\t', place_);
    require(end != std::string::npos, ErrorKind::internal, "a look at HDF5 files ends early");
    std::string field = line_.substr(place_, end - place_);
    place_ = end + 1;
    return field;
  }
  std::int64_t number() {
    const std::optional<std::int64_t> value = parse_integer(word());
    require(value.has_value(), ErrorKind::internal, "a look at HDF5 files is malformed");
    return *value;
  }

 private:
  const std::string& line_;
  std::size_t place_ = 0;
};

void write_parts(Writer& out, const std::vector<Hdf5Part>& parts) {
  out.add(static_cast<std::int64_t>(parts.size()));
  for (const Hdf5Part& part : parts) {
    out.add(part.path);
    out.add(static_cast<std::int64_t>(part.kind));
    out.add(part.type);
    out.add(part.is_plain ? 1 : 0);
    out.add(part.columns);
    out.add(static_cast<std::int64_t>(part.row_shape.size()));
    for (const std::int64_t n : part.row_shape) out.add(n);
  }
}

std::vector<Hdf5Part> read_parts(Reader& in) {
  std::vector<Hdf5Part> parts(static_cast<std::size_t>(in.number()));
  for (Hdf5Part& part : parts) {
    part.path = in.word();
    part.kind = static_cast<h5::TableKind>(in.number());
    part.type = in.word();
    part.is_plain = in.number() == 1;
    part.columns = in.number();
    part.row_shape.resize(static_cast<std::size_t>(in.number()));
    for (std::int64_t& n : part.row_shape) n = in.number();
  }
  return parts;
}

Hdf5Part part_of(const Hdf5Column& column) {
  const h5::TableFacts& facts = column.table.facts();
  return {.path = facts.path,
          .kind = facts.kind,
          .type = facts.type,
          .is_plain = !facts.has_missing && !facts.is_scaled,
          .row_shape = column.layout.row_shape,
          .columns = column.layout.columns};
}

/// Rows of a file that belong together by the data set that has the most bytes in a row; 0: any row costs
/// the same.
std::int64_t piece_of(const Hdf5Open& open) {
  std::int64_t most = 0, piece = 0, row_bytes = 0;
  for (const Hdf5Column& column : open.inputs) {
    const std::int64_t bytes = column.layout.columns * column.table.facts().element_bytes;
    row_bytes += bytes;
    if (bytes <= most) continue;
    most = bytes;
    piece = column.layout.piece;
  }
  if (piece == 0) return open.rows * row_bytes <= kSmallFileBytes ? open.rows : 0;
  const std::int64_t wanted =
      std::max(kSmallestPieceBytes / std::max<std::int64_t>(row_bytes, 1), open.rows / kMostPieces + 1);
  return std::min(open.rows, (std::max(wanted, piece) + piece - 1) / piece * piece);
}

struct FileLook {
  std::int64_t rows = 0;
  std::int64_t piece = 0;
  std::string parts;  ///< written; empty: as of the file before it
};

std::string look_at_files(const Hdf5Rows& rows, Range files) {
  std::string out, before;
  for (std::int64_t file = files.begin; file < files.end; ++file) {
    const Hdf5Open open = open_rows(rows, static_cast<std::size_t>(file));
    const Hdf5Parts parts = parts_of(open);
    Writer written;
    write_parts(written, parts.inputs);
    write_parts(written, parts.targets);
    const std::string now = written.take();
    out += text(open.rows, '\t', piece_of(open), '\t', now == before ? "" : now, '\n');
    before = now;
  }
  return out;
}

std::vector<FileLook> read_looks(const std::vector<std::string>& results) {
  std::vector<FileLook> looks;
  for (const std::string& result : results) {
    std::istringstream lines(result);
    for (std::string line; std::getline(lines, line);) {
      Reader in(line);
      FileLook look;
      look.rows = in.number();
      look.piece = in.number();
      look.parts = line.substr(text(look.rows, '\t', look.piece, '\t').size());
      looks.push_back(std::move(look));
    }
  }
  return looks;
}

Hdf5Parts read_all_parts(const std::string& written) {
  Reader in(written);
  Hdf5Parts parts;
  parts.inputs = read_parts(in);
  parts.targets = read_parts(in);
  return parts;
}

std::string part_text(const Hdf5Part& part) {
  std::string shape;
  for (const std::int64_t n : part.row_shape) shape += text(shape.empty() ? "" : " x ", n);
  return text(part.path, " with rows of ", shape, " ", part.type,
              part.is_plain ? "" : " (with missing values or scale factors)");
}

[[noreturn]] void fail_differing(const Hdf5Side& side, std::size_t file, const std::vector<Hdf5Part>& first,
                                 const std::vector<Hdf5Part>& other) {
  const std::size_t i = static_cast<std::size_t>(std::ranges::mismatch(first, other).in1 - first.begin());
  fail(ErrorKind::data, side.paths[file], ": has ", part_text(other.at(i)), ", but ", side.paths[0], " has ",
       part_text(first.at(i)), "; files of one data set may differ in their number of rows only");
}

void require_alike(const Hdf5Rows& rows, std::size_t file, const Hdf5Parts& first, const Hdf5Parts& other) {
  if (first.inputs != other.inputs) fail_differing(rows.inputs, file, first.inputs, other.inputs);
  if (first.targets != other.targets) fail_differing(rows.targets, file, first.targets, other.targets);
}

std::vector<std::int64_t> pieces_of(const std::vector<FileLook>& looks,
                                    const std::vector<std::int64_t>& firsts) {
  const bool all_alike = std::ranges::all_of(looks, [](const FileLook& look) { return look.piece == 0; });
  if (all_alike) return {};
  constexpr std::int64_t kRowsAlike = 4096;  // of a file whose rows cost the same everywhere
  const std::int64_t least = firsts.back() / kMostPieces + 1;
  std::vector<std::int64_t> pieces;
  for (std::size_t i = 0; i < looks.size(); ++i) {
    const std::int64_t piece = looks[i].piece == 0 ? kRowsAlike : looks[i].piece;
    const std::int64_t step = (std::max(least, piece) + piece - 1) / piece * piece;
    for (std::int64_t row = 0; row < looks[i].rows; row += step) pieces.push_back(firsts[i] + row);
  }
  return pieces;
}

}  // namespace

Hdf5Parts parts_of(const Hdf5Open& open) {
  Hdf5Parts parts;
  for (const Hdf5Column& column : open.inputs) parts.inputs.push_back(part_of(column));
  for (const Hdf5Column& column : open.targets) parts.targets.push_back(part_of(column));
  return parts;
}

Hdf5Look look_at(const Hdf5Rows& rows, const ShareWork& share) {
  const auto count = static_cast<std::int64_t>(rows.inputs.paths.size());
  const std::vector<Range> batches = runs_of({0, count}, kFilesPerTask);
  const std::vector<FileLook> looks =
      read_looks(share(static_cast<std::int64_t>(batches.size()), [&](std::int64_t task) {
        return look_at_files(rows, batches[static_cast<std::size_t>(task)]);
      }));
  require(static_cast<std::int64_t>(looks.size()) == count, ErrorKind::internal, "of ", count, " HDF5 files ",
          looks.size(), " were looked at");
  Hdf5Look look;
  look.parts = read_all_parts(looks[0].parts);
  std::string same = looks[0].parts;
  look.firsts.push_back(0);
  for (std::size_t i = 0; i < looks.size(); ++i) {
    if (!looks[i].parts.empty() && looks[i].parts != same) {
      require_alike(rows, i, look.parts, read_all_parts(looks[i].parts));
      same = looks[i].parts;
    }
    std::int64_t next = 0;
    require(!__builtin_add_overflow(look.firsts.back(), looks[i].rows, &next), ErrorKind::data,
            rows.inputs.paths[i], ": with those before it there are more rows than can be counted");
    look.firsts.push_back(next);
  }
  look.pieces = pieces_of(looks, look.firsts);
  return look;
}

}  // namespace trainer::data
