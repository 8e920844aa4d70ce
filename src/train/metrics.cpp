#include "trainer/train/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/core/grammar.h"

namespace trainer::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double ratio(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

/// The average of `value(i)` over the `count` items that `counts(i)`; nan when there is none.
template <class Counts, class Value>
double average(std::size_t count, const Counts& counts, const Value& value) {
  double sum = 0;
  std::int64_t items = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!counts(i)) continue;
    sum += value(i);
    ++items;
  }
  return items > 0 ? sum / static_cast<double>(items) : kNan;
}

double average(const std::vector<double>& values) {
  return average(
      values.size(), [](std::size_t) { return true; }, [&](std::size_t i) { return values[i]; });
}

/// Two classes: of class 1; more: over the classes that occur.
double over_classes(const Measured& m, double (Measured::*of_class)(std::size_t) const) {
  if (m.class_rows.size() == 2) return (m.*of_class)(1);
  return average(
      m.class_rows.size(), [&](std::size_t c) { return m.class_rows[c] + m.predicted[c] > 0; },
      [&](std::size_t c) { return (m.*of_class)(c); });
}

double balanced_accuracy(const Measured& m) {
  return average(
      m.class_rows.size(), [&](std::size_t c) { return m.class_rows[c] > 0; },
      [&](std::size_t c) { return m.recall(c); });
}

double area(const Measured& m) {
  if (m.auc.size() == 1) return m.auc[0];
  return average(
      m.auc.size(), [&](std::size_t c) { return m.class_rows[c] > 0 && m.class_rows[c] < m.rows; },
      [&](std::size_t c) { return m.auc[c]; });
}

/// A metric: what it is made of, and how.
struct Word {
  const char* name;
  bool classification;
  bool Measures::*part;  ///< null: top
  double (*value)(const Measured& measured, std::int64_t k);
};

using M = Measures;
const std::vector<Word> kWords = {
    {"top", true, nullptr, [](const Measured& m, std::int64_t k) { return ratio(m.top.at(k), m.rows); }},
    {"precision", true, &M::class_counts,
     [](const Measured& m, std::int64_t) { return over_classes(m, &Measured::precision); }},
    {"recall", true, &M::class_counts,
     [](const Measured& m, std::int64_t) { return over_classes(m, &Measured::recall); }},
    {"f1", true, &M::class_counts,
     [](const Measured& m, std::int64_t) { return over_classes(m, &Measured::f1); }},
    {"balanced_accuracy", true, &M::class_counts,
     [](const Measured& m, std::int64_t) { return balanced_accuracy(m); }},
    {"auc", true, &M::ranking, [](const Measured& m, std::int64_t) { return area(m); }},
    {"r2", false, &M::errors, [](const Measured& m, std::int64_t) { return average(m.r2); }},
    {"rmse", false, &M::errors, [](const Measured& m, std::int64_t) { return average(m.rmse); }},
    {"mae", false, &M::errors, [](const Measured& m, std::int64_t) { return average(m.mae); }},
};

std::string fitting(bool classification) {
  std::string all;
  for (const Word& word : kWords)
    if (word.classification == classification)
      all += text(all.empty() ? "" : ", ", word.name, word.part == nullptr ? "(k)" : "");
  return all;
}

std::size_t find_word(const ParsedText& parsed, const Term& term, bool classification) {
  if (term.name == "loss" || (term.name == "accuracy" && classification))
    parsed.fail_at(term.offset, term.name + " is always there; name what is wanted beside it");
  const auto found = std::ranges::find_if(kWords, [&](const Word& word) { return word.name == term.name; });
  const std::string others = text(classification ? "classification" : "a task with values as targets",
                                  " has ", fitting(classification));
  if (found == kWords.end()) {
    std::vector<std::string> names;
    for (const Word& word : kWords) names.emplace_back(word.name);
    const std::string near = nearest_name(term.name, names);
    parsed.fail_at(term.offset, text("there is no metric \"", term.name, "\"",
                                     near.empty() ? "" : "; did you mean " + near + "?", "; ", others));
  }
  if (found->classification != classification)
    parsed.fail_at(term.offset,
                   text(term.name, " is for ", found->classification ? "classification" : "values as targets",
                        "; ", others));
  return static_cast<std::size_t>(found - kWords.begin());
}

}  // namespace

Measures Measures::with_details() const {
  Measures all = *this;
  all.class_counts = classification;
  all.confusion = classification && classes() <= 1024;
  all.errors = !classification;
  return all;
}

double Measured::precision(std::size_t of) const { return ratio(hits[of], predicted[of]); }
double Measured::recall(std::size_t of) const { return ratio(hits[of], class_rows[of]); }
double Measured::f1(std::size_t of) const { return ratio(2 * hits[of], predicted[of] + class_rows[of]); }

MetricList::MetricList(const std::string& source, Measures shape) : measures_(std::move(shape)) {
  if (source.empty()) return;
  const ParsedText parsed("--metrics", source);
  for (const Term& term : parsed.sequence()) {
    const std::size_t word = find_word(parsed, term, measures_.classification);
    ArgumentReader arguments(parsed, term);
    Entry entry{word, 0};
    std::string name = term.name;
    if (kWords[word].part == nullptr) {
      entry.k = arguments.integer("k", 1, measures_.classes());
      name += "_" + std::to_string(entry.k);
      measures_.top.push_back(entry.k);
    } else {
      measures_.*kWords[word].part = true;
    }
    arguments.finish();
    if (std::ranges::find(names_, name) != names_.end())
      parsed.fail_at(term.offset, name + " stands there twice");
    names_.push_back(std::move(name));
    entries_.push_back(entry);
  }
}

double MetricList::value(std::size_t index, const Measured& measured) const {
  if (measured.rows == 0) return kNan;
  return kWords[entries_[index].word].value(measured, entries_[index].k);
}

std::string MetricList::everything(bool classification) {
  std::string all;
  for (const Word& word : kWords)
    if (word.classification == classification && word.part != nullptr)
      all += text(all.empty() ? "" : " ", word.name);
  return all;
}

bool is_error(const std::string& metric) { return metric == "loss" || metric == "rmse" || metric == "mae"; }

bool is_metric(const std::string& column) {
  return std::ranges::any_of(kWords, [&](const Word& word) {
    if (word.part != nullptr) return column == word.name;
    const std::string stem = text(word.name, "_");
    return column.starts_with(stem) && parse_integer(column.substr(stem.size())).has_value();
  });
}

}  // namespace trainer::train
