#include "trainer/train/step.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>

#include "shard_fold.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/buffer.h"
#include "trainer/core/clock.h"
#include "trainer/core/finite.h"

namespace trainer::train {
namespace {

/// What every rank tells every other before parameters change.
struct Flags {
  double not_finite_layer = -1;      ///< a layer whose gradient is not finite in this rank's slice
  double not_finite_statistic = -1;  ///< a running statistic
  double stop = 0;
  double checkpoint = 0;
};

void take_lowest(double& merged, double one) {
  if (one >= 0 && (merged < 0 || one < merged)) merged = one;
}

std::vector<comm::Segment> segments(const nn::Network& network) {
  std::vector<comm::Segment> list;
  for (const auto& layer : network.layers()) list.push_back({layer.offset, layer.size});
  return list;
}

/// Measures how long the threads spend gathering rows.
class TimedSource final : public nn::RowSource {
 public:
  TimedSource(const nn::RowSource& source, int threads) : source_(source), threads_(threads) {}
  void inputs(Range rows, float* out) const override {
    const Stopwatch watch;
    source_.inputs(rows, out);
    nanoseconds_.fetch_add(static_cast<std::int64_t>(watch.seconds() * 1e9), std::memory_order_relaxed);
  }
  void classes(Range rows, std::int32_t* out) const override { source_.classes(rows, out); }
  void values(Range rows, float* out) const override { source_.values(rows, out); }
  std::int64_t sample(std::int64_t row) const override { return source_.sample(row); }
  double seconds() const { return static_cast<double>(nanoseconds_.load()) * 1e-9 / threads_; }

 private:
  const nn::RowSource& source_;
  int threads_;
  mutable std::atomic<std::int64_t> nanoseconds_{0};
};

}  // namespace

std::int64_t block_floats(std::int64_t parameter_floats) {
  const auto wanted = static_cast<std::uint64_t>(std::max<std::int64_t>(1, parameter_floats / 2048));
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::bit_floor(wanted)), 16, 4096);
}

struct Step::State {
  const comm::Communicator& world;
  Team& team;
  const nn::Network& network;
  const optim::Optimizer& optimizer;
  Settings settings;
  comm::TreeDeal deal;
  JobFold fold;
  nn::TrainingPass pass;
  std::int64_t block;
  comm::GradientExchange exchange;
  comm::SmallFold loss_fold;
  comm::TreeDeal rank_deal;  // one leaf a rank: what every rank tells every other
  comm::SmallFold flag_fold;
  comm::SmallFold update_fold;
  std::unique_ptr<comm::SmallFold> norm_fold;

  Buffer<float> parameters, statistics;
  Buffer<float> gradient;                 // this rank's slices, one after the other
  std::vector<Buffer<float>> opt_state;   // likewise
  std::vector<std::int64_t> slice_begin;  // by layer: where its slice begins in these
  std::vector<double> block_sums;         // by block of this rank's slices: sum of squares of the gradient

  /// A stretch of one layer's slice, inside one tensor's penalty: the unit of work of the update.
  struct Chunk {
    int layer = 0;
    std::int64_t begin = 0;  // within the slice
    std::int64_t size = 0;
    std::int64_t first_block = 0;  // in block_sums
  };
  std::vector<Chunk> chunks;
  std::vector<std::vector<Range>>
      penalised;  // by layer: the floats of the flat vector that penalties apply to
  StepSeconds seconds;
  std::int64_t batch_now = 0;
  bool in_step = false;

  State(const comm::Communicator& ranks, Team& the_team, const nn::Network& net, const nn::Loss& loss,
        nn::TargetForm form, const optim::Optimizer& opt, Settings given)
      : world(ranks),
        team(the_team),
        network(net),
        optimizer(opt),
        settings(std::move(given)),
        deal(settings.shards, world.size()),
        fold(world, deal),
        pass(network, loss, form, team, shard_plan(), settings.batches, fold),
        block(block_floats(network.parameter_floats())),
        exchange(world, deal, segments(network), block),
        loss_fold(world, deal, 2 * static_cast<std::int64_t>(sizeof(double))),
        rank_deal(world.size(), world.size()),
        flag_fold(world, rank_deal, static_cast<std::int64_t>(sizeof(Flags))),
        update_fold(world, rank_deal, static_cast<std::int64_t>(sizeof(double))),
        parameters(network.parameter_floats()),
        statistics(network.statistic_floats()) {
    std::int64_t floats = 0, blocks = 0;
    for (int layer = 0; layer < layers(); ++layer) {
      const std::int64_t size = exchange.own_slice(layer).size();
      slice_begin.push_back(floats);
      // Chunks of whole blocks: large enough for a thread, small enough for its first-level cache.
      const std::int64_t chunk = std::max<std::int64_t>(1, 4096 / block) * block;
      for (std::int64_t begin = 0; begin < size; begin += chunk) {
        chunks.push_back({layer, begin, std::min(chunk, size - begin), blocks});
        blocks += (chunks.back().size + block - 1) / block;
      }
      floats += size;
    }
    gradient = Buffer<float>(floats);
    for (std::size_t k = 0; k < optimizer.state_names().size(); ++k) opt_state.emplace_back(floats);
    block_sums.resize(static_cast<std::size_t>(blocks));
    find_penalised();
    if (settings.clip_norm > 0 || settings.report_gradient_norm)
      norm_fold = std::make_unique<comm::SmallFold>(world, rank_deal, most_blocks() * 8);
    team.set_poll([this] { exchange.poll(); });
  }

  ~State() { team.set_poll({}); }

  int layers() const { return static_cast<int>(network.layers().size()); }

  nn::ShardPlan shard_plan() const {
    const auto me = static_cast<std::size_t>(world.rank());
    return {settings.shards, deal.runs[me], deal.pieces[me]};
  }

  void find_penalised() {
    for (const auto& layer : network.layers()) {
      auto& ranges = penalised.emplace_back();
      for (const int t : layer.tensors) {
        const nn::Tensor& tensor = network.parameters()[static_cast<std::size_t>(t)];
        if (settings.penalty.all_parameters || tensor.is_dense_weight())
          ranges.push_back({tensor.offset, tensor.offset + tensor.size});
      }
    }
  }

  std::int64_t slice_blocks(int layer, int rank) const {
    return (exchange.slice(layer, rank).size() + block - 1) / block;
  }

  std::int64_t most_blocks() const {
    std::int64_t most = 1;
    for (int rank = 0; rank < world.size(); ++rank) {
      std::int64_t sum = 0;
      for (int layer = 0; layer < layers(); ++layer) sum += slice_blocks(layer, rank);
      most = std::max(most, sum);
    }
    return most;
  }

  /// Calls work(flat offset, offset in `gradient`, count) for the parts of a chunk that penalties apply to.
  template <class Work>
  void for_penalised(const Chunk& chunk, const Work& work) const {
    const Range slice = exchange.own_slice(chunk.layer);
    const std::int64_t begin = slice.begin + chunk.begin, end = begin + chunk.size;
    for (const Range& range : penalised[static_cast<std::size_t>(chunk.layer)]) {
      const std::int64_t from = std::max(begin, range.begin), to = std::min(end, range.end);
      if (from < to)
        work(from, slice_begin[static_cast<std::size_t>(chunk.layer)] + from - slice.begin, to - from);
    }
  }

  /// This rank's slices of the mean gradient, penalties included, and the sums of squares of its blocks.
  void fold_gradients(std::int64_t batch) {
    const optim::Penalty& penalty = settings.penalty;
    team.run(static_cast<std::int64_t>(chunks.size()), [&](std::int64_t c, int) {
      const Chunk& chunk = chunks[static_cast<std::size_t>(c)];
      float* mine = gradient.data() + slice_begin[static_cast<std::size_t>(chunk.layer)] + chunk.begin;
      exchange.fold(chunk.layer, chunk.begin, chunk.size, mine);
      optim::divide(mine, chunk.size, static_cast<float>(batch));
      if (penalty.l1 > 0 || penalty.l2 > 0)
        for_penalised(chunk, [&](std::int64_t flat, std::int64_t at, std::int64_t count) {
          optim::add_penalty_gradient(gradient.data() + at, parameters.data() + flat, count, penalty.l1,
                                      penalty.l2);
        });
      for (std::int64_t b = 0; b * block < chunk.size; ++b)
        block_sums[static_cast<std::size_t>(chunk.first_block + b)] =
            optim::sum_of_squares(mine + b * block, std::min(block, chunk.size - b * block));
    });
  }

  Flags exchange_flags(StepRequests requests) {
    Flags mine;
    mine.stop = requests.stop ? 1 : 0;
    mine.checkpoint = requests.checkpoint ? 1 : 0;
    for (const Chunk& chunk : chunks)
      for (std::int64_t b = 0; b * block < chunk.size && mine.not_finite_layer < 0; ++b)
        if (!std::isfinite(block_sums[static_cast<std::size_t>(chunk.first_block + b)]))
          mine.not_finite_layer = chunk.layer;
    const auto& tensors = network.statistics();
    for (std::size_t t = 0; t < tensors.size() && mine.not_finite_statistic < 0; ++t)
      if (!all_finite(statistics.data() + tensors[t].offset, tensors[t].size))
        mine.not_finite_statistic = static_cast<double>(t);
    if (world.size() == 1) return mine;
    flag_fold.start(&mine);
    std::vector<Flags> all(static_cast<std::size_t>(world.size()));
    std::memcpy(all.data(), flag_fold.finish(), all.size() * sizeof(Flags));
    Flags merged;
    for (const Flags& flags : all) {
      take_lowest(merged.not_finite_layer, flags.not_finite_layer);
      take_lowest(merged.not_finite_statistic, flags.not_finite_statistic);
      merged.stop = std::max(merged.stop, flags.stop);
      merged.checkpoint = std::max(merged.checkpoint, flags.checkpoint);
    }
    return merged;
  }

  /// The norm of the whole gradient: sums of squares over blocks, added layer by layer in the order of the
  /// blocks.
  double gradient_norm() {
    std::vector<double> mine(static_cast<std::size_t>(most_blocks()), 0.0);
    std::copy(block_sums.begin(), block_sums.end(), mine.begin());
    norm_fold->start(mine.data());
    const std::size_t record = mine.size();
    std::vector<double> all(record * static_cast<std::size_t>(world.size()));
    std::memcpy(all.data(), norm_fold->finish(), all.size() * sizeof(double));
    std::vector<std::size_t> next(static_cast<std::size_t>(world.size()), 0);
    double sum = 0;
    for (int layer = 0; layer < layers(); ++layer)
      for (int rank = 0; rank < world.size(); ++rank)
        for (std::int64_t b = 0; b < slice_blocks(layer, rank); ++b)
          sum += all[static_cast<std::size_t>(rank) * record + next[static_cast<std::size_t>(rank)]++];
    return std::sqrt(sum);
  }

  /// Updates this rank's slices. Returns a layer whose parameters are not finite afterwards, or -1.
  double update(double rate, std::int64_t step, double factor) {
    std::atomic<int> not_finite{-1};
    team.run(static_cast<std::int64_t>(chunks.size()), [&](std::int64_t c, int) {
      const Chunk& chunk = chunks[static_cast<std::size_t>(c)];
      const std::int64_t at = slice_begin[static_cast<std::size_t>(chunk.layer)] + chunk.begin;
      if (factor != 1) optim::multiply(gradient.data() + at, chunk.size, static_cast<float>(factor));
      std::array<float*, 4> state{};
      for (std::size_t k = 0; k < opt_state.size(); ++k) state[k] = opt_state[k].data() + at;
      float* mine = parameters.data() + exchange.own_slice(chunk.layer).begin + chunk.begin;
      optimizer.update(mine, gradient.data() + at, std::span<float* const>(state.data(), opt_state.size()),
                       chunk.size, rate, step);
      bool finite = all_finite(mine, chunk.size);
      for (std::size_t k = 0; k < opt_state.size(); ++k) finite = finite && all_finite(state[k], chunk.size);
      if (!finite) not_finite = chunk.layer;
    });
    return not_finite.load();
  }

  void start_loss(std::span<const nn::LossSums> sums) {
    std::vector<double> records;
    for (const nn::LossSums& piece : sums) {
      records.push_back(piece.loss);
      records.push_back(piece.correct);
    }
    loss_fold.start(records.data());
  }

  void finish_loss(std::int64_t batch, StepResult& result) {
    std::size_t pieces = 0;
    for (const auto& list : deal.pieces) pieces += list.size();
    std::vector<double> records(2 * pieces);
    std::memcpy(records.data(), loss_fold.finish(), records.size() * sizeof(double));
    const double* total = fold_pieces(
        loss_fold, {0, deal.leaves}, records.data(), 2,
        [&](Range node) { return nn::TrainingPass::present(node, batch, deal.leaves); },
        [](Range, Range, double* left, const double* right) {
          left[0] += right[0];
          left[1] += right[1];
        });
    result.loss_sum = total[0];
    result.correct = total[1];
  }

  void send(int layer, std::int64_t batch) {
    std::array<const float*, 64> few{};
    const auto& pieces = deal.pieces[static_cast<std::size_t>(world.rank())];
    require(pieces.size() <= few.size(), ErrorKind::internal, pieces.size(), " subtrees on one rank");
    for (std::size_t p = 0; p < pieces.size(); ++p)
      few[p] = nn::TrainingPass::present(pieces[p], batch, deal.leaves)
                   ? pass.gradient(p) + network.layers()[static_cast<std::size_t>(layer)].offset
                   : nullptr;
    exchange.send_gradient(layer, std::span<const float* const>(few.data(), pieces.size()));
  }

  StepResult run(const nn::RowSource& source, std::int64_t batch, std::int64_t step, double rate,
                 StepRequests requests) {
    const Stopwatch total;
    const double folds_before = fold.seconds();
    TimedSource timed(source, team.size());
    StepResult result;
    result.rows = batch;
    batch_now = batch;
    in_step = true;
    fold.set_batch(batch);
    exchange.begin_step([&](Range node) { return nn::TrainingPass::present(node, batch, deal.leaves); });
    start_loss(pass.forward(timed, batch, settings.seed, static_cast<std::uint64_t>(step), parameters.data(),
                            statistics.data()));
    pass.backward([&](int layer) { send(layer, batch); });

    const Stopwatch waiting;
    finish_loss(batch, result);
    exchange.wait_gradient(0);
    const double wait = waiting.seconds();
    const Stopwatch gathering;
    for (int layer = 1; layer < layers(); ++layer) exchange.wait_gradient(layer);
    double communicate = gathering.seconds() + fold.seconds() - folds_before;

    fold_gradients(batch);
    const Stopwatch telling;
    const Flags flags = exchange_flags(requests);
    result.stop_requested = flags.stop > 0;
    result.checkpoint_requested = flags.checkpoint > 0;
    if (norm_fold) result.gradient_norm = gradient_norm();
    communicate += telling.seconds();
    require_finite(result, flags, step);
    const double not_finite =
        update(rate, step, optim::clip_factor(result.gradient_norm, settings.clip_norm));

    const Stopwatch sharing;
    update_fold.start(&not_finite);
    for (int layer = layers(); layer-- > 0;) exchange.share_parameters(layer, parameters.data());
    for (int layer = layers(); layer-- > 0;) exchange.wait_parameters(layer);
    exchange.end_step();
    in_step = false;
    require_finite_update(step);
    communicate += sharing.seconds();
    seconds.total += total.seconds();
    seconds.read += timed.seconds();
    seconds.wait += wait;
    seconds.communicate += communicate;
    return result;
  }

  /// All ranks know the same loss and flags, so all of them throw or none. Collective when they throw.
  void require_finite(const StepResult& result, const Flags& flags, std::int64_t step) const {
    std::string what;
    if (!std::isfinite(result.loss_sum))
      what = text("the loss is ", format_number(result.loss_sum));
    else if (flags.not_finite_statistic >= 0)
      what = text(network.statistics()[static_cast<std::size_t>(flags.not_finite_statistic)].path,
                  " is not finite");
    else if (flags.not_finite_layer >= 0)
      what = text("the gradient of layer ",
                  network.layers()[static_cast<std::size_t>(flags.not_finite_layer)].path, " is not finite");
    if (what.empty()) return;
    throw comm::AgreedError(ErrorKind::numeric,
                            text("step ", step, ": ", what, where_not_finite(flags),
                                 "; no parameter was changed by this step and the last checkpoint is intact. "
                                 "Try a smaller --lr, --clip-norm, or a --warmup"));
  }

  /// The same after the update, which every rank makes for its slices alone.
  void require_finite_update(std::int64_t step) {
    std::vector<double> all(static_cast<std::size_t>(world.size()));
    std::memcpy(all.data(), update_fold.finish(), all.size() * sizeof(double));
    const auto bad = std::ranges::find_if(all, [](double layer) { return layer >= 0; });
    if (bad == all.end()) return;
    const std::vector<std::string> hosts = world.all_gather(comm::host_name());
    const auto rank = static_cast<std::size_t>(bad - all.begin());
    throw comm::AgreedError(
        ErrorKind::numeric,
        text("step ", step, ": the update of layer ", network.layers()[static_cast<std::size_t>(*bad)].path,
             " on rank ", rank, " (", hosts[rank],
             ") gave parameters or a state of the optimizer that are not finite; they are not saved and the "
             "last "
             "checkpoint is intact. Try a smaller --lr, --clip-norm, or a --warmup"));
  }

  /// Collective. Where values that are not finite came up first: in the order of computation, over all ranks.
  std::string where_not_finite(const Flags& flags) const {
    constexpr std::int64_t kInGradients = std::int64_t{1} << 40, kNowhere = kInGradients + 1;
    std::int64_t place = kNowhere;
    std::string mine;
    if (const auto found = pass.find_not_finite()) {
      place = static_cast<std::int64_t>(found->place);
      mine = text(found->layer.empty() ? "in the inputs" : "in the output of layer " + found->layer,
                  ", rows ", found->rows.begin, " to ", found->rows.end - 1,
                  " of the batch (the first is row ", found->sample, " of the data)");
    } else if (flags.not_finite_layer >= 0) {
      mine = gradient_rows(network.layers()[static_cast<std::size_t>(flags.not_finite_layer)]);
      if (!mine.empty()) place = kInGradients;
    }
    const std::vector<std::int64_t> places = world.all_gather(place);
    const std::vector<std::string> all =
        world.all_gather(text(mine, ", rank ", world.rank(), " on ", comm::host_name()));
    const auto first = std::ranges::min_element(places);
    return *first == kNowhere ? "" : ", first " + all[static_cast<std::size_t>(first - places.begin())];
  }

  /// The shards of this rank whose sum of a layer's gradient is not finite; empty when all are.
  std::string gradient_rows(const nn::ParameterLayer& layer) const {
    const auto& pieces = deal.pieces[static_cast<std::size_t>(world.rank())];
    for (std::size_t p = 0; p < pieces.size(); ++p) {
      if (!nn::TrainingPass::present(pieces[p], batch_now, deal.leaves)) continue;
      if (all_finite(pass.gradient(p) + layer.offset, layer.size)) continue;
      return text("in the sum over rows ", cut(batch_now, deal.leaves, pieces[p].begin).begin, " to ",
                  cut(batch_now, deal.leaves, pieces[p].end - 1).end - 1, " of the batch");
    }
    return "";
  }
};

Step::Step(const comm::Communicator& world, Team& team, const nn::Network& network, const nn::Loss& loss,
           nn::TargetForm form, const optim::Optimizer& optimizer, Settings settings)
    : state_(std::make_unique<State>(world, team, network, loss, form, optimizer, std::move(settings))) {}
Step::~Step() {
  // An exception has left a step unfinished: MPI may still read and write its buffers until the job ends.
  if (state_->in_step) static_cast<void>(state_.release());
}

Range Step::rows(std::int64_t batch) const { return state_->pass.rows(batch); }

StepResult Step::run(const nn::RowSource& source, std::int64_t batch, std::int64_t step, double rate,
                     StepRequests requests) {
  return state_->run(source, batch, step, rate, requests);
}

std::span<float> Step::parameters() { return state_->parameters.span(); }
std::span<float> Step::statistics() { return state_->statistics.span(); }
std::span<const float> Step::parameters() const { return state_->parameters.span(); }
std::span<const float> Step::statistics() const { return state_->statistics.span(); }

std::vector<float> Step::gather_state(std::size_t index) const {
  const State& state = *state_;
  std::vector<float> flat;
  if (state.world.rank() == 0) flat.resize(static_cast<std::size_t>(state.parameters.size()));
  for (int layer = 0; layer < state.layers(); ++layer) {
    const std::int64_t count = state.exchange.own_slice(layer).size();
    const float* mine = state.opt_state[index].data() + state.slice_begin[static_cast<std::size_t>(layer)];
    const std::vector<float> whole = state.world.gather(mine, count, 0);
    const auto offset = state.network.layers()[static_cast<std::size_t>(layer)].offset;
    std::copy(whole.begin(), whole.end(),
              flat.begin() + static_cast<std::ptrdiff_t>(state.world.rank() == 0 ? offset : 0));
  }
  return flat;
}

void Step::set_state(std::size_t index, std::span<const float> flat) {
  State& state = *state_;
  for (int layer = 0; layer < state.layers(); ++layer) {
    const Range slice = state.exchange.own_slice(layer);
    std::copy_n(flat.begin() + static_cast<std::ptrdiff_t>(slice.begin), slice.size(),
                state.opt_state[index].data() + state.slice_begin[static_cast<std::size_t>(layer)]);
  }
}

double Step::penalty() const {
  const State& state = *state_;
  const optim::Penalty& penalty = state.settings.penalty;
  if (penalty.l1 == 0 && penalty.l2 == 0) return 0;
  double sum = 0;
  for (const auto& ranges : state.penalised)
    for (const Range& range : ranges)
      sum +=
          optim::penalty_value(state.parameters.data() + range.begin, range.size(), penalty.l1, penalty.l2);
  return sum;
}

const StepSeconds& Step::seconds() const { return state_->seconds; }
std::int64_t Step::bytes_sent_last_step() const { return state_->exchange.bytes_sent_last_step(); }
std::int64_t Step::bytes_sent() const {
  const State& state = *state_;
  return state.exchange.bytes_sent() + state.fold.bytes_sent() + state.loss_fold.bytes_sent() +
         state.flag_fold.bytes_sent() + state.update_fold.bytes_sent() +
         (state.norm_fold ? state.norm_fold->bytes_sent() : 0);
}

std::int64_t Step::memory_bytes() const {
  const State& state = *state_;
  std::int64_t sum = state.pass.memory_bytes() + state.exchange.buffer_bytes();
  sum += (state.parameters.size() + state.statistics.size() + state.gradient.size()) * 4;
  for (const auto& buffer : state.opt_state) sum += buffer.size() * 4;
  return sum;
}

std::int64_t Step::pieces_of_job() const {
  std::int64_t sum = 0;
  for (const auto& list : state_->deal.pieces) sum += static_cast<std::int64_t>(list.size());
  return sum;
}

}  // namespace trainer::train
