#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "checked.h"
#include "requests.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/error.h"

namespace trainer::comm {

struct SmallFold::State {
  State(const Communicator& ranks_in, const TreeDeal& deal, std::int64_t bytes_per_piece);

  Communicator ranks;        // traffic of its own: collective calls are matched by their order alone
  std::vector<Range> nodes;  // all pieces, by rank then by piece: in the order of their leaves, too
  std::vector<int> counts;   // bytes of each rank
  std::vector<int> offsets;
  // Shared with the requests, which keep them alive while MPI uses them.
  std::shared_ptr<std::vector<std::byte>> mine;
  std::shared_ptr<std::vector<std::byte>> all;
  RequestSet requests;
  std::int64_t bytes_sent = 0;
};

SmallFold::State::State(const Communicator& ranks_in, const TreeDeal& deal, std::int64_t bytes_per_piece)
    : ranks(ranks_in.duplicate()) {
  require(static_cast<int>(deal.pieces.size()) == ranks.size(), ErrorKind::internal, "a tree dealt to ",
          deal.pieces.size(), " ranks was given to ", ranks.size());
  std::int64_t total = 0;
  for (const std::vector<Range>& pieces : deal.pieces) {
    const auto count = static_cast<std::int64_t>(pieces.size());
    require(bytes_per_piece >= 0 && (count == 0 || bytes_per_piece <= (kLargestMessage - total) / count),
            ErrorKind::usage, "the small sums of a step are too large: a record of ", bytes_per_piece,
            " bytes for each of ", deal.leaves, " shards; the limit is ", kLargestMessage,
            " bytes in all; use fewer --shards");
    nodes.insert(nodes.end(), pieces.begin(), pieces.end());
    offsets.push_back(static_cast<int>(total));
    counts.push_back(static_cast<int>(count * bytes_per_piece));
    total += count * bytes_per_piece;
  }
  mine = std::make_shared<std::vector<std::byte>>(
      static_cast<std::size_t>(counts[static_cast<std::size_t>(ranks.rank())]));
  all = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(total));
}

SmallFold::SmallFold(const Communicator& ranks, const TreeDeal& deal, std::int64_t bytes_per_piece)
    : state_(std::make_unique<State>(ranks, deal, bytes_per_piece)) {}
SmallFold::~SmallFold() = default;
SmallFold::SmallFold(SmallFold&&) noexcept = default;

void SmallFold::start(const void* mine) {
  State& s = *state_;
  require(!s.requests.is_active(), ErrorKind::internal,
          "a small reduction was started again before it was finished");
  if (!s.mine->empty()) std::memcpy(s.mine->data(), mine, s.mine->size());
  if (s.ranks.size() == 1) {
    *s.all = *s.mine;
    return;
  }
  s.requests.pin(s.mine);
  s.requests.pin(s.all);
  check(MPI_Iallgatherv(s.mine->data(), static_cast<int>(s.mine->size()), MPI_BYTE, s.all->data(),
                        s.counts.data(), s.offsets.data(), MPI_BYTE,
                        *static_cast<MPI_Comm*>(s.ranks.handle()), s.requests.add()),
        "MPI_Iallgatherv");
  s.bytes_sent += static_cast<std::int64_t>(s.mine->size()) * (s.ranks.size() - 1);
}

const std::byte* SmallFold::finish() {
  wait(state_->requests, state_->ranks.watchdog());
  return state_->all->data();
}

std::int64_t SmallFold::index_of(Range node) const {
  const std::vector<Range>& nodes = state_->nodes;
  const auto found =
      std::lower_bound(nodes.begin(), nodes.end(), node, [](Range a, Range b) { return a.begin < b.begin; });
  return found != nodes.end() && *found == node ? std::distance(nodes.begin(), found) : -1;
}

std::int64_t SmallFold::bytes_sent() const { return state_->bytes_sent; }

}  // namespace trainer::comm
