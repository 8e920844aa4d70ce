#include "csv_source.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "csv_decoder.h"
#include "csv_file.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// Writes decoded rows into a store, one after the other.
class Writer {
 public:
  Writer(const CsvData& data, const RowStore& store)
      : facts_(data.facts), greatest_class_(data.greatest_class), store_(store) {
    require(store.bytes == nullptr, ErrorKind::internal, "rows of text were asked for as bytes");
    std::int64_t inputs = 0;
    std::int64_t targets = 0;
    for (const CsvColumn& column : data.table.used) {
      columns_.push_back({&column, column.target ? targets++ : inputs});
      if (!column.target) inputs += column.categorical ? std::ssize(column.values) : 1;
    }
  }

  /// Of the row that comes; nothing is written for rows that are not begun.
  void begin(std::int64_t row, std::int64_t line) {
    line_ = line;
    floats_ = store_.floats != nullptr ? store_.floats + row * facts_.features : nullptr;
    classes_ = store_.classes != nullptr ? store_.classes + row : nullptr;
    values_ = store_.values != nullptr ? store_.values + row * facts_.targets : nullptr;
    if (floats_ != nullptr) std::fill_n(floats_, facts_.features, 0.0f);
  }
  void skip() { floats_ = values_ = nullptr, classes_ = nullptr; }

  void number(std::size_t i, const Field& field) {
    const auto& [column, place] = columns_[i];
    if (!column->target) {
      if (floats_ != nullptr) floats_[place] = static_cast<float>(field.value);
    } else if (values_ != nullptr) {
      values_[place] = static_cast<float>(field.value);
    } else if (classes_ != nullptr) {
      const bool is_class =
          field.value >= 0 && field.value <= greatest_class_ && field.value == std::floor(field.value);
      if (!is_class)
        throw CsvFault{line_, column->place, text(field.value, " is no class; it was one before")};
      *classes_ = static_cast<std::int32_t>(field.value);
    }
  }
  void index(std::size_t i, std::int32_t index) {
    const auto& [column, place] = columns_[i];
    if (!column->target) {
      if (floats_ == nullptr) return;
      if (index == CsvDecoder::kNoCategory)
        std::fill_n(floats_ + place, column->values.size(), std::numeric_limits<float>::quiet_NaN());
      else
        floats_[place + index] = 1.0f;
    } else if (classes_ != nullptr) {
      *classes_ = index;
    }
  }
  void group(std::string_view) {}  // known since the first look
  void category(std::size_t, std::string_view) {
    fail(ErrorKind::internal, "a column's categories are not known");
  }

 private:
  struct Target {
    const CsvColumn* column;
    std::int64_t place;  ///< of the first input, or of the target
  };
  const DataFacts& facts_;
  double greatest_class_;
  RowStore store_;
  std::vector<Target> columns_;
  std::int64_t line_ = 0;
  float* floats_ = nullptr;
  std::int32_t* classes_ = nullptr;
  float* values_ = nullptr;
};

/// Reads ranges of rows; one thread at a time.
class Rows {
 public:
  explicit Rows(CsvData data) : data_(std::move(data)), decoder_(data_.table) {}

  /// Source::place. Reads from the mark before the row; thread-safe.
  std::string place(std::int64_t wanted) const {
    const CsvMark& mark = *mark_of(wanted);
    const CsvFile file(data_.files[static_cast<std::size_t>(mark.file)].path);
    CsvRowReader reader = file.rows_from(mark.offset, mark.line);
    CsvDecoder decoder(data_.table);
    Writer nothing(data_, {});
    nothing.skip();
    CsvRow text;
    for (std::int64_t row = mark.row; reader.next(text);)
      if (decoder.decode(text, nothing) == CsvDecoder::Outcome::kept && row++ == wanted)
        return trainer::text(file.path(), ": line ", text.line);
    return trainer::text(file.path(), ": row ", wanted);  // the file is another by now
  }

  void read(Range range, const RowStore& store) {
    if (range.size() == 0) return;
    Writer writer(data_, store);
    std::vector<CsvMark>::const_iterator mark = mark_of(range.begin);
    for (std::int64_t row = range.begin; row < range.end;) {
      const std::vector<CsvMark>::const_iterator of_next_file =
          std::upper_bound(mark, data_.marks.cend(), mark->file,
                           [](std::int64_t file_index, const CsvMark& m) { return file_index < m.file; });
      const std::int64_t rows_end = of_next_file != data_.marks.end() ? of_next_file->row : data_.facts.rows;
      read_file(*mark, {row, std::min(range.end, rows_end)}, range.begin, writer);
      row = std::min(range.end, rows_end);
      mark = of_next_file;
    }
  }

 private:
  /// The last one at or before a row.
  std::vector<CsvMark>::const_iterator mark_of(std::int64_t wanted) const {
    return std::upper_bound(data_.marks.begin(), data_.marks.end(), wanted,
                            [](std::int64_t row, const CsvMark& m) { return row < m.row; }) -
           1;  // row 0 has one
  }

  /// Rows of one file, reading from `mark`; row `first` goes to the store's front.
  void read_file(const CsvMark& mark, Range rows, std::int64_t first, Writer& writer) {
    const CsvFileFacts& facts = data_.files[static_cast<std::size_t>(mark.file)];
    const CsvFile& file = open(facts);
    CsvRowReader reader = file.rows_from(mark.offset, mark.line);
    CsvRow text;
    try {
      for (std::int64_t row = mark.row; row < rows.end;) {
        if (!reader.next(text)) fail_changed(facts);
        if (row < rows.begin) {
          writer.skip();
        } else {
          writer.begin(row - first, text.line);
        }
        if (decoder_.decode(text, writer) == CsvDecoder::Outcome::kept) ++row;
      }
    } catch (const CsvFault& fault) {
      fail_at(facts.path, data_.table, fault);
    }
    file.require_unchanged();
  }

  [[noreturn]] void fail_changed(const CsvFileFacts& facts) const {
    fail(ErrorKind::data, facts.path, ": holds fewer rows than it did; leave data alone while it is used");
  }

  const CsvFile& open(const CsvFileFacts& facts) {
    if (file_ != nullptr && file_->path() == facts.path) {
      file_->require_unchanged();
      return *file_;
    }
    file_ = std::make_unique<CsvFile>(facts.path);
    const auto known = modified_.emplace(facts.path, file_->modified()).first;
    require(file_->bytes() == facts.bytes && file_->modified() == known->second, ErrorKind::data, facts.path,
            ": changed since it was first read (", file_->bytes(), " bytes, ", facts.bytes,
            " before); leave data alone while it is used");
    return *file_;
  }

  CsvData data_;
  CsvDecoder decoder_;
  std::unique_ptr<CsvFile> file_;  ///< the one used last
  std::map<std::string, std::int64_t> modified_;
};

}  // namespace

std::int64_t csv_features(const CsvTable& table) {
  std::int64_t features = 0;
  for (const CsvColumn& column : table.used)
    if (!column.target) features += column.categorical ? std::ssize(column.values) : 1;
  return features;
}

Source csv_source(CsvData data) {
  Source source;
  source.facts = data.facts;
  source.any_rows = std::none_of(data.files.begin(), data.files.end(),
                                 [](const CsvFileFacts& file) { return file.compressed; });
  std::int64_t file = -1;
  for (const CsvMark& mark : data.marks) {
    source.pieces.push_back(mark.row);
    if (mark.file != file) source.files.push_back(mark.row);
    file = mark.file;
  }
  const auto rows = std::make_shared<Rows>(std::move(data));
  source.place = [rows](std::int64_t row) { return rows->place(row); };
  source.read = [rows](Range range, const RowStore& store) { rows->read(range, store); };
  return source;
}

}  // namespace trainer::data
