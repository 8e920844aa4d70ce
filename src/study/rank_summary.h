#pragma once

// What the points of a study of ranks say together. Private to this room.

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "rank_points.h"
#include "trainer/study/scaling_model.h"

namespace trainer::study {

/// Of a study of batch sizes: the mean number of steps to its goal.
struct StepsToGoal {
  std::int64_t batch = 0;
  double steps = 0;
};

struct RankSummary {
  std::vector<RankPoint> points;      ///< measured and predicted
  std::optional<ScalingModel> model;  ///< of the measured ones
  std::vector<std::string> advice;    ///< sentences
};

/// The number of ranks, as often doubled, that predictions reach.
inline constexpr int kDoublings = 4;

/// So many numbers of ranks, one among them, must be measured before others are predicted: any model goes
/// through two.
inline constexpr std::int64_t kLeastCounts = 3;

/// samples_per_second and efficiency, against the point of the same kind on one rank.
void set_rates(std::vector<RankPoint>& points);

/// Adds the points that the model predicts: of each kind for 2, 4, 8, 16 times the ranks, and with `goal` the
/// soonest way to it at every number of ranks. Nothing where fewer than kLeastCounts numbers of ranks
/// were measured.
void predict(std::vector<RankPoint>& points, const NetSize& net, std::span<const StepsToGoal> goal);

/// The sentence on a study that is not at its end.
std::string not_complete(const std::string& reason);

RankSummary summarise_ranks(std::vector<RankPoint> points);
/// A row a point, the first row the heading: how fast; where the time of a step goes; the way to the goal.
using Rows = std::vector<std::vector<std::string>>;
Rows speed_table(const RankSummary& summary);
Rows time_table(const RankSummary& summary);
Rows goal_table(const RankSummary& summary);
/// The tables and the advice, for a terminal.
std::string text_of(const RankSummary& summary);
/// summary.json.
std::string json_of(const RankSummary& summary);

/// The page, as write_study_report(). `poll`: called while pictures are drawn (Communicator::poll()).
std::string write_rank_page(const RankSummary& summary, const std::string& folder, const std::string& page,
                            const std::string& figures, const std::function<void()>& poll = {});

}  // namespace trainer::study
