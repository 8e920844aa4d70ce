#include "trainer/comm/shared_pieces.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "trainer/comm/agreement.h"
#include "trainer/comm/shared_array.h"
#include "trainer/core/buffer.h"
#include "trainer/core/error.h"

namespace trainer::comm {

namespace {

/// A rank's memory begins at a page of its own, so that it lies near the rank that touches it first.
constexpr std::int64_t kPage = 4096;

}  // namespace

struct SharedPieces::State {
  std::size_t rank = 0;
  std::int64_t stride = 0;          // bytes from a piece to the next
  std::vector<std::size_t> pieces;  // by rank: how many
  std::vector<const float*> first;  // by rank: its first piece; null: not to be read here
  float* own = nullptr;
  std::optional<SharedArray> shared;
  Buffer<float> alone;

  /// Floats from a rank's first piece to this one.
  std::int64_t offset(std::size_t piece) const {
    return static_cast<std::int64_t>(piece) * stride / static_cast<std::int64_t>(sizeof(float));
  }
  /// Collective over the node. Whether all ranks of the node got memory that they share.
  bool share(const Communicator& node, const std::vector<std::int64_t>& members);
};

bool SharedPieces::State::share(const Communicator& node, const std::vector<std::int64_t>& members) {
  std::int64_t bytes = kPage;  // an array need not begin at a page
  for (const std::int64_t member : members)
    bytes += stride * static_cast<std::int64_t>(pieces[static_cast<std::size_t>(member)]);
  if (node.all_gather(static_cast<std::int64_t>(shared_room().bytes >= bytes))[0] == 0) return false;
  shared.emplace(node, bytes);
  if (!shared->is_shared()) {
    shared.reset();
    return false;
  }
  const auto address = reinterpret_cast<std::uintptr_t>(shared->data());
  std::byte* next = shared->data() + (kPage - address % kPage) % kPage;
  for (const std::int64_t member : members) {
    const auto one = static_cast<std::size_t>(member);
    if (one == rank) own = reinterpret_cast<float*>(next);
    first[one] = reinterpret_cast<const float*>(next);
    next += stride * static_cast<std::int64_t>(pieces[one]);
  }
  return true;
}

SharedPieces::SharedPieces(const Communicator& ranks, const TreeDeal& deal, std::int64_t floats,
                           bool allow_shared)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.rank = static_cast<std::size_t>(ranks.rank());
  s.stride = (floats * static_cast<std::int64_t>(sizeof(float)) + kPage - 1) / kPage * kPage;
  for (const auto& list : deal.pieces) s.pieces.push_back(list.size());
  s.first.assign(s.pieces.size(), nullptr);
  const std::int64_t mine = s.stride * static_cast<std::int64_t>(s.pieces[s.rank]);
  if (allow_shared && ranks.size() > 1) {
    const Communicator node = ranks.node();
    const std::vector<std::int64_t> members = node.all_gather(static_cast<std::int64_t>(ranks.rank()));
    if (node.size() > 1 && s.share(node, members)) {
      std::memset(s.own, 0, static_cast<std::size_t>(mine));
      return;
    }
  }
  s.alone = Buffer<float>(mine / static_cast<std::int64_t>(sizeof(float)));
  s.own = s.alone.data();
  s.first[s.rank] = s.own;
}

SharedPieces::~SharedPieces() = default;
SharedPieces::SharedPieces(SharedPieces&&) noexcept = default;

float* SharedPieces::mine(std::size_t piece) { return state_->own + state_->offset(piece); }

const float* SharedPieces::of(int rank, std::size_t piece) const {
  const State& s = *state_;
  const float* const first = s.first.at(static_cast<std::size_t>(rank));
  return first == nullptr ? nullptr : first + s.offset(piece);
}

std::int64_t SharedPieces::memory_bytes() const {
  const State& s = *state_;
  return s.stride * static_cast<std::int64_t>(s.pieces[s.rank]);
}

}  // namespace trainer::comm
