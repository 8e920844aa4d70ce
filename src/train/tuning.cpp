#include "trainer/train/tuning.h"

#include <algorithm>
#include <vector>

#include "trainer/core/grammar.h"

namespace trainer::train {
namespace {

const std::vector<std::string> kNames = {"overlap", "weight_gradient", "shared_gradients"};
const std::vector<std::string> kSwitch = {"on", "off"};
const std::vector<std::string> kGradients = {"auto", "own", "onednn"};  // as Tuning::WeightGradient

std::size_t place_of(const ParsedText& text, const std::string& word, std::size_t offset,
                     const std::vector<std::string>& choices, const std::string& what) {
  const auto found = std::ranges::find(choices, word);
  if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  const std::string near = nearest_name(word, choices);
  text.fail_at(offset, trainer::text("\"", word, "\" is no ", what, ": expected one of ", list,
                                     near.empty() ? "" : "; did you mean " + near + "?"));
}

std::size_t choice_of(const ParsedText& text, const Argument& assignment,
                      const std::vector<std::string>& choices) {
  const Term& value = assignment.sequence.front();
  if (value.has_parentheses) text.fail_at(value.offset, value.name + " takes no arguments here");
  return place_of(text, value.name, value.offset, choices, "value of " + assignment.key);
}

}  // namespace

Tuning Tuning::parse(const std::string& text) {
  const ParsedText parsed("--tuning", text, ParsedText::Form::assignments);
  Tuning tuning;
  std::vector<bool> given(kNames.size());
  for (const Argument& assignment : parsed.assignments()) {
    const std::size_t name = place_of(parsed, assignment.key, assignment.offset, kNames, "name");
    if (given[name]) parsed.fail_at(assignment.offset, assignment.key + " stands there already");
    given[name] = true;
    if (name == 0)
      tuning.overlap = choice_of(parsed, assignment, kSwitch) == 0;
    else if (name == 1)
      tuning.weight_gradient = static_cast<WeightGradient>(choice_of(parsed, assignment, kGradients));
    else
      tuning.shared_gradients = choice_of(parsed, assignment, kSwitch) == 0;
  }
  return tuning;
}

std::string Tuning::text() const {
  return trainer::text("overlap=", kSwitch[overlap ? 0 : 1],
                       " weight_gradient=", kGradients[static_cast<std::size_t>(weight_gradient)],
                       " shared_gradients=", kSwitch[shared_gradients ? 0 : 1]);
}

nn::Tuning Tuning::of_network(std::int64_t rows_of_shard, nn::Precision precision) const {
  nn::Tuning tuning = nn::Tuning::for_rows(rows_of_shard, precision);
  if (weight_gradient != WeightGradient::automatic)
    tuning.own_weight_gradient = weight_gradient == WeightGradient::own;
  return tuning;
}

}  // namespace trainer::train
