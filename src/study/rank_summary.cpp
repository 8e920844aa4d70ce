#include "rank_summary.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "shown.h"
#include "trainer/core/grammar.h"
#include "trainer/core/tree.h"
#include "trainer/report/progress.h"
#include "trainer/report/result.h"

namespace trainer::study {
namespace {

std::string percent(double share) { return text(std::round(100 * share), " %"); }

std::string milliseconds(double seconds) { return three_digits(1000 * seconds) + " ms"; }

std::string ranks_text(std::int64_t ranks) { return text(ranks, ranks == 1 ? " rank" : " ranks"); }

/// The points of a kind, measured or predicted.
std::vector<RankPoint> of_kind(std::span<const RankPoint> points, const std::string& kind, bool predicted) {
  std::vector<RankPoint> list;
  for (const RankPoint& point : points)
    if (point.kind == kind && point.predicted == predicted) list.push_back(point);
  return list;
}

std::vector<StepCost> costs_of(std::span<const RankPoint> points) {
  std::vector<StepCost> costs;
  for (const RankPoint& point : points)
    if (point.measured()) costs.push_back(point.cost());
  return costs;
}

/// What the model says of a batch of that size.
RankPoint modelled(const ScalingModel& model, const NetSize& net, std::int64_t ranks, std::int64_t batch,
                   std::int64_t shards) {
  const StepWork work = work_of(net, batch, shards, ranks);
  RankPoint point;
  point.ranks = ranks;
  point.batch = batch;
  point.shards = shards;
  point.compute = model.busy(work);
  point.communicate = model.communicate(work);
  point.seconds = model.seconds(work);
  point.wait = point.read = point.spread = std::nan("");
  point.bytes = work.bytes;
  point.messages = work.messages;
  point.predicted = true;
  point.hosts = 0;
  return point;
}

RankPoint soonest(const ScalingModel& model, const NetSize& net, std::int64_t ranks,
                  std::span<const StepsToGoal> goal) {
  RankPoint best;
  for (const StepsToGoal& one : goal) {
    RankPoint point = modelled(model, net, ranks, one.batch, default_shards(one.batch));
    point.kind = "goal";
    point.steps = static_cast<std::int64_t>(std::llround(one.steps));
    if (best.kind.empty() || point.seconds_to_goal() < best.seconds_to_goal()) best = point;
  }
  return best;
}

std::int64_t counts_of(std::span<const RankPoint> points) {
  std::set<std::int64_t> ranks;
  for (const RankPoint& point : points)
    if (point.measured()) ranks.insert(point.ranks);
  return std::ssize(ranks);
}

/// Below this efficiency ranks do not pay.
constexpr double kHalf = 0.5;

/// A model further off than this is not to be relied on.
constexpr double kMisfit = 0.2;

/// The greatest part of a step that is not computing.
struct Burden {
  std::string name, remedy;
  double share = 0;
};

Burden burden_of(const RankPoint& point) {
  Burden list[] = {
      {"waiting for the slowest rank",
       "the shards are shared unevenly (--shards, a multiple of the ranks), or a rank is slower than others "
       "(`trainer doctor`, other jobs on its host)",
       point.wait / point.seconds},
      {"communication", "larger batches have more to compute for each exchange",
       point.communicate / point.seconds},
      {"gathering rows", "where they come from their files, a larger --memory-limit; else fewer --augment",
       point.read / point.seconds}};
  return *std::ranges::max_element(list, {}, &Burden::share);
}

/// Where a quarter of a step is something else than computing, or why else the speed is less than ideal.
void add_limit(const std::vector<RankPoint>& measured, std::vector<std::string>& advice) {
  constexpr double kMuch = 0.25;
  for (const RankPoint& point : measured) {
    const Burden burden = burden_of(point);
    if (point.ranks == 1 || !(burden.share > kMuch)) continue;
    advice.push_back(text(point.kind, ": from ", ranks_text(point.ranks), " on ", burden.name,
                          " is the limit (", percent(burden.share), " of a step there): ", burden.remedy,
                          "."));
    return;
  }
  const RankPoint &first = measured.front(), &last = measured.back();
  const double rows_first = first.cost().work.rows, rows_last = last.cost().work.rows;
  const double slower = last.compute / rows_last / (first.compute / rows_first);
  if (last.efficiency < 1 - kMuch && slower > 1 + kMuch)
    advice.push_back(
        text(last.kind, ": computing itself takes ", three_digits(slower), " times as long a row on ",
             ranks_text(last.ranks),
             " as on one: the ranks share memory or processors (`trainer doctor`), or a rank has "
             "too few rows to be fast."));
}

void add_speed(const RankSummary& summary, const std::string& kind, std::vector<std::string>& advice) {
  const std::vector<RankPoint> measured = of_kind(summary.points, kind, false);
  if (measured.size() < 2) return;
  const RankPoint& last = measured.back();
  advice.push_back(
      text(kind, " scaling, ",
           kind == "strong" ? text(last.batch, " rows a step") : text(measured.front().batch, " rows a rank"),
           ": ", ranks_text(last.ranks), " do ", report::rate_text(last.samples_per_second), " samples/s, ",
           three_digits(last.samples_per_second / measured.front().samples_per_second),
           " times as many as one (efficiency ", three_digits(last.efficiency), ")."));
  add_limit(measured, advice);
  constexpr double kAboveOne = 1.05;  // less is chance
  const auto best = std::ranges::max_element(measured, {}, &RankPoint::efficiency);
  if (best->efficiency > kAboveOne)
    advice.push_back(
        text(kind, ": an efficiency above 1 (", three_digits(best->efficiency), " on ",
             ranks_text(best->ranks), ") says that one rank alone was slow a row: ",
             kind == "strong" ? "its rows do not fit into its caches as a share of them does, or " : "",
             "something else was at work while it was timed. All efficiencies are against it: "
             "compare samples/s, and give more --steps."));
  const std::vector<RankPoint> predicted = of_kind(summary.points, kind, true);
  const std::int64_t most = predicted.empty() ? last.ranks : predicted.back().ranks;
  if (kind == "strong" && most > last.shards)
    advice.push_back(text("strong: a batch of ", last.batch, " rows has ", last.shards, " shards; more than ",
                          ranks_text(last.shards), " have nothing to compute, so ", most,
                          " can be no faster. Larger batches have more; --shards says how many."));
}

void add_model(const RankSummary& summary, std::vector<std::string>& advice) {
  const auto most =
      std::ranges::max(summary.points, {}, [](const RankPoint& p) { return p.predicted ? 0 : p.ranks; });
  if (!summary.model) {
    advice.push_back(
        "One rank alone tells nothing of the exchange between ranks: no model is fitted and nothing is "
        "predicted. Start the study on two ranks or more (mpirun -np N).");
    return;
  }
  const ScalingModel& model = *summary.model;
  advice.push_back(text("The exchange: ",
                        model.tells_messages_from_bytes
                            ? text(three_digits(1e6 * model.latency), " us a message and ",
                                   three_digits(1e9 * model.per_byte), " ns a byte")
                            : text(three_digits(1e9 * model.per_byte),
                                   " ns a byte (on one number of ranks messages cannot be told from bytes)"),
                        "; the model is at most ", percent(model.deviation), " off at what was measured",
                        model.deviation > kMisfit ? ": too far to rely on what it predicts." : "."));
  if (const std::int64_t counts = counts_of(summary.points); counts < kLeastCounts) {
    advice.push_back(text("Nothing is predicted: that takes ", kLeastCounts, " numbers of ranks, and ",
                          counts, " were measured. On four ranks (mpirun -np 4) 1, 2 and 4 are."));
    return;
  }
  advice.push_back(
      most.hosts <= 1
          ? "All ranks are on one host, so they share its memory and no network was measured: the "
            "predictions hold for more processors of that kind in one host, at best."
          : text("The ranks are on ", most.hosts,
                 " hosts; the model does not tell messages within a host from those between hosts."));
  for (const std::string kind : {"strong", "weak"}) {
    const std::vector<RankPoint> measured = of_kind(summary.points, kind, false);
    if (measured.empty() || measured.back().efficiency < kHalf) continue;
    for (const RankPoint& point : of_kind(summary.points, kind, true)) {
      if (point.efficiency >= kHalf) continue;
      advice.push_back(text("Predicted, not measured: ", kind,
                            " scaling falls below an efficiency of one half on ", ranks_text(point.ranks),
                            " (", three_digits(point.efficiency), ")."));
      break;
    }
  }
}

void add_goal(const RankSummary& summary, std::vector<std::string>& advice) {
  const std::vector<RankPoint> points = of_kind(summary.points, "goal", true);
  if (points.empty()) return;
  const auto way = [](const RankPoint& point) {
    return text(report::duration_text(std::ceil(point.seconds_to_goal())), " on ", ranks_text(point.ranks),
                " (batch ", point.batch, ")");
  };
  const auto stops =
      std::ranges::find_if(points, [](const RankPoint& point) { return point.efficiency < kHalf; });
  if (stops == points.begin()) return;  // no study wrote that: one rank alone pays
  const RankPoint& last = *(stops - 1);
  std::string sentence = "By the model, training to the goal of the batch study takes " + way(points.front());
  if (last.ranks > 1) sentence += ", " + way(last);
  sentence += stops == points.end() ? "; all of these ranks pay."
                                    : text("; more do not pay: ", way(*stops), ", where each rank does ",
                                           percent(stops->efficiency), " of what one alone does.");
  advice.push_back(sentence);
}

void add_warnings(const RankSummary& summary, std::vector<std::string>& advice) {
  const auto crowded = std::ranges::find_if(summary.points, &RankPoint::crowded);
  if (crowded != summary.points.end())
    advice.push_back(
        text("warning: from ", ranks_text(crowded->ranks), " on, ranks x threads (", crowded->ranks, " x ",
             crowded->threads,
             ") are more than the processors: these figures mean nothing, nor do predictions from them."));
  constexpr double kUnsteady = 0.25;
  double spread = 0;
  for (const RankPoint& point : summary.points)
    if (point.measured()) spread = std::max(spread, point.spread);
  if (spread > kUnsteady)
    advice.push_back(
        text("warning: the rounds of a point differ by up to ", percent(spread),
             ": something else is at work on these processors, or the steps are too few (--steps)."));
}

void add_bits(const RankSummary& summary, std::vector<std::string>& advice) {
  const std::vector<RankPoint> strong = of_kind(summary.points, "strong", false);
  if (strong.size() < 2) return;
  const bool same =
      !strong.front().weights.empty() && std::ranges::all_of(strong, [&](const RankPoint& point) {
        return point.weights == strong.front().weights;
      });
  advice.push_back(
      same ? "The weights were the same bits on every number of ranks."
           : "warning: the weights were NOT the same bits on every number of ranks: the processors "
             "of this job do not compute alike (`trainer doctor`).");
}

report::JsonObject json_of_point(const RankPoint& point) {
  report::JsonObject one;
  one.add("ranks", point.ranks).add("batch", point.batch).add("shards", point.shards);
  one.add("seconds_per_step", point.seconds).add("samples_per_second", point.samples_per_second);
  one.add("efficiency", point.efficiency).add("compute", point.compute).add("communicate", point.communicate);
  one.add("wait", point.wait).add("read", point.read).add("bytes", point.bytes).add("spread", point.spread);
  if (point.kind == "goal") one.add("steps", point.steps).add("seconds_to_goal", point.seconds_to_goal());
  return one.add("predicted", point.predicted);
}

}  // namespace

void set_rates(std::vector<RankPoint>& points) {
  for (RankPoint& point : points) {
    point.samples_per_second = static_cast<double>(point.batch) / point.seconds;
    const auto one = std::ranges::find_if(points, [&](const RankPoint& other) {
      return other.kind == point.kind && other.ranks == 1 &&
             (point.kind != "batch" || other.batch == point.batch);
    });
    if (one == points.end()) continue;
    const double gain = point.kind == "goal"
                            ? one->seconds_to_goal() / point.seconds_to_goal()
                            : point.samples_per_second / (static_cast<double>(one->batch) / one->seconds);
    point.efficiency = gain / static_cast<double>(point.ranks);
  }
}

void predict(std::vector<RankPoint>& points, const NetSize& net, std::span<const StepsToGoal> goal) {
  const std::vector<RankPoint> measured = points;
  if (counts_of(measured) < kLeastCounts) return;
  const std::optional<ScalingModel> model = fit_scaling(costs_of(measured));
  if (!model) return;
  std::set<std::int64_t> ranks;
  for (const RankPoint& point : measured) ranks.insert(point.ranks);
  std::vector<std::int64_t> beyond;
  for (int i = 1; i <= kDoublings; ++i) beyond.push_back(*ranks.rbegin() << i);
  for (const std::string kind : {"strong", "weak"}) {
    const std::vector<RankPoint> known = of_kind(measured, kind, false);
    for (const std::int64_t n : known.empty() ? std::vector<std::int64_t>{} : beyond) {
      const RankPoint& one = known.front();
      const std::int64_t times = kind == "weak" ? n : 1;
      RankPoint point = modelled(*model, net, n, times * one.batch, times * one.shards);
      point.kind = kind;
      points.push_back(point);
    }
  }
  ranks.insert(beyond.begin(), beyond.end());
  for (const std::int64_t n : ranks)
    if (!goal.empty()) points.push_back(soonest(*model, net, n, goal));
  for (RankPoint& point : points) point.threads = measured.front().threads;
  set_rates(points);
}

std::string not_complete(const std::string& reason) {
  return text("Not complete (", reason, "): what stands here is what was measured until then.");
}

RankSummary summarise_ranks(std::vector<RankPoint> points) {
  RankSummary summary;
  summary.points = std::move(points);
  summary.model = fit_scaling(costs_of(summary.points));
  add_warnings(summary, summary.advice);
  for (const std::string kind : {"strong", "weak"}) add_speed(summary, kind, summary.advice);
  add_model(summary, summary.advice);
  add_goal(summary, summary.advice);
  add_bits(summary, summary.advice);
  return summary;
}

Rows speed_table(const RankSummary& summary) {
  Rows rows = {{"scaling", "ranks", "batch", "shards", "a step", "samples/s", "efficiency", "spread"}};
  for (const RankPoint& point : summary.points) {
    if (point.kind == "goal") continue;
    rows.push_back({point.kind, std::to_string(point.ranks), std::to_string(point.batch),
                    std::to_string(point.shards), milliseconds(point.seconds),
                    report::rate_text(point.samples_per_second), three_digits(point.efficiency),
                    point.predicted ? "predicted" : percent(point.spread)});
  }
  return rows;
}

Rows time_table(const RankSummary& summary) {
  Rows rows = {{"scaling", "ranks", "compute", "wait", "communicate", "read", "sent a step", ""}};
  for (const RankPoint& point : summary.points) {
    if (point.kind == "goal") continue;
    const auto share = [&](double seconds) {
      return std::isnan(seconds) ? "" : percent(seconds / point.seconds);
    };
    rows.push_back({point.kind, std::to_string(point.ranks), share(point.compute), share(point.wait),
                    share(point.communicate), share(point.read), three_digits(point.bytes / 1e6) + " MB",
                    point.predicted ? "predicted" : ""});
  }
  return rows;
}

Rows goal_table(const RankSummary& summary) {
  Rows rows = {{"ranks", "best batch", "steps to goal", "a step", "time to goal", "efficiency", ""}};
  for (const RankPoint& point : of_kind(summary.points, "goal", true))
    rows.push_back({std::to_string(point.ranks), std::to_string(point.batch), std::to_string(point.steps),
                    milliseconds(point.seconds), three_digits(point.seconds_to_goal()) + " s",
                    three_digits(point.efficiency), "predicted"});
  return rows;
}

namespace {

std::string aligned(const Rows& rows) {
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c)
      line += row[c] + std::string(widths[c] - row[c].size() + 2, ' ');
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

}  // namespace

std::string text_of(const RankSummary& summary) {
  std::string out = aligned(speed_table(summary)) + "\n" + aligned(time_table(summary)) + "\n";
  if (const Rows goal = goal_table(summary); goal.size() > 1) out += aligned(goal) + "\n";
  for (const std::string& sentence : summary.advice) out += sentence + "\n";
  return out;
}

std::string json_of(const RankSummary& summary) {
  report::JsonObject all;
  all.add("kind", "ranks");
  if (summary.model) {
    const ScalingModel& model = *summary.model;
    report::JsonObject fit;
    fit.add("seconds_fixed", model.together.fixed).add("seconds_per_row", model.together.per_row);
    fit.add("seconds_fixed_alone", model.alone.fixed).add("seconds_per_row_alone", model.alone.per_row);
    fit.add("seconds_per_message", model.latency).add("seconds_per_byte", model.per_byte);
    fit.add("tells_messages_from_bytes", model.tells_messages_from_bytes).add("deviation", model.deviation);
    all.add("model", fit);
  }
  for (const RankPoint& point : summary.points)
    all.add(point.kind == "batch" ? text("batch_of_", point.batch, "_", point.ranks)
                                  : text(point.kind, "_", point.ranks),
            json_of_point(point));
  all.add("advice", summary.advice);
  return all.text() + "\n";
}

}  // namespace trainer::study
