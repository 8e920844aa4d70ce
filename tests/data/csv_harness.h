#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "csv_plan.h"
#include "temporary_folder.h"
#include "trainer/core/error.h"

namespace trainer::data {

/// Does all tasks here.
inline std::vector<std::string> share_here(std::int64_t count,
                                           const std::function<std::string(std::int64_t)>& task) {
  std::vector<std::string> results;
  for (std::int64_t i = 0; i < count; ++i) results.push_back(task(i));
  return results;
}

/// What tests ask for.
struct Asked {
  std::string task = {};
  std::string target_columns = {};
  std::string missing = "error";
  std::vector<std::string> class_names = {};
  std::string encoding = {};
  bool without_targets = false;
  std::string inputs = {};
  std::string groups = {};

  Request request() const {
    Request out;
    out.task = task;
    out.target_columns = target_columns;
    out.missing = missing;
    out.class_names = class_names;
    out.encoding = encoding;
    out.without_targets = without_targets;
    out.inputs = inputs;
    out.groups = groups;
    return out;
  }
};

/// A plan and all its rows.
struct CsvContent {
  DataFacts facts;
  std::string origin = {};
  std::vector<float> inputs = {};
  std::vector<std::int32_t> classes = {};
  std::vector<float> values = {};

  bool operator==(const CsvContent& other) const {
    return facts.rows == other.facts.rows && facts.features == other.facts.features &&
           facts.kind == other.facts.kind && facts.targets == other.facts.targets &&
           facts.class_names == other.facts.class_names && facts.encoding == other.facts.encoding &&
           origin == other.origin && inputs == other.inputs && classes == other.classes &&
           values == other.values;
  }
};

class CsvTest : public testing::Test {
 protected:
  std::string write(const std::string& bytes, const std::string& name = "table.csv") {
    const std::string path = folder_.file(name);
    std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
    return path;
  }

  static constexpr std::int64_t kPiece = 1 << 20;

  static CsvContent content(const std::vector<std::string>& paths, const Asked& asked = {},
                            std::int64_t piece_bytes = kPiece) {
    Plan plan = csv_plan_in_pieces(paths, asked.request(), share_here, piece_bytes);
    const Source& source = plan.splits.front();
    CsvContent out{.facts = source.facts, .origin = plan.origin};
    read(source, {0, source.facts.rows}, out);
    return out;
  }

  /// Rows of `source` into `out`.
  static void read(const Source& source, Range rows, CsvContent& out) {
    const DataFacts& facts = source.facts;
    const auto count = static_cast<std::size_t>(rows.size());
    out.inputs.assign(count * static_cast<std::size_t>(facts.features), -77.0f);
    RowStore store{.floats = out.inputs.data()};
    if (facts.kind == TargetKind::classes) {
      out.classes.assign(count, -77);
      store.classes = out.classes.data();
    }
    if (facts.kind == TargetKind::values) {
      out.values.assign(count * static_cast<std::size_t>(facts.targets), -77.0f);
      store.values = out.values.data();
    }
    source.read(rows, store);
  }

  CsvContent content_of(const std::string& bytes, const Asked& asked = {},
                        std::int64_t piece_bytes = kPiece) {
    return content({write(bytes)}, asked, piece_bytes);
  }

  /// The message of the Error that opening and reading `bytes` must end with.
  std::string error_of(const std::string& bytes, const Asked& asked = {}, ErrorKind kind = ErrorKind::data,
                       std::int64_t piece_bytes = kPiece) {
    try {
      content_of(bytes, asked, piece_bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return error.what();
    }
    ADD_FAILURE() << "nothing was thrown for " << bytes.substr(0, 200);
    return "";
  }

  static void expect_says(const std::string& message, const std::vector<std::string>& parts) {
    for (const std::string& part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "' does not say '" << part << "'";
  }

  TemporaryFolder folder_;
};

using Floats = std::vector<float>;
using Classes = std::vector<std::int32_t>;
using Names = std::vector<std::string>;

}  // namespace trainer::data
