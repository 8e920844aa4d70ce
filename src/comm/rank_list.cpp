#include "rank_list.h"

#include "trainer/core/error.h"

namespace trainer::comm {

std::string list_ranks(const std::vector<std::int64_t>& flags, const std::vector<std::string>& hosts) {
  constexpr int kMostNamed = 8;
  std::string list;
  int named = 0;
  int left = 0;
  for (std::size_t rank = 0; rank < flags.size(); ++rank) {
    if (flags[rank] == 0) continue;
    if (named == kMostNamed) {
      ++left;
      continue;
    }
    list += text(named > 0 ? ", " : "", "rank ", rank, " on ", hosts[rank]);
    ++named;
  }
  return left > 0 ? text(list, " and ", left, " more") : list;
}

}  // namespace trainer::comm
