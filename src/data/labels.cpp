#include "labels.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kMostGuessedClasses = 1000;
constexpr std::int64_t kMostClasses = 1'000'000;

}  // namespace

std::int64_t count_classes(const Plan& plan, const Labels& labels) {
  const DataFacts& facts = plan.splits.front().facts;
  if (facts.targets > 0) return facts.targets;
  std::int64_t count = 0;
  for (const std::span<const std::int32_t> split : labels) {
    const auto [least, greatest] = std::minmax_element(split.begin(), split.end());
    require(*least >= 0, ErrorKind::data, "--data: ", facts.name, " has the label ", *least,
            "; classes are counted from 0 (for targets that are numbers say --task regression)");
    count = std::max<std::int64_t>(count, std::int64_t{*greatest} + 1);
  }
  require(count <= kMostClasses, ErrorKind::data, "--data: a label of ", count - 1, " would mean ", count,
          " classes; the limit is ", kMostClasses);
  require(count <= kMostGuessedClasses || plan.task == Task::classification, ErrorKind::data,
          "--data: labels up to ", count - 1,
          " may be classes or numbers; say --task classification or --task regression");
  return count;
}

std::string absent_classes(std::span<const std::int32_t> labels, std::int64_t classes) {
  constexpr int kMostNamed = 10;
  std::vector<bool> present(static_cast<std::size_t>(classes), false);
  for (const std::int32_t c : labels) present[static_cast<std::size_t>(c)] = true;
  std::string out;
  int named = 0;
  for (std::size_t c = 0; c < present.size() && named < kMostNamed; ++c) {
    if (present[c]) continue;
    out += text(out.empty() ? "" : ", ", c);
    ++named;
  }
  return out;
}

}  // namespace trainer::data
