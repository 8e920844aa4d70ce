#include "trainer/study/trials.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>
#include <utility>

namespace trainer::study {
namespace {

std::string digits(const char* format, std::int64_t number) {
  char buffer[40];
  std::snprintf(buffer, sizeof(buffer), format, static_cast<long long>(number));
  return buffer;
}

/// The share of trials that a rung of successive halving lets go on is one in so many.
constexpr std::int64_t kKeepOneOf = 3;

}  // namespace

bool Aim::better(const Record& a, const Record& b) const {
  if (a.ended() != b.ended()) return a.ended();
  if (has_goal && a.reached() != b.reached()) return a.reached();
  if (has_goal && a.reached() && a.goal_step != b.goal_step) return a.goal_step < b.goal_step;
  if (std::isnan(a.best) || std::isnan(b.best)) return !std::isnan(a.best) && std::isnan(b.best);
  return larger_is_better ? a.best > b.best : a.best < b.best;
}

Search::Search(const Space& space, const SearchRules& rules, const Aim& aim, std::int64_t batch,
               const Records& records)
    : space_(space), rules_(rules), aim_(aim), batch_(batch), records_(records) {
  search();
}

std::string Search::id(std::int64_t point) const {
  return (batch_ > 0 ? digits("b%lld-", batch_) : "") + digits("p%02lld", point);
}

/// The trial's record; null as long as there is none.
const Record* Search::add(Trial trial) {
  trial.batch = batch_;
  trial.settings = space_.settings(trial.places);
  const auto found = records_.find(trial.id);
  trials_.push_back(std::move(trial));
  return found == records_.end() ? nullptr : &found->second;
}

std::vector<Point> Search::first_wave() const {
  std::int64_t count = rules_.points, stride = 1;
  if (space_.is_grid() && space_.combinations() <= count) {
    count = space_.combinations();
  } else if (space_.is_grid()) {  // some of them, all over the grid
    constexpr double kGoldenSection = 0.618;
    stride =
        std::max<std::int64_t>(1, std::llround(kGoldenSection * static_cast<double>(space_.combinations())));
    while (std::gcd(stride, space_.combinations()) != 1) ++stride;
  }
  std::vector<Point> wave;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t number = space_.is_grid() ? i * stride % space_.combinations() : i;
    wave.push_back({number, space_.places(number, rules_.seed), 0, {}});
  }
  return wave;
}

/// Half as many points again, in a stretch half as wide as the range beyond its edge.
std::vector<Point> Search::next_wave(std::size_t variable, Side side) const {
  const bool above = side == Side::above;
  double edge = above ? 1 : 0;
  for (const Point& point : points_)
    edge = above ? std::max(edge, point.places[variable]) : std::min(edge, point.places[variable]);
  const auto begin = static_cast<std::int64_t>(points_.size());
  std::vector<Point> wave;
  for (std::int64_t number = begin; number < begin + std::max<std::int64_t>(2, rules_.points / 2); ++number) {
    Point point{number, space_.places(number, rules_.seed), 0, {}};
    const double within = 0.5 * point.places[variable];
    point.places[variable] = above ? edge + within : edge - within;
    wave.push_back(std::move(point));
  }
  return wave;
}

/// How far from the best the points of the last wave may lie: as far as neighbours are apart.
double Search::last_half() const {
  return std::pow(static_cast<double>(rules_.points), -1.0 / static_cast<double>(space_.variables().size()));
}

/// A quarter as many points again in a box about the best, inside of what was tried: what the search finds is
/// then no coarser than what it measures.
std::vector<Point> Search::last_wave() const {
  const auto begin = static_cast<std::int64_t>(points_.size());
  const Point& centre = best();
  const double half = last_half();
  std::vector<Point> wave;
  for (std::int64_t number = begin; number < begin + std::max<std::int64_t>(2, rules_.points / 4); ++number) {
    Point point{number, space_.places(number, rules_.seed), 0, {}};
    for (std::size_t i = 0; i < centre.places.size(); ++i) {
      const auto ends = std::ranges::minmax(points_, {}, [&](const Point& p) { return p.places[i]; });
      const double low = ends.min.places[i], high = ends.max.places[i];
      const double middle =
          high - low > 2 * half ? std::clamp(centre.places[i], low + half, high - half) : (low + high) / 2;
      point.places[i] =
          space_.variables()[i].is_range() ? middle + half * (2 * point.places[i] - 1) : centre.places[i];
    }
    wave.push_back(std::move(point));
  }
  return wave;
}

/// Successive halving (Jamieson, Talwalkar 2016), of one rung when it is off. False as long as a trial is not
/// done.
bool Search::run_wave(std::vector<Point> wave) {
  std::vector<Point> running = std::move(wave);
  for (std::int64_t rung = 0;; ++rung) {
    const bool last = rung == rules_.rungs - 1;
    bool done = true;
    for (Point& point : running) {
      Trial trial;
      trial.id = id(point.number) + (last ? "" : digits("-r%lld", rung));
      trial.point = point.number;
      trial.rung = last ? -1 : rung;
      trial.seed = rules_.seed;
      trial.places = point.places;
      point.rung = rung;
      if (const Record* record = add(std::move(trial)))
        point.record = *record;
      else
        done = false;
    }
    if (!done) return false;
    std::ranges::stable_sort(running,
                             [&](const Point& a, const Point& b) { return aim_.better(a.record, b.record); });
    const auto kept = last ? std::ptrdiff_t{0}
                           : static_cast<std::ptrdiff_t>(
                                 (static_cast<std::int64_t>(running.size()) + kKeepOneOf - 1) / kKeepOneOf);
    points_.insert(points_.end(), running.begin() + kept, running.end());
    if (last) break;
    running.resize(static_cast<std::size_t>(kept));
  }
  std::ranges::sort(points_, {}, &Point::number);
  return true;
}

const Point& Search::best() const {
  return *std::ranges::max_element(points_, [&](const Point& a, const Point& b) {
    if (a.rung != b.rung) return a.rung < b.rung;
    if (aim_.better(b.record, a.record)) return true;
    return !aim_.better(a.record, b.record) && a.number > b.number;
  });
}

/// On which side a point lies outermost of all that was tried, unless another is as soon at the goal.
std::optional<Search::Side> Search::edge(const Point& point, std::size_t variable) const {
  if (!space_.variables()[variable].is_range()) return std::nullopt;
  const auto ends = std::ranges::minmax(points_, {}, [&](const Point& p) { return p.places[variable]; });
  const bool least = point.number == ends.min.number, most = point.number == ends.max.number;
  if (!least && !most) return std::nullopt;
  const auto as_good = [&](const Point& p) {
    return p.number != point.number && p.rung == point.rung && p.record.reached() &&
           p.record.goal_step == point.record.goal_step;
  };
  if (point.record.reached() && std::ranges::any_of(points_, as_good)) return std::nullopt;
  return least ? Side::below : Side::above;
}

/// The variable whose range is to be widened. Where nothing went well rates were too large, whatever is best.
std::optional<std::size_t> Search::variable_on_edge() const {
  const auto& variables = space_.variables();
  const auto rate = std::ranges::find(variables, "lr", &Variable::name);
  if (!best().record.ended() && rate != variables.end() && rate->is_range())
    return static_cast<std::size_t>(rate - variables.begin());
  for (std::size_t i = 0; i < variables.size(); ++i)
    if (edge(best(), i)) return i;
  return std::nullopt;
}

void Search::search() {
  if (!space_.is_empty()) {
    if (!run_wave(first_wave())) return;
    for (; widened_ < rules_.widenings; ++widened_) {
      const auto variable = variable_on_edge();
      if (!variable) break;
      const Side side = best().record.ended() ? edge(best(), *variable).value_or(Side::below) : Side::below;
      if (!run_wave(next_wave(*variable, side))) return;
    }
    for (std::size_t i = 0; i < space_.variables().size(); ++i)
      edges_.push_back(edge(best(), i) ? std::optional(best().places[i]) : std::nullopt);
    if (!space_.is_grid() && !run_wave(last_wave())) return;
  }
  measure();
}

/// The last wave lies inside of what was tried: beside an edge is on it still.
void Search::judge_edges(const Point& winner) {
  for (std::size_t i = 0; i < space_.variables().size(); ++i) {
    const bool nothing_went_well = !winner.record.ended() && space_.variables()[i].name == "lr";
    const bool beside = edges_[i] && std::abs(winner.places[i] - *edges_[i]) <= last_half();
    if (edge(winner, i) || beside || nothing_went_well) on_edge_.push_back(space_.variables()[i].name);
  }
}

void Search::measure() {
  std::vector<Point> finalists = points_;
  if (space_.is_empty()) finalists.push_back({});
  std::ranges::stable_sort(finalists, [&](const Point& a, const Point& b) {
    return a.rung != b.rung ? a.rung > b.rung : aim_.better(a.record, b.record);
  });
  // Rounded, two points may be the same settings: measured once.
  std::set<Settings> known;
  std::erase_if(finalists,
                [&](const Point& one) { return !known.insert(space_.settings(one.places)).second; });
  if (static_cast<std::int64_t>(finalists.size()) > rules_.finalists)
    finalists.resize(static_cast<std::size_t>(rules_.finalists));
  bool done = true;
  std::vector<std::vector<Record>> of_finalists;
  for (const Point& point : finalists) {
    of_finalists.emplace_back();
    for (std::int64_t s = 1; s <= rules_.seeds; ++s) {
      Trial trial;
      trial.id = id(point.number) + digits("-s%lld", s);
      trial.point = point.number;
      trial.measured = true;
      trial.seed = rules_.seed + static_cast<std::uint64_t>(s);
      trial.places = point.places;
      if (const Record* record = add(std::move(trial)))
        of_finalists.back().push_back(*record);
      else
        done = false;
    }
  }
  if (!done) return;
  // Over the seeds: the most that reached the goal, then the fewest steps (geometric mean), then the best
  // metric.
  const auto summary = [&](const std::vector<Record>& records) {
    Record mean;
    double steps = 0, best = 0;
    std::int64_t reached = 0;
    for (const Record& record : records) {
      reached += record.reached() ? 1 : 0;
      steps += record.reached() ? std::log(std::max(1.0, static_cast<double>(record.goal_step))) : 0;
      best += record.best / static_cast<double>(records.size());
    }
    mean.outcome = std::ranges::all_of(records, &Record::ended) ? "budget" : "diverged";
    mean.best = best;
    return std::tuple{reached, reached > 0 ? steps / static_cast<double>(reached) : 0.0, mean};
  };
  std::size_t winner = 0;
  for (std::size_t i = 1; i < of_finalists.size(); ++i) {
    const auto [reached, steps, mean] = summary(of_finalists[i]);
    const auto [most, fewest, best] = summary(of_finalists[winner]);
    const bool by_goal = aim_.has_goal && (reached != most || (reached > 0 && steps != fewest));
    if (by_goal ? reached > most || (reached == most && steps < fewest) : aim_.better(mean, best)) winner = i;
  }
  best_point_ = finalists[winner].number;
  best_places_ = finalists[winner].places;
  measurements_ = of_finalists[winner];
  judge_edges(finalists[winner]);
  complete_ = true;
}

}  // namespace trainer::study
