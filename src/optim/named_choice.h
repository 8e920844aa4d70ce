#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/core/grammar.h"

namespace trainer::optim {

/// A name of the grammar and what it stands for.
template <class Value>
struct Named {
  std::string_view name;
  Value value;
};

/// The entry of `table` that the text's only term names; `what` says what the names are ("optimizer"). Throws
/// Error(usage) with a caret, the list and the nearest name.
template <class Value, std::size_t Count>
const Value& choose_named(const std::array<Named<Value>, Count>& table, const ParsedText& source,
                          std::string_view what) {
  const std::vector<Term>& terms = source.sequence();
  if (terms.size() > 1) source.fail_at(terms[1].offset, text("expected one ", what, ", found a second word"));
  std::vector<std::string> names;
  std::string list;
  for (const Named<Value>& entry : table) {
    if (entry.name == terms[0].name) return entry.value;
    names.emplace_back(entry.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  const std::string nearest = nearest_name(terms[0].name, names);
  source.fail_at(terms[0].offset, text("unknown ", what, "; expected one of ", list,
                                       nearest.empty() ? "" : "; did you mean " + nearest + "?"));
}

}  // namespace trainer::optim
