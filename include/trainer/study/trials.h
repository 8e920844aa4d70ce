#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/study/space.h"

namespace trainer::study {

/// One training of a study: what is asked.
struct Trial {
  std::string id;          ///< "b256-p07-s2": the same in every run of the study
  std::int64_t batch = 0;  ///< rows; 0 in a search
  std::int64_t point = 0;  ///< of the search space
  std::int64_t rung = -1;  ///< of successive halving; -1: trained to the end
  bool measured = false;   ///< its seed is one of those that results are taken from, not that of the search
  std::uint64_t seed = 1;
  std::vector<double> places;  ///< of the point
  Settings settings;           ///< of the variables alone
};

/// What came of it. Times are those of the process that did it; all else is the same wherever it was done.
struct Record {
  std::string outcome;  ///< goal, budget, early_stopping, diverged, failed
  std::int64_t steps = 0, samples = 0, goal_step = -1, goal_samples = -1;
  std::int64_t goal_resolution = -1;  ///< steps from the evaluation before to the one that met the goal
  double goal_seconds = -1;
  double best = 0;  ///< of the study's metric; nan: none
  std::int64_t best_step = -1;
  double noise_scale = 0;
  double seconds = 0, compute = 0, communicate = 0, wait = 0, read = 0;
  std::string message;

  /// Trained to one of the ends that were asked for: neither diverged nor failed.
  bool ended() const { return outcome == "goal" || outcome == "budget" || outcome == "early_stopping"; }
  bool reached() const { return goal_step >= 0; }
};

using Records = std::map<std::string, Record>;

/// What a study looks for.
struct Aim {
  bool has_goal = false;          ///< fewest steps to it; else the best metric at the budget
  bool larger_is_better = false;  ///< of the metric
  /// Whether `a` is better than `b`.
  bool better(const Record& a, const Record& b) const;
};

/// How a search goes about.
struct SearchRules {
  std::int64_t points = 20;  ///< drawn first
  std::int64_t widenings =
      3;  ///< at most, by half as many points each; then a quarter as many about the best
  std::int64_t finalists = 2;  ///< that are measured
  std::int64_t seeds = 3;      ///< that each of them is measured with
  std::int64_t rungs = 1;      ///< of successive halving: 1, 1/3, 1/9 ... of the budget; 1: none
  std::uint64_t seed = 1;      ///< of the search; those of the measurements follow it
};

/// A point of the search, with the record that counts.
struct Point {
  std::int64_t number = 0;
  std::vector<double> places;
  std::int64_t rung = 0;  ///< the last one that it was let into
  Record record;
};

/// Where the search for the best settings at one batch size stands: a function of the records alone, so that
/// neither the order in which trials end nor a restart changes what is tried.
class Search {
 public:
  Search(const Space& space, const SearchRules& rules, const Aim& aim, std::int64_t batch,
         const Records& records);

  /// All trials that are known to be needed, done or not, in order.
  const std::vector<Trial>& trials() const { return trials_; }
  /// Nothing is left to do.
  bool is_complete() const { return complete_; }
  /// The points of the search, in order; empty when nothing is searched for.
  const std::vector<Point>& points() const { return points_; }
  /// The settings that the result is: of the finalists the best over their seeds. When is_complete().
  const std::vector<double>& best_places() const { return best_places_; }
  std::int64_t best_point() const { return best_point_; }
  /// The measurements of the best, by seed. When is_complete().
  const std::vector<Record>& measurements() const { return measurements_; }
  /// Variables whose best value lies on the edge of what was tried, or as near to it as points of the last
  /// wave lie; empty: none. When is_complete().
  const std::vector<std::string>& on_edge() const { return on_edge_; }
  std::int64_t widened() const { return widened_; }

 private:
  enum class Side { below, above };
  void search();
  bool run_wave(std::vector<Point> wave);
  std::vector<Point> first_wave() const;
  std::vector<Point> next_wave(std::size_t variable, Side side) const;
  std::vector<Point> last_wave() const;
  const Point& best() const;
  std::optional<Side> edge(const Point& point, std::size_t variable) const;
  std::optional<std::size_t> variable_on_edge() const;
  double last_half() const;
  void judge_edges(const Point& winner);
  void measure();
  const Record* add(Trial trial);
  std::string id(std::int64_t point) const;

  const Space& space_;
  SearchRules rules_;
  Aim aim_;
  std::int64_t batch_;
  const Records& records_;
  std::vector<Trial> trials_;
  std::vector<Point> points_;
  bool complete_ = false;
  std::int64_t widened_ = 0, best_point_ = 0;
  std::vector<double> best_places_;
  std::vector<Record> measurements_;
  std::vector<std::optional<double>> edges_;  // by variable: where the best lay on one before the last wave
  std::vector<std::string> on_edge_;
};

}  // namespace trainer::study
