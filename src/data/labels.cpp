#include "labels.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kMostGuessedClasses = 1000;
constexpr std::int64_t kMostClasses = 1'000'000;

}  // namespace

std::vector<std::int64_t> count_labels(std::span<const std::int32_t> labels, const std::string& name) {
  std::vector<std::int64_t> counts;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const std::int32_t label = labels[row];
    require(label >= 0, ErrorKind::data, "--data: ", name, " has the label ", label,
            "; classes are counted from 0 (for targets that are numbers say --task regression)");
    require(label < kMostClasses, ErrorKind::data, "--data: a label of ", label, " would mean ",
            std::int64_t{label} + 1, " classes; the limit is ", kMostClasses);
    if (static_cast<std::size_t>(label) >= counts.size()) counts.resize(static_cast<std::size_t>(label) + 1);
    ++counts[static_cast<std::size_t>(label)];
  }
  return counts;
}

std::int64_t count_classes(const Plan& plan, std::span<const std::vector<std::int64_t>> counts) {
  const DataFacts& facts = plan.splits.front().facts;
  std::int64_t count = 0;
  for (const auto& split : counts) count = std::max(count, static_cast<std::int64_t>(split.size()));
  if (facts.targets > 0) {
    require(count <= facts.targets, ErrorKind::data, "--data: ", facts.name, " has the label ", count - 1,
            ", but there are ", facts.targets, " classes, counted from 0");
    return facts.targets;
  }
  require(count <= kMostGuessedClasses || plan.task == Task::classification, ErrorKind::data,
          "--data: labels up to ", count - 1,
          " may be classes or numbers; say --task classification or --task regression");
  return count;
}

std::string absent_classes(const std::vector<std::int64_t>& counts, std::int64_t classes) {
  constexpr int kMostNamed = 10;
  std::string out;
  int named = 0;
  for (std::int64_t c = 0; c < classes && named < kMostNamed; ++c) {
    if (c < static_cast<std::int64_t>(counts.size()) && counts[static_cast<std::size_t>(c)] > 0) continue;
    out += text(out.empty() ? "" : ", ", c);
    ++named;
  }
  return out;
}

}  // namespace trainer::data
