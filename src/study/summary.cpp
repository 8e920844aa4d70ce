#include "summary.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "shown.h"
#include "trainer/core/grammar.h"
#include "trainer/report/result.h"

namespace trainer::study {
namespace {

/// Whether the interval of a critical batch size tells one regime from the next but one.
bool is_sharp(const Interval& critical) {
  return critical.low > 0 && critical.high <= kRegimeFactor * kRegimeFactor * critical.low;
}

const std::string* value_of(const Settings& settings, const std::string& name) {
  for (const auto& [key, value] : settings)
    if (key == name) return &value;
  return nullptr;
}

BatchResult result_of(const Question& question, const Search& search, std::int64_t batch,
                      const Records& records) {
  BatchResult result;
  result.batch = batch;
  result.complete = search.is_complete();
  result.widened = search.widened();
  result.on_edge = search.on_edge();
  for (const Trial& trial : search.trials()) {
    ++result.trials;
    const auto found = records.find(trial.id);
    if (found != records.end() && found->second.outcome == "diverged") ++result.diverged;
    if (result.complete && trial.measured && trial.point == search.best_point())
      result.measured.push_back(trial.id);
  }
  if (!result.complete) return result;
  result.best = question.space.settings(search.best_places());
  std::vector<double> samples, seconds, metrics, scales;
  for (const Record& record : search.measurements()) {
    ++result.seeds;
    result.at_once = (result.at_once || result.seeds == 1) && record.goal_step == 0;
    result.failed =
        (result.failed || result.seeds == 1) && (record.outcome == "diverged" || record.outcome == "failed");
    if (record.ended() && !std::isnan(record.best)) metrics.push_back(record.best);
    if (record.noise_scale > 0) scales.push_back(record.noise_scale);
    if (!record.reached()) continue;
    ++result.reached;
    if (record.goal_step == 0) continue;  // the untrained model
    result.steps_by_seed.push_back(static_cast<double>(record.goal_step));
    result.middle_by_seed.push_back(static_cast<double>(record.goal_step) -
                                    0.5 * static_cast<double>(record.goal_resolution - 1));
    result.at_first = result.at_first || record.goal_step == record.goal_resolution;
    result.resolution = std::max(result.resolution, static_cast<double>(record.goal_resolution) /
                                                        static_cast<double>(record.goal_step));
    samples.push_back(static_cast<double>(record.goal_samples));
    seconds.push_back(record.goal_seconds);
  }
  result.steps = log_mean_interval(result.steps_by_seed);
  result.samples = log_mean_interval(samples);
  result.seconds = log_mean_interval(seconds);
  const bool positive = std::ranges::all_of(metrics, [](double metric) { return metric > 0; });
  result.metric =
      positive && !question.aim.larger_is_better ? log_mean_interval(metrics) : mean_interval(metrics);
  result.noise_scale = log_mean_interval(scales);
  return result;
}

void fit(const Question& question, Summary& summary) {
  std::vector<StepsAt> points;
  std::vector<RateAt> rates;
  for (const BatchResult& result : summary.batches) {
    // A batch size at which a seed fails would bend the curve by those that are missing.
    if (!result.complete || result.failed || (question.aim.has_goal && result.reached < result.seeds))
      continue;
    for (const double steps : result.middle_by_seed)
      if (!result.at_first) points.push_back({static_cast<double>(result.batch), steps});
    const std::string* rate = value_of(result.best, "lr");
    if (rate != nullptr && result.on_edge.empty())
      rates.push_back({static_cast<double>(result.batch), parse_number(*rate).value_or(0)});
  }
  if (question.aim.has_goal) summary.critical = fit_critical_batch(points);
  summary.rate = fit_rate_rule(rates);
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (std::size_t i = 0; i < names.size(); ++i)
    all += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return all;
}

/// What counting steps in evaluations does to the result.
void advise_on_resolution(Summary& summary) {
  constexpr double kCoarse = 0.1;
  std::string first;
  const BatchResult* worst = nullptr;
  for (const BatchResult& result : summary.batches) {
    if (result.at_first)
      first += text(first.empty() ? "" : ", ", result.batch);
    else if (result.resolution > kCoarse && (worst == nullptr || result.resolution > worst->resolution))
      worst = &result;
  }
  if (!first.empty())
    summary.advice.push_back(text(
        "The goal is met at the first evaluation at batch size ", first,
        ": how much sooner nobody knows, so these are left out of the fit; give a finer --evaluate-every."));
  if (worst != nullptr)
    summary.advice.push_back(text("Steps are counted at evaluations, which are up to ",
                                  three_digits(100 * worst->resolution),
                                  " % of the steps to the goal apart (batch size ", worst->batch,
                                  "): a finer --evaluate-every makes the figures sharper."));
}

void advise(const Question& question, Summary& summary) {
  auto& advice = summary.advice;
  const auto all = [&](const auto& holds) {
    return !summary.batches.empty() && std::ranges::all_of(summary.batches, holds);
  };
  if (question.aim.has_goal && all([](const BatchResult& one) { return one.complete && one.at_once; })) {
    advice.push_back(text("The untrained model meets the goal ", question.goal, ": give a harder one."));
    return;
  }
  if (all([](const BatchResult& one) { return one.complete && one.failed; })) {
    advice.emplace_back(
        "No trial came to an end that counts: all that were measured diverged or failed (trials.csv says "
        "why).");
    return;
  }
  if (summary.critical && !summary.critical->is_bounded()) {
    advice.push_back(text(
        "No critical batch size can be told: at ", question.batches.front(), " to ", question.batches.back(),
        " rows the steps to the goal show no bend; take a wider range of --batch-sizes, more "
        "--seeds, and a finer --evaluate-every."));
  } else if (summary.critical) {
    const Interval& critical = summary.critical->critical;
    advice.push_back(
        text("The critical batch size is ", with_interval(critical),
             " rows: there the goal takes twice the least "
             "number of steps (",
             three_digits(summary.critical->least_steps), ") and twice the least number of rows. ",
             "Up to about ", three_digits(critical.value / kRegimeFactor),
             " rows, twice the batch is nearly half the "
             "steps; from about ",
             three_digits(critical.value * kRegimeFactor), " on, more rows save next to nothing."));
    if (!is_sharp(critical))
      advice.emplace_back(
          "That interval is too wide to tell the regimes apart: take more batch sizes, --seeds and "
          "--points.");
    else if (critical.value < static_cast<double>(question.batches.front()) ||
             critical.value > static_cast<double>(question.batches.back()))
      advice.push_back(text("It lies outside of the batch sizes that were tried, ", question.batches.front(),
                            " to ", question.batches.back(), ": take others to be sure."));
  } else if (question.aim.has_goal && question.batches.size() > 1) {
    advice.emplace_back(
        "No critical batch size can be fitted: that takes three batch sizes at which every seed reaches the "
        "goal.");
  }
  if (question.aim.has_goal) advise_on_resolution(summary);
  if (summary.rate && summary.rate->exponent.low < summary.rate->exponent.high) {
    const Interval& p = summary.rate->exponent;
    const bool linear = p.low <= 1 && 1 <= p.high, root = p.low <= 0.5 && 0.5 <= p.high;
    advice.push_back(
        text("The best learning rate grows as the batch size to the power ", with_interval(p), ": ",
             (linear && root) ? "too uncertain to tell the linear rule (1) from the square-root rule (0.5)"
             : linear         ? "the linear rule"
             : root           ? "the square-root rule"
                              : "neither the linear (1) nor the square-root rule (0.5)",
             "."));
  }
  for (const BatchResult& result : summary.batches) {
    const std::string where = result.batch > 0 ? text("At batch size ", result.batch, " ") : "";
    if (!result.on_edge.empty())
      advice.push_back(text(where, "the best ", joined(result.on_edge),
                            result.on_edge.size() > 1 ? " lie" : " lies", " on the edge of what was tried",
                            result.widened > 0 ? text(", after ", result.widened, " widening(s)") : "",
                            ": search a wider range."));
    if (question.aim.has_goal && result.complete && result.reached < result.seeds)
      advice.push_back(text(where, result.reached, " of ", result.seeds, " seeds reached the goal ",
                            question.goal, " (best ", question.metric, " ", with_interval(result.metric),
                            "): give a larger --budget or another goal."));
  }
}

}  // namespace

Summary summarise(const Question& question, const Records& records) {
  Summary summary;
  for (const std::int64_t batch : question.batches) {
    const Search search(question.space, question.rules, question.aim, batch, records);
    for (const Trial& trial : search.trials()) {
      summary.trials.push_back(trial);
      if (records.contains(trial.id)) ++summary.done;
    }
    summary.batches.push_back(result_of(question, search, batch, records));
  }
  fit(question, summary);
  advise(question, summary);
  return summary;
}

std::string regime_of(const Summary& summary, std::int64_t batch) {
  if (!summary.critical || !is_sharp(summary.critical->critical)) return "";
  const double ratio = static_cast<double>(batch) / summary.critical->critical.value;
  if (ratio < 1 / kRegimeFactor) return "perfect scaling";
  return ratio > kRegimeFactor ? "maximal parallelism" : "diminishing returns";
}

std::string json_of(const Question& question, const Summary& summary) {
  report::JsonObject all;
  const auto interval = [](const Interval& one) {
    report::JsonObject object;
    object.add("value", one.value).add("low", one.low).add("high", one.high);
    return object;
  };
  all.add("goal", question.goal).add("metric", question.metric);
  all.add("trials", static_cast<std::int64_t>(summary.trials.size())).add("done", summary.done);
  all.add("complete", summary.complete());
  if (summary.critical && summary.critical->is_bounded()) {
    all.add("critical_batch", interval(summary.critical->critical));
    all.add("least_steps", summary.critical->least_steps).add("scatter", summary.critical->scatter);
  }
  if (summary.rate) all.add("rate_exponent", interval(summary.rate->exponent));
  for (const BatchResult& result : summary.batches) {
    report::JsonObject one;
    one.add("complete", result.complete).add("trials", result.trials).add("diverged", result.diverged);
    one.add("widened", result.widened).add("on_edge", result.on_edge);
    if (result.complete) {
      report::JsonObject best;
      for (const auto& [name, value] : result.best)
        if (const auto number = parse_number(value))
          best.add(name, *number);
        else
          best.add(name, value);
      one.add("best", best).add("seeds", result.seeds).add("reached", result.reached);
      if (question.aim.has_goal)
        one.add("steps", interval(result.steps))
            .add("samples", interval(result.samples))
            .add("seconds", interval(result.seconds));
      one.add("best_" + question.metric, interval(result.metric))
          .add("noise_scale", interval(result.noise_scale));
      if (summary.critical) one.add("regime", regime_of(summary, result.batch));
    }
    all.add(result.batch > 0 ? text("batch_", result.batch) : "search", one);
  }
  all.add("advice", summary.advice);
  return all.text() + "\n";
}

std::string table_of(const Question& question, const Summary& summary) {
  std::vector<std::vector<std::string>> rows = {{"batch"}};
  for (const Variable& variable : question.space.variables()) rows[0].push_back(variable.name);
  if (question.aim.has_goal)
    rows[0].insert(rows[0].end(), {"steps to goal", "rows to goal", "seconds", "seeds"});
  rows[0].push_back("best " + question.metric);
  rows[0].emplace_back("noise scale");
  if (question.aim.has_goal && summary.critical) rows[0].emplace_back("regime");
  for (const BatchResult& result : summary.batches) {
    if (!result.complete) continue;
    std::vector<std::string> row = {std::to_string(result.batch)};
    for (const auto& [name, value] : result.best) row.push_back(value);
    if (question.aim.has_goal)
      row.insert(row.end(), {with_interval(result.steps), with_interval(result.samples),
                             three_digits(result.seconds.value), text(result.reached, "/", result.seeds)});
    row.push_back(with_interval(result.metric));
    row.push_back(with_interval(result.noise_scale));
    if (question.aim.has_goal && summary.critical)
      row.push_back(result.reached == 0 ? "-" : regime_of(summary, result.batch));
    rows.push_back(std::move(row));
  }
  if (question.batches == std::vector<std::int64_t>{0})
    for (auto& row : rows) row.erase(row.begin());
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) {
      widths.resize(std::max(widths.size(), c + 1));
      widths[c] = std::max(widths[c], row[c].size());
    }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      line += row[c];
      if (c + 1 < row.size()) line += std::string(widths[c] - row[c].size() + 2, ' ');
    }
    out += line + "\n";
  }
  for (const std::string& sentence : summary.advice) out += sentence + "\n";
  return out;
}

}  // namespace trainer::study
