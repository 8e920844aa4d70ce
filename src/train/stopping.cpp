#include "trainer/train/stopping.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "trainer/core/grammar.h"
#include "trainer/train/metrics.h"

namespace trainer::train {
namespace {

std::string list(const std::vector<std::string>& names) {
  std::string all;
  for (const auto& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string unknown_metric(const std::string& name, const std::vector<std::string>& available) {
  if (name.starts_with("train_") && is_metric(name.substr(6)))
    return text("there is no ", name, ": figures of training are sums over its steps, which only loss and ",
                "accuracy are; take val_", name.substr(6));
  if (name.starts_with("val_") && is_metric(name.substr(4)) && contains(available, "val_loss"))
    return text(name, " is not among the figures of this run (", list(available), "); name it in --metrics");
  const std::string near = nearest_name(name, available);
  return text("there is no metric \"", name, "\" here", near.empty() ? "." : "; did you mean " + near + "?",
              " There are: ", list(available));
}

}  // namespace

bool larger_is_better(const std::string& metric) {
  for (const char* prefix : {"train_", "val_", "test_"})
    if (metric.starts_with(prefix))
      return better(metric.substr(std::string_view(prefix).size())) == Direction::larger;
  return better(metric) == Direction::larger;
}

Stopping::Stopping(const std::string& source, const std::vector<std::string>& available,
                   const std::string& fallback_metric)
    : metric_(fallback_metric) {
  if (source.empty() || source == "off" || source == "none") return;
  const ParsedText parsed("--early-stopping", source);
  if (parsed.sequence().size() != 1)
    parsed.fail_at(0, "expected one metric, as in val_loss(patience=5, min_delta=0)");
  const Term& term = parsed.sequence()[0];
  if (!contains(available, term.name)) parsed.fail_at(term.offset, unknown_metric(term.name, available));
  metric_ = term.name;
  ArgumentReader arguments(parsed, term);
  patience_ = arguments.integer("patience", 1, 1'000'000'000, 5);
  min_delta_ = arguments.number("min_delta", 0, 1e300, 0.0);
  arguments.finish();
}

bool Stopping::update(State& state, const Metrics& metrics, std::int64_t step) const {
  const double value = metrics.at(metric_);
  const double sign = larger_is_better(metric_) ? 1 : -1;
  const bool first = state.best_step < 0 || std::isnan(state.best);
  if (std::isnan(value) && first && step == 0) return false;  // nothing was measured yet
  if (std::isnan(value) && first) {                           // the newest model is as good as any
    ++state.without;
    state.best = value;
    state.best_step = step;
    return true;
  }
  if (std::isnan(value) || (!first && !(sign * value > sign * state.reference + min_delta_))) {
    ++state.without;
  } else {
    state.reference = value;
    state.without = 0;
  }
  if (std::isnan(value) || (!first && !(sign * value > sign * state.best))) return false;
  state.best = value;
  state.best_step = step;
  return true;
}

std::optional<Goal> Goal::parse(const std::string& source, const std::vector<std::string>& available) {
  if (source.empty()) return std::nullopt;
  const std::size_t at = source.find_first_of("<>");
  const std::string how = "--goal \"" + source + "\": ";
  require(at != std::string::npos && at + 1 < source.size() && source[at + 1] == '=', ErrorKind::usage, how,
          "expected a metric, >= or <=, and a number, as in val_accuracy>=0.9");
  const auto trim = [](std::string word) {
    word.erase(0, std::min(word.find_first_not_of(' '), word.size()));
    word.erase(word.find_last_not_of(' ') + 1);
    return word;
  };
  Goal goal;
  goal.metric = trim(source.substr(0, at));
  goal.at_least = source[at] == '>';
  const auto number = parse_number(trim(source.substr(at + 2)));
  require(number.has_value(), ErrorKind::usage, how, "\"", trim(source.substr(at + 2)), "\" is not a number");
  require(contains(available, goal.metric), ErrorKind::usage, how, unknown_metric(goal.metric, available));
  goal.value = *number;
  return goal;
}

bool Goal::reached(const Metrics& metrics) const {
  const double found = metrics.at(metric);
  return at_least ? found >= value : found <= value;
}

}  // namespace trainer::train
