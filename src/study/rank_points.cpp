#include "rank_points.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "trainer/comm/tree_exchange.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/report/csv_table.h"

namespace trainer::study {
namespace {

const std::vector<std::string> kKinds = {"strong", "weak", "batch", "goal"};

/// The members that are numbers, by the names of their columns.
template <class Point, class Visit>
void each_number(Point& point, const Visit& visit) {
  visit("ranks", point.ranks);
  visit("batch", point.batch);
  visit("shards", point.shards);
  visit("steps", point.steps);
  visit("seconds_per_step", point.seconds);
  visit("samples_per_second", point.samples_per_second);
  visit("efficiency", point.efficiency);
  visit("compute", point.compute);
  visit("communicate", point.communicate);
  visit("wait", point.wait);
  visit("read", point.read);
  visit("bytes", point.bytes);
  visit("spread", point.spread);
  visit("predicted", point.predicted);
  visit("messages", point.messages);
  visit("hosts", point.hosts);
  visit("threads", point.threads);
  visit("crowded", point.crowded);
}

report::CsvCell cell_of(double value) {
  return std::isnan(value) ? report::CsvCell{} : report::CsvCell{value};
}
report::CsvCell cell_of(std::int64_t value) { return value; }
report::CsvCell cell_of(bool value) { return std::int64_t{value}; }

/// False when the cell is none that cell_of() gives.
bool take(const std::string& cell, double& value) {
  const auto number = parse_number(cell);
  value = number.value_or(std::nan(""));
  return number || cell.empty();
}
bool take(const std::string& cell, std::int64_t& value) {
  value = parse_integer(cell).value_or(-1);
  return value >= 0;
}
bool take(const std::string& cell, bool& value) {
  value = cell == "1";
  return value || cell == "0";
}

}  // namespace

StepCost RankPoint::cost() const {
  StepWork work = work_of({}, batch, shards, ranks);
  work.messages = messages;
  work.bytes = bytes;
  return {work, compute + wait + read, communicate};
}

void write_points(const std::string& path, std::span<const RankPoint> points) {
  std::vector<std::string> columns = {"kind"};
  const RankPoint any;
  each_number(any, [&](const char* name, auto) { columns.emplace_back(name); });
  columns.emplace_back("weights");
  auto file = report::CsvFile::create(path + ".new", columns);
  for (const RankPoint& point : points) {
    std::vector<report::CsvCell> cells = {point.kind};
    each_number(point, [&](const char*, auto value) { cells.push_back(cell_of(value)); });
    cells.emplace_back(point.weights);
    file.append(cells);
  }
  file.flush();
  std::error_code error;
  std::filesystem::rename(path + ".new", path, error);
  require(!error, ErrorKind::data, "cannot rename ", path, ".new: ", error.message());
}

std::vector<RankPoint> read_points(const std::string& path) {
  const auto table = report::CsvTable::read(path);
  std::vector<RankPoint> points(static_cast<std::size_t>(table.rows()));
  for (std::size_t i = 0; i < points.size(); ++i) {
    RankPoint& point = points[i];
    point.kind = table.texts("kind")[i];
    point.weights = table.texts("weights")[i];
    each_number(point, [&](const char* name, auto& value) {
      const std::string& cell = table.texts(name)[i];
      require(take(cell, value), ErrorKind::data, path, ": row ", i + 1, ", column ", name, ": \"", cell,
              "\" is no number; measure all anew: the command of the study with --resume");
    });
    constexpr std::int64_t kMost = std::int64_t{1} << 20;  // of ranks and shards
    const bool known = std::ranges::find(kKinds, point.kind) != kKinds.end();
    require(known && point.ranks >= 1 && point.ranks <= kMost && point.shards >= 1 && point.shards <= kMost &&
                point.batch >= 1 && point.seconds > 0 && std::isfinite(point.seconds),
            ErrorKind::data, path, ": row ", i + 1, " is no point of a study of ranks");
  }
  return points;
}

std::vector<std::pair<std::string, std::vector<double>>> number_columns(std::span<const RankPoint> points) {
  std::vector<std::pair<std::string, std::vector<double>>> columns = {{"kind", {}}};
  for (const RankPoint& point : points) {
    columns[0].second.push_back(static_cast<double>(std::ranges::find(kKinds, point.kind) - kKinds.begin()));
    std::size_t column = 1;
    each_number(point, [&](const char* name, auto value) {
      if (columns.size() == column) columns.emplace_back(name, std::vector<double>{});
      columns[column++].second.push_back(static_cast<double>(value));
    });
  }
  return columns;
}

}  // namespace trainer::study
