#include <mpi.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "checked.h"
#include "fold_program.h"
#include "requests.h"
#include "slices.h"
#include "trainer/comm/shared_pieces.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/buffer.h"
#include "trainer/core/error.h"

namespace trainer::comm {

namespace {

constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));

// Which message is which. The exchange has a communicator of its own, and each layer two tags: one for
// gradients, one for parameters. Messages with the same source and tag are matched in the order in which they
// were sent and their receives were posted (MPI 3.1, 3.5), and both sides use the same order: the pieces of
// the sender in the tree's order, each from its first float on. So the layers may be sent in any order, and a
// rank that is ahead, even by a step, does no harm: its message waits until all earlier ones of the same tag
// are received. Presence is the same function on every rank, so both sides leave out the same pieces.
int gradient_tag(int layer) { return 2 * layer; }
int parameter_tag(int layer) { return 2 * layer + 1; }

/// The number of floats rounded up to whole cache lines.
std::int64_t padded(std::int64_t floats) { return (floats + 15) / 16 * 16; }

void check_tags(MPI_Comm ranks, std::size_t layers) {
  void* value = nullptr;
  int found = 0;
  check(MPI_Comm_get_attr(ranks, MPI_TAG_UB, static_cast<void*>(&value), &found), "MPI_Comm_get_attr");
  const std::int64_t largest = found != 0 ? *static_cast<int*>(value) : 32767;  // the least that MPI promises
  require(static_cast<std::int64_t>(2 * layers) <= largest, ErrorKind::communication, "the model has ",
          layers, " layers with parameters; this MPI library has tags for ", largest / 2);
}

}  // namespace

struct GradientExchange::State {
  /// What moves for one layer.
  struct Traffic {
    RequestSet gradients;                // receives of pieces of the own slice
    RequestSet parameters;               // sends of the own slice, receives of the others'
    std::vector<float*> received;        // by slot: where a piece of the own slice arrives; null: it does not
    float* words = nullptr;              // by rank: where its word arrives that its pieces are ready
    std::vector<const float*> operands;  // by slot: the piece's first float of the own slice
    bool sent = false;
    bool shared = false;
  };

  State(const Communicator& ranks_in, const TreeDeal& deal, std::vector<Segment> segments_in,
        std::int64_t block, std::int64_t largest_message, const SharedPieces* pieces);
  void lay_out_slots(const TreeDeal& deal);
  void look_for_shared(const SharedPieces* pieces);
  void place_received();
  /// Whether a rank's pieces can be read where they lie, and so this rank's by it.
  bool shares(int other) const { return sharing[static_cast<std::size_t>(other)]; }
  bool any_present(int of_rank) const {
    const Range slots = slots_of_rank[static_cast<std::size_t>(of_rank)];
    return std::any_of(present.begin() + slots.begin, present.begin() + slots.end,
                       [](bool is) { return is; });
  }
  void read_presence(FunctionRef<bool(Range)> present);
  void post_receives(int layer);
  void send_to(int destination, int tag, const float* from, std::int64_t floats, RequestSet& requests);
  /// Tells a rank that shares this one's memory that the gradient of a layer lies there.
  void send_word(int destination, int tag);
  /// The k-th peer in the order that spreads the load: the next rank first.
  int peer(int k) const { return (rank + k) % size; }
  MPI_Comm handle() const { return *static_cast<MPI_Comm*>(ranks.handle()); }
  Range own(int layer) const {
    return slices[static_cast<std::size_t>(layer)][static_cast<std::size_t>(rank)];
  }
  Traffic& at(int layer) {
    require(layer >= 0 && static_cast<std::size_t>(layer) < layers.size(), ErrorKind::internal, "layer ",
            layer, " of ", layers.size());
    return layers[static_cast<std::size_t>(layer)];
  }

  Communicator ranks;
  int rank;
  int size;
  std::int64_t leaves;
  std::int64_t largest_bytes;  // of a message
  std::vector<Segment> segments;
  std::vector<std::vector<Range>> slices;  // by layer, by rank

  // Slots: all pieces of all ranks, in the order of their leaves.
  std::vector<Range> nodes;
  std::vector<Range> slots_of_rank;  // first slot, past the last
  std::vector<bool> present;         // by slot, in this step
  std::vector<const float*> direct;  // by slot: the flat vector of a piece that can be read where it lies
  std::vector<bool> sharing;         // by rank
  std::optional<FoldProgram> program;

  std::vector<Traffic> layers;
  std::shared_ptr<Buffer<float>>
      storage;  // shared with the receives, which keep it alive while MPI writes to it
  RequestSet gradient_sends;
  bool in_step = false;
  std::int64_t bytes_sent = 0;
  std::int64_t bytes_sent_before_step = 0;
};

GradientExchange::State::State(const Communicator& ranks_in, const TreeDeal& deal,
                               std::vector<Segment> segments_in, std::int64_t block,
                               std::int64_t largest_message, const SharedPieces* pieces)
    : ranks(ranks_in.duplicate()),
      rank(ranks.rank()),
      size(ranks.size()),
      leaves(deal.leaves),
      largest_bytes(largest_message * kFloat),
      segments(std::move(segments_in)),
      slices(deal_slices(segments, block, size)),
      layers(segments.size()) {
  require(largest_message >= 1 && largest_bytes <= kLargestMessage, ErrorKind::internal, "messages of ",
          largest_message, " floats");
  require(static_cast<int>(deal.pieces.size()) == size, ErrorKind::internal, "a tree dealt to ",
          deal.pieces.size(), " ranks was given to ", size);
  check_tags(handle(), segments.size());
  lay_out_slots(deal);
  look_for_shared(pieces);
  place_received();
}

void GradientExchange::State::look_for_shared(const SharedPieces* pieces) {
  direct.assign(nodes.size(), nullptr);
  sharing.assign(static_cast<std::size_t>(size), false);
  if (pieces == nullptr) return;
  for (int other = 0; other < size; ++other) {
    if (pieces->of(other, 0) == nullptr) continue;
    sharing[static_cast<std::size_t>(other)] = true;
    const Range slots = slots_of_rank[static_cast<std::size_t>(other)];
    for (std::int64_t slot = slots.begin; slot < slots.end; ++slot)
      direct[static_cast<std::size_t>(slot)] =
          pieces->of(other, static_cast<std::size_t>(slot - slots.begin));
  }
}

void GradientExchange::State::lay_out_slots(const TreeDeal& deal) {
  for (const std::vector<Range>& pieces : deal.pieces) {
    const auto first = static_cast<std::int64_t>(nodes.size());
    nodes.insert(nodes.end(), pieces.begin(), pieces.end());
    slots_of_rank.push_back({first, static_cast<std::int64_t>(nodes.size())});
  }
}

void GradientExchange::State::place_received() {
  const Range mine = slots_of_rank[static_cast<std::size_t>(rank)];
  const auto arrives = [&](std::int64_t slot) {
    return (slot < mine.begin || slot >= mine.end) && direct[static_cast<std::size_t>(slot)] == nullptr;
  };
  std::int64_t others = 0;
  for (std::int64_t slot = 0; slot < static_cast<std::int64_t>(nodes.size()); ++slot) others += arrives(slot);
  const std::int64_t words = std::count(sharing.begin(), sharing.end(), true) > 1 ? padded(size) : 0;
  std::int64_t floats = 0;
  for (std::size_t layer = 0; layer < layers.size(); ++layer)
    floats += others * padded(own(static_cast<int>(layer)).size()) + words;
  storage = std::make_shared<Buffer<float>>(floats);
  float* next = storage->data();
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    layers[layer].words = next;
    next += words;
    layers[layer].received.assign(nodes.size(), nullptr);
    layers[layer].operands.assign(nodes.size(), nullptr);
    const std::int64_t stride = padded(own(static_cast<int>(layer)).size());
    if (stride == 0) continue;
    for (std::int64_t slot = 0; slot < static_cast<std::int64_t>(nodes.size()); ++slot) {
      if (!arrives(slot)) continue;
      layers[layer].received[static_cast<std::size_t>(slot)] = next;
      next += stride;
    }
  }
}

void GradientExchange::State::read_presence(FunctionRef<bool(Range)> is_present) {
  bool same = program.has_value();
  present.resize(nodes.size());
  for (std::size_t slot = 0; slot < nodes.size(); ++slot) {
    const bool now = is_present(nodes[slot]);
    same = same && now == present[slot];
    present[slot] = now;
  }
  if (same) return;
  program.emplace(leaves, nodes, present);
}

void GradientExchange::State::post_receives(int layer) {
  Traffic& traffic = at(layer);
  const std::int64_t bytes = own(layer).size() * kFloat;
  if (bytes == 0) return;
  traffic.gradients.pin(storage);
  for (int k = 1; k < size; ++k) {
    const int source = peer(k);
    const Range slots = slots_of_rank[static_cast<std::size_t>(source)];
    if (shares(source) && any_present(source))
      receive(traffic.gradients, handle(), traffic.words + source, kFloat, source, gradient_tag(layer),
              largest_bytes);
    for (auto slot = static_cast<std::size_t>(slots.begin); slot < static_cast<std::size_t>(slots.end);
         ++slot) {
      if (shares(source)) {
        traffic.operands[slot] = present[slot] ? direct[slot] + own(layer).begin : nullptr;
        continue;
      }
      traffic.operands[slot] = present[slot] ? traffic.received[slot] : nullptr;
      if (!present[slot]) continue;
      receive(traffic.gradients, handle(), traffic.received[slot], bytes, source, gradient_tag(layer),
              largest_bytes);
    }
  }
}

void GradientExchange::State::send_to(int destination, int tag, const float* from, std::int64_t floats,
                                      RequestSet& requests) {
  send(requests, handle(), from, floats * kFloat, destination, tag, largest_bytes);
  bytes_sent += floats * kFloat;
}

void GradientExchange::State::send_word(int destination, int tag) {
  static constexpr float kWord = 1;
  send(gradient_sends, handle(), &kWord, kFloat, destination, tag, largest_bytes);
}

GradientExchange::GradientExchange(const Communicator& ranks, const TreeDeal& deal,
                                   std::vector<Segment> layers, std::int64_t block,
                                   std::int64_t largest_message, const SharedPieces* pieces)
    : state_(std::make_unique<State>(ranks, deal, std::move(layers), block, largest_message, pieces)) {}
GradientExchange::~GradientExchange() = default;
GradientExchange::GradientExchange(GradientExchange&&) noexcept = default;

Range GradientExchange::own_slice(int layer) const { return slice(layer, state_->rank); }

Range GradientExchange::slice(int layer, int rank) const {
  return state_->slices.at(static_cast<std::size_t>(layer)).at(static_cast<std::size_t>(rank));
}

void GradientExchange::begin_step(FunctionRef<bool(Range)> present) {
  State& s = *state_;
  require(!s.in_step, ErrorKind::internal, "a step of the exchange was begun before the last one ended");
  s.in_step = true;
  s.bytes_sent_before_step = s.bytes_sent;
  s.read_presence(present);
  for (std::size_t layer = 0; layer < s.layers.size(); ++layer) {
    s.layers[layer].sent = false;
    s.layers[layer].shared = false;
    s.post_receives(static_cast<int>(layer));
  }
}

void GradientExchange::send_gradient(int layer, std::span<const float* const> pieces) {
  State& s = *state_;
  State::Traffic& traffic = s.at(layer);
  const Range slots = s.slots_of_rank[static_cast<std::size_t>(s.rank)];
  require(s.in_step && !traffic.sent, ErrorKind::internal, "the gradient of layer ", layer,
          " was sent twice or outside of a step");
  require(static_cast<std::int64_t>(pieces.size()) == slots.size(), ErrorKind::internal, "layer ", layer,
          ": ", pieces.size(), " pieces were sent, but this rank holds ", slots.size());
  const std::int64_t offset = s.segments[static_cast<std::size_t>(layer)].offset;
  for (std::size_t j = 0; j < pieces.size(); ++j) {
    const std::size_t slot = static_cast<std::size_t>(slots.begin) + j;
    require((pieces[j] != nullptr) == s.present[slot], ErrorKind::internal, "layer ", layer, ": piece ", j,
            " is ", s.present[slot] ? "missing" : "not empty", " against what begin_step was told");
    require(s.direct[slot] == nullptr || pieces[j] == nullptr || pieces[j] == s.direct[slot] + offset,
            ErrorKind::internal, "layer ", layer, ": piece ", j, " lies elsewhere than where others read it");
    traffic.operands[slot] = pieces[j] == nullptr ? nullptr : pieces[j] + (s.own(layer).begin - offset);
  }
  traffic.sent = true;
  std::atomic_thread_fence(std::memory_order_release);  // for those who read it where it lies
  for (int k = 1; k < s.size; ++k) {
    const Range slice = this->slice(layer, s.peer(k));
    if (slice.size() == 0) continue;
    const bool shared = s.shares(s.peer(k));
    if (shared && s.any_present(s.rank)) s.send_word(s.peer(k), gradient_tag(layer));
    for (const float* piece : pieces) {
      if (piece == nullptr) continue;
      if (shared) {
        s.bytes_sent += slice.size() * kFloat;
        continue;
      }
      s.send_to(s.peer(k), gradient_tag(layer), piece + (slice.begin - offset), slice.size(),
                s.gradient_sends);
    }
  }
}

void GradientExchange::wait_gradient(int layer) {
  State::Traffic& traffic = state_->at(layer);
  require(traffic.sent, ErrorKind::internal, "the gradient of layer ", layer,
          " was waited for before it was sent");
  wait(traffic.gradients, state_->ranks.watchdog());
  std::atomic_thread_fence(std::memory_order_acquire);
}

bool GradientExchange::has_gradient(int layer) {
  State::Traffic& traffic = state_->at(layer);
  if (!traffic.sent || !test(traffic.gradients)) return false;
  std::atomic_thread_fence(std::memory_order_acquire);
  return true;
}

void GradientExchange::fold(int layer, std::int64_t begin, std::int64_t count, float* sum) const {
  State& s = *state_;
  State::Traffic& traffic = s.at(layer);
  require(traffic.sent && !traffic.gradients.is_active(), ErrorKind::internal, "layer ", layer,
          " was folded before wait_gradient");
  require(begin >= 0 && count >= 0 && begin + count <= s.own(layer).size(), ErrorKind::internal, "floats ",
          begin, " to ", begin + count, " of a slice of ", s.own(layer).size(), " in layer ", layer);
  s.program->run(traffic.operands, begin, count, sum);
}

void GradientExchange::share_parameters(int layer, float* parameters) {
  State& s = *state_;
  State::Traffic& traffic = s.at(layer);
  require(s.in_step && !traffic.shared, ErrorKind::internal, "the parameters of layer ", layer,
          " were shared twice or outside of a step");
  traffic.shared = true;
  // All receives before the sends: a message that finds its receive posted needs no copy.
  for (int k = 1; k < s.size; ++k) {
    const Range slice = this->slice(layer, s.peer(k));
    receive(traffic.parameters, s.handle(), parameters + slice.begin, slice.size() * kFloat, s.peer(k),
            parameter_tag(layer), s.largest_bytes);
  }
  const Range own = s.own(layer);
  for (int k = 1; k < s.size; ++k) {
    if (own.size() > 0)
      s.send_to(s.peer(k), parameter_tag(layer), parameters + own.begin, own.size(), traffic.parameters);
  }
}

void GradientExchange::wait_parameters(int layer) {
  State::Traffic& traffic = state_->at(layer);
  require(traffic.shared, ErrorKind::internal, "the parameters of layer ", layer,
          " were waited for before they were shared");
  wait(traffic.parameters, state_->ranks.watchdog());
}

bool GradientExchange::has_parameters(int layer) {
  State::Traffic& traffic = state_->at(layer);
  return traffic.shared && test(traffic.parameters);
}

void GradientExchange::end_step() {
  State& s = *state_;
  require(s.in_step, ErrorKind::internal, "a step of the exchange was ended that was not begun");
  for (std::size_t layer = 0; layer < s.layers.size(); ++layer) {
    require(s.layers[layer].sent, ErrorKind::internal, "a step ended, but the gradient of layer ", layer,
            " was not sent");
  }
  for (State::Traffic& traffic : s.layers) {
    wait(traffic.gradients, s.ranks.watchdog());
    wait(traffic.parameters, s.ranks.watchdog());
  }
  wait(s.gradient_sends, s.ranks.watchdog());
  s.in_step = false;
}

void GradientExchange::poll() const { state_->ranks.poll(); }

std::int64_t GradientExchange::bytes_sent() const { return state_->bytes_sent; }
std::int64_t GradientExchange::bytes_sent_last_step() const {
  return state_->bytes_sent - state_->bytes_sent_before_step;
}
std::int64_t GradientExchange::buffer_bytes() const { return state_->storage->size() * kFloat; }

}  // namespace trainer::comm
