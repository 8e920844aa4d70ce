#include <algorithm>

#include "trainer/core/grammar.h"

namespace trainer {
namespace {

/// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other (optimal
/// string alignment; Damerau 1964). O(a * b).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before_last.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substitution});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view word, const std::vector<std::string>& candidates) {
  std::size_t best_distance = 1 + word.size() / 3;
  std::string best;
  for (const std::string& candidate : candidates) {
    const std::size_t longer = std::max(word.size(), candidate.size());
    const std::size_t shorter = std::min(word.size(), candidate.size());
    if (longer - shorter > best_distance) continue;  // also keeps a long hostile word cheap
    const std::size_t distance = edit_distance(word, candidate);
    if (distance > best_distance || (distance == best_distance && !best.empty())) continue;
    best_distance = distance;
    best = candidate;
  }
  return best;
}

}  // namespace trainer
