#include "prediction_file.h"

#include <algorithm>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/h5/row_writer.h"

namespace trainer::train {
namespace {

bool is_csv(const std::string& path) { return path.ends_with(".csv"); }

/// RFC 4180.
std::string quoted(const std::string& value) {
  if (value.find_first_of(",\"\r\n") == std::string::npos) return value;
  std::string result = "\"";
  for (const char c : value) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

/// /predictions, of a classification also called /probabilities, and /classes; /deviation.
class Hdf5File final : public PredictionFile {
 public:
  explicit Hdf5File(const PredictionLayout& layout)
      : layout_(layout), writer_(layout.path, layout.rows, sets(layout), layout.attributes) {}

  void append(const PredictionBlock& block) override {
    std::size_t set = 0;
    writer_.write(set++, block.first, block.outputs);
    if (layout_.classification) {
      const std::vector<std::int64_t> classes(block.classes.begin(), block.classes.end());
      writer_.write(set++, block.first, classes);
    }
    if (layout_.deviation) writer_.write(set++, block.first, block.deviation);
  }
  void close() override { writer_.finish(); }

 private:
  static std::vector<h5::RowSet> sets(const PredictionLayout& layout) {
    std::vector<h5::RowSet> list = {{.path = "/predictions", .columns = layout.outputs}};
    if (!layout.target_names.empty()) list.back().attributes["target_names"] = layout.target_names;
    if (layout.classification) {
      list.back().also = "/probabilities";
      list.push_back({.path = "/classes", .type = h5::RowSet::Type::i64});
      if (!layout.class_names.empty()) list.back().attributes["class_names"] = layout.class_names;
    }
    if (layout.deviation) list.push_back({.path = "/deviation", .columns = layout.outputs});
    return list;
  }

  PredictionLayout layout_;
  h5::RowWriter writer_;
};

/// row,class,p_<class>...,sd_<class>... or row,<target>...,sd_<target>...
class CsvTable final : public PredictionFile {
 public:
  CsvTable(const PredictionLayout& layout, const Team& team)
      : layout_(layout), team_(team), file_(layout.path) {
    put(header());
  }

  void append(const PredictionBlock& block) override {
    const auto rows = static_cast<std::int64_t>(block.outputs.size()) / layout_.outputs;
    const std::int64_t pieces = (rows + kPiece - 1) / kPiece;
    std::vector<std::string> texts(static_cast<std::size_t>(pieces));
    team_.run(pieces, [&](std::int64_t piece, int) {
      std::string& mine = texts[static_cast<std::size_t>(piece)];
      for (std::int64_t r = piece * kPiece; r < std::min(rows, (piece + 1) * kPiece); ++r)
        add_row(block, r, mine);
    });
    for (const std::string& piece : texts) put(piece);
  }
  void close() override { file_.commit(); }

 private:
  static constexpr std::int64_t kPiece = 256;

  void put(const std::string& characters) { file_.append(std::as_bytes(std::span(characters))); }

  /// The number where there is no name; -1: no class.
  std::string class_name(std::int64_t number) const {
    const auto at = static_cast<std::size_t>(number);
    return number >= 0 && at < layout_.class_names.size() ? layout_.class_names[at] : std::to_string(number);
  }

  std::string target_name(std::int64_t number) const {
    if (layout_.target_names.empty()) return text("target_", number);
    return layout_.target_names[static_cast<std::size_t>(number)];
  }

  std::string header() const {
    std::string probabilities, deviations;
    for (std::int64_t k = 0; k < layout_.outputs; ++k) {
      // One output is the probability of class 1.
      const std::string name =
          layout_.classification ? class_name(layout_.outputs == 1 ? 1 : k) : target_name(k);
      probabilities += "," + quoted((layout_.classification ? "p_" : "") + name);
      if (layout_.deviation) deviations += "," + quoted("sd_" + name);
    }
    return (layout_.classification ? "row,class" : "row") + probabilities + deviations + "\n";
  }
  void add_row(const PredictionBlock& block, std::int64_t row, std::string& line) const {
    line += std::to_string(block.first + row);
    if (layout_.classification)
      line +=
          "," + quoted(class_name(static_cast<std::int64_t>(block.classes[static_cast<std::size_t>(row)])));
    for (const auto& values : {block.outputs, block.deviation}) {
      if (values.empty()) continue;
      for (const float value : values.subspan(static_cast<std::size_t>(row * layout_.outputs),
                                              static_cast<std::size_t>(layout_.outputs)))
        line += "," + format_number(value);
    }
    line += '\n';
  }

  PredictionLayout layout_;
  const Team& team_;
  h5::AtomicFile file_;
};

}  // namespace

void require_prediction_path(const std::string& path) {
  require(is_csv(path) || path.ends_with(".h5") || path.ends_with(".hdf5"), ErrorKind::usage, "--out ", path,
          ": expected a file that ends in .h5, .hdf5 or .csv, which says how predictions are written");
}

std::unique_ptr<PredictionFile> PredictionFile::create(const PredictionLayout& layout, const Team& team) {
  require_prediction_path(layout.path);
  if (is_csv(layout.path)) return std::make_unique<CsvTable>(layout, team);
  return std::make_unique<Hdf5File>(layout);
}

}  // namespace trainer::train
