#include "remarks.h"

#include "ledger.h"
#include "trainer/core/error.h"

namespace trainer::study {
namespace {

const char* option_of(const Request& request) { return request.kind == Kind::batch ? "--tune" : "--vary"; }

}  // namespace

std::vector<std::string> remarks_on(const Request& request, const Question& question,
                                    const std::set<std::string>& losses) {
  std::vector<std::string> names, remarks;
  for (const Variable& variable : question.space.variables()) names.push_back(variable.name);
  require_names(names, question.metric);
  for (const Variable& variable : question.space.variables()) {
    const auto given = request.given.find(variable.name);
    if (given != request.given.end())
      remarks.push_back(text("note: --", given->first, " ", given->second,
                             " is not used: ", option_of(request), " varies it"));
  }
  if (question.space.is_grid() && !question.space.is_empty() &&
      question.space.combinations() > question.rules.points)
    remarks.push_back(text("note: ", question.rules.points, " of the ", question.space.combinations(),
                           " combinations are tried; --points ", question.space.combinations(),
                           " tries all"));
  // Of the goal, and of the best where no goal is reached.
  for (const std::string& metric :
       {question.goal.substr(0, question.goal.find_first_of(" <>=")), question.metric}) {
    if (losses.size() < 2 || !metric.ends_with("loss")) continue;
    remarks.push_back(text("warning: the trials have ", losses.size(), " different losses (\"",
                           *losses.begin(), "\", \"", *losses.rbegin(), "\"",
                           losses.size() > 2 ? ", ..." : "", ") but are compared by ", metric,
                           ", which is another figure for each; take a metric that is the same for all, as "
                           "val_accuracy in --goal or --early-stopping"));
    break;
  }
  return remarks;
}

}  // namespace trainer::study
