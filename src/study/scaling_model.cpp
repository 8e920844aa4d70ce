#include "trainer/study/scaling_model.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "trainer/comm/tree_exchange.h"

namespace trainer::study {
namespace {

/// y = a * x1 + b * x2, each as a share of what the whole step took.
struct Equation {
  double x1 = 0, x2 = 0, y = 0;
};

double squares_of(std::span<const Equation> equations, double a, double b) {
  double sum = 0;
  for (const Equation& one : equations) sum += std::pow(a * one.x1 + b * one.x2 - one.y, 2);
  return sum;
}

/// Least squares with a, b >= 0: of two unknowns the least lies where both are free, or where one is 0.
std::pair<double, double> solve(std::span<const Equation> equations, bool both) {
  double s11 = 0, s12 = 0, s22 = 0, s1y = 0, s2y = 0;
  for (const Equation& one : equations) {
    s11 += one.x1 * one.x1;
    s12 += one.x1 * one.x2;
    s22 += one.x2 * one.x2;
    s1y += one.x1 * one.y;
    s2y += one.x2 * one.y;
  }
  const double determinant = s11 * s22 - s12 * s12;
  const double only_a = s11 > 0 ? std::max(0.0, s1y / s11) : 0,
               only_b = s22 > 0 ? std::max(0.0, s2y / s22) : 0;
  if (!both) return {0, only_b};
  constexpr double kSingular = 1e-9;  // of the product of the diagonal
  if (determinant > kSingular * s11 * s22) {
    const double a = (s22 * s1y - s12 * s2y) / determinant, b = (s11 * s2y - s12 * s1y) / determinant;
    if (a >= 0 && b >= 0) return {a, b};
  }
  return squares_of(equations, only_a, 0) < squares_of(equations, 0, only_b) ? std::pair{only_a, 0.0}
                                                                             : std::pair{0.0, only_b};
}

}  // namespace

StepWork work_of(const NetSize& net, std::int64_t batch, std::int64_t shards, std::int64_t ranks) {
  const comm::TreeDeal deal(shards, static_cast<int>(ranks));
  std::int64_t most = 0, pieces = 0;
  for (const Range& run : deal.runs) most = std::max(most, run.size());
  for (const auto& list : deal.pieces) pieces += static_cast<std::int64_t>(list.size());
  const double others = static_cast<double>(ranks - 1), n = static_cast<double>(ranks);
  const double sums = static_cast<double>(pieces) / n;  // of a rank
  StepWork work;
  work.ranks = ranks;
  work.rows = static_cast<double>(batch) * static_cast<double>(most) / static_cast<double>(shards);
  work.messages =
      others * (static_cast<double>(net.layers) * (sums + 1) + 3 + 2 * static_cast<double>(net.batch_norms));
  work.bytes = 4 * static_cast<double>(net.floats) * others / n * (sums + 1);
  return work;
}

std::optional<ScalingModel> fit_scaling(std::span<const StepCost> costs) {
  std::vector<Equation> alone, together, exchange;
  std::set<std::int64_t> ranks;
  for (const StepCost& cost : costs) {
    const double all = cost.busy + cost.communicate;
    (cost.work.ranks == 1 ? alone : together).push_back({1 / all, cost.work.rows / all, cost.busy / all});
    if (cost.work.ranks == 1) continue;
    ranks.insert(cost.work.ranks);
    exchange.push_back({cost.work.messages / all, cost.work.bytes / all, cost.communicate / all});
  }
  if (ranks.empty()) return std::nullopt;
  ScalingModel model;
  // On one number of ranks messages and bytes are always in the same proportion.
  model.tells_messages_from_bytes = ranks.size() > 1;
  std::tie(model.alone.fixed, model.alone.per_row) = solve(alone, true);
  std::tie(model.together.fixed, model.together.per_row) = solve(together, true);
  std::tie(model.latency, model.per_byte) = solve(exchange, model.tells_messages_from_bytes);
  for (const StepCost& cost : costs) {
    const double all = cost.busy + cost.communicate;
    model.deviation = std::max(model.deviation, std::abs(model.seconds(cost.work) / all - 1));
  }
  return model;
}

}  // namespace trainer::study
