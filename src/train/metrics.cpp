#include "trainer/train/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/core/error.h"
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

enum class For { any_task, classification, values };

/// A figure of an evaluation: what it is for, which values are better, what it is made of, and how.
struct Word {
  const char* name;
  For task;
  Direction better;
  bool Measures::*part;                                       ///< null: of Measures::top, with an argument
  double (*value)(const Measured& measured, std::int64_t k);  ///< null: always there, not to be asked for

  bool is_always_there() const { return value == nullptr; }
  bool takes_k() const { return value != nullptr && part == nullptr; }
  bool fits(bool classification) const {
    return task == For::any_task || (task == For::classification) == classification;
  }
};

using M = Measures;
constexpr Direction kSmaller = Direction::smaller, kLarger = Direction::larger;
const std::vector<Word> kWords = {
    {"loss", For::any_task, kSmaller, nullptr, nullptr},
    {"accuracy", For::classification, kLarger, nullptr, nullptr},
    {"top", For::classification, kLarger, nullptr,
     [](const Measured& m, std::int64_t k) { return ratio(m.top.at(k), m.rows); }},
    {"precision", For::classification, kLarger, &M::class_counts,
     [](const Measured& m, std::int64_t) { return over_classes(m, &Measured::precision); }},
    {"recall", For::classification, kLarger, &M::class_counts,
     [](const Measured& m, std::int64_t) { return over_classes(m, &Measured::recall); }},
    {"f1", For::classification, kLarger, &M::class_counts,
     [](const Measured& m, std::int64_t) { return over_classes(m, &Measured::f1); }},
    {"balanced_accuracy", For::classification, kLarger, &M::class_counts,
     [](const Measured& m, std::int64_t) { return balanced_accuracy(m); }},
    {"auc", For::classification, kLarger, &M::ranking,
     [](const Measured& m, std::int64_t) { return area(m); }},
    {"r2", For::values, kLarger, &M::errors, [](const Measured& m, std::int64_t) { return average(m.r2); }},
    {"rmse", For::values, kSmaller, &M::errors,
     [](const Measured& m, std::int64_t) { return average(m.rmse); }},
    {"mae", For::values, kSmaller, &M::errors,
     [](const Measured& m, std::int64_t) { return average(m.mae); }},
};

/// Whether a column is of this word: f1, top_5.
bool names(const Word& word, const std::string& column) {
  if (!word.takes_k()) return column == word.name;
  const std::string stem = text(word.name, "_");
  return column.starts_with(stem) && parse_integer(column.substr(stem.size())).has_value();
}

/// What may be asked for.
std::string fitting(bool classification) {
  std::string all;
  for (const Word& word : kWords)
    if (word.fits(classification) && !word.is_always_there())
      all += text(all.empty() ? "" : ", ", word.name, word.takes_k() ? "(k)" : "");
  return all;
}

std::size_t find_word(const ParsedText& parsed, const Term& term, bool classification) {
  const auto found = std::ranges::find_if(kWords, [&](const Word& word) { return word.name == term.name; });
  if (found != kWords.end() && found->is_always_there() && found->fits(classification))
    parsed.fail_at(term.offset, term.name + " is always there; name what is wanted beside it");
  const std::string others = text(classification ? "classification" : "a task with values as targets",
                                  " has ", fitting(classification));
  if (found == kWords.end()) {
    std::vector<std::string> names;
    for (const Word& word : kWords)
      if (!word.is_always_there()) names.emplace_back(word.name);
    const std::string near = nearest_name(term.name, names);
    parsed.fail_at(term.offset, text("there is no metric \"", term.name, "\"",
                                     near.empty() ? "" : "; did you mean " + near + "?", "; ", others));
  }
  if (!found->fits(classification))
    parsed.fail_at(term.offset, text(term.name, " is for ",
                                     classification ? "values as targets" : "classification", "; ", others));
  return static_cast<std::size_t>(found - kWords.begin());
}

}  // namespace

Measures Measures::with_details(const RowFacts& facts) const {
  Measures all = *this;
  all.class_counts = facts.classification;
  all.confusion = facts.classification && facts.classes() <= 1024;
  all.errors = !facts.classification;
  return all;
}

double Measured::precision(std::size_t of) const { return ratio(hits[of], predicted[of]); }
double Measured::recall(std::size_t of) const { return ratio(hits[of], class_rows[of]); }
double Measured::f1(std::size_t of) const { return ratio(2 * hits[of], predicted[of] + class_rows[of]); }

MetricList::MetricList(const std::string& source, const RowFacts& facts) {
  if (source.empty()) return;
  const ParsedText parsed("--metrics", source);
  for (const Term& term : parsed.sequence()) {
    const std::size_t word = find_word(parsed, term, facts.classification);
    ArgumentReader arguments(parsed, term);
    Entry entry{word, 0};
    std::string name = term.name;
    if (kWords[word].takes_k()) {
      entry.k = arguments.integer("k", 1, facts.classes());
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

std::string MetricList::everything(const RowFacts& facts, std::int64_t rows) {
  const bool too_many = rows > kMostScores / facts.classes();
  std::string all;
  for (const Word& word : kWords)
    if (word.fits(facts.classification) && word.part != nullptr && !(word.part == &M::ranking && too_many))
      all += text(all.empty() ? "" : " ", word.name);
  return all;
}

Direction better(const std::string& column) {
  const auto found = std::ranges::find_if(kWords, [&](const Word& word) { return names(word, column); });
  require(found != kWords.end(), ErrorKind::internal, "no figure is called ", column);
  return found->better;
}

bool is_metric(const std::string& column) {
  return std::ranges::any_of(
      kWords, [&](const Word& word) { return !word.is_always_there() && names(word, column); });
}

}  // namespace trainer::train
