#include "trainer/comm/agreement.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "rank_list.h"
#include "trainer/comm/host.h"
#include "trainer/core/failure.h"

namespace trainer::comm {

namespace {

std::string line_of(const std::string& text, std::size_t number) {
  std::istringstream lines(text);
  std::string line;
  for (std::size_t i = 0; i <= number; ++i) {
    if (!std::getline(lines, line)) return "nothing";
  }
  constexpr std::size_t kLongest = 160;  // characters of a line that a message quotes
  return '\'' + (line.size() > kLongest ? line.substr(0, kLongest) + "..." : line) + '\'';
}

/// The number of the first line (from 0) in which two different texts differ.
std::size_t first_difference(const std::string& a, const std::string& b) {
  const auto place = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return static_cast<std::size_t>(std::count(a.begin(), place, '\n'));
}

}  // namespace

void agree_on_error(const Communicator& ranks, const std::exception_ptr& mine) {
  const Failure failure = mine ? failure_of(mine) : Failure{};
  const std::vector<std::int64_t> kinds =  // 0: nothing went wrong
      ranks.all_gather(mine ? static_cast<std::int64_t>(failure.kind) : std::int64_t{0});
  const auto first = std::find_if(kinds.begin(), kinds.end(), [](std::int64_t kind) { return kind != 0; });
  if (first == kinds.end()) return;
  const std::vector<std::string> messages = ranks.all_gather(failure.message);
  const std::vector<std::string> hosts = ranks.all_gather(host_name());
  const auto rank = static_cast<std::size_t>(first - kinds.begin());
  bool all_the_same = true;
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    all_the_same = all_the_same && kinds[k] == *first && messages[k] == messages[rank];
  }
  const std::string prefix = all_the_same ? std::string() : text("rank ", rank, " on ", hosts[rank], ": ");
  throw AgreedError(static_cast<ErrorKind>(*first), prefix + messages[rank]);
}

void follow_first_rank(const Communicator& ranks, const std::exception_ptr& mine) {
  const Failure failure = mine ? failure_of(mine) : Failure{};
  std::int64_t kind = mine ? static_cast<std::int64_t>(failure.kind) : 0;  // 0: nothing went wrong
  ranks.broadcast(&kind, sizeof(kind), 0);
  if (kind == 0) return;
  throw AgreedError(static_cast<ErrorKind>(kind), ranks.broadcast(failure.message, 0));
}

void require_same(const Communicator& ranks, const std::string& what, const std::string& value) {
  const std::string expected = ranks.broadcast(value, 0);
  const std::vector<std::int64_t> differs = ranks.all_gather(static_cast<std::int64_t>(value != expected));
  const auto first = std::find(differs.begin(), differs.end(), 1);
  if (first == differs.end()) return;
  const std::vector<std::string> hosts = ranks.all_gather(host_name());
  const auto rank = static_cast<int>(first - differs.begin());
  const std::string other =
      ranks.broadcast(value, rank);  // the first rank that differs serves as the example
  const std::size_t line = first_difference(expected, other);
  throw AgreedError(ErrorKind::communication,
                    text(what, " is not the same on all ranks: ", list_ranks(differs, hosts),
                         std::count(differs.begin(), differs.end(), 1) == 1 ? " differs" : " differ",
                         " from rank 0 on ", hosts[0], "; the first difference is line ", line + 1, ": rank ",
                         rank, " has ", line_of(other, line), ", rank 0 has ", line_of(expected, line),
                         "; start every rank with the same program, options and files"));
}

}  // namespace trainer::comm
