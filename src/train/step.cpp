#include "trainer/train/step.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <exception>
#include <utility>

#include "shard_fold.h"
#include "slice_update.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/comm/shared_pieces.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/buffer.h"
#include "trainer/core/clock.h"
#include "trainer/core/finite.h"
#include "trainer/optim/average.h"
#include "trainer/optim/max_norm.h"

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

/// Measures how long the threads spend gathering rows.
class TimedSource final : public nn::RowSource {
 public:
  TimedSource(const nn::RowSource& source, int threads) : source_(source), threads_(threads) {}
  void inputs(Range rows, float* out) const override {
    timed([&] { source_.inputs(rows, out); });
  }
  void classes(Range rows, std::int32_t* out) const override {
    timed([&] { source_.classes(rows, out); });
  }
  void values(Range rows, float* out) const override {
    timed([&] { source_.values(rows, out); });
  }
  bool weighted() const override { return source_.weighted(); }
  void weights(Range rows, float* out) const override { source_.weights(rows, out); }
  std::int64_t sample(std::int64_t row) const override { return source_.sample(row); }
  double seconds() const { return static_cast<double>(nanoseconds_.load()) * 1e-9 / threads_; }

 private:
  template <class Work>
  void timed(const Work& work) const {
    const Stopwatch watch;
    work();
    nanoseconds_.fetch_add(static_cast<std::int64_t>(watch.seconds() * 1e9), std::memory_order_relaxed);
  }

  const nn::RowSource& source_;
  int threads_;
  mutable std::atomic<std::int64_t> nanoseconds_{0};
};

}  // namespace

std::int64_t block_floats(std::int64_t parameter_floats) {
  const auto wanted = static_cast<std::uint64_t>(std::max<std::int64_t>(1, parameter_floats / 2048));
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::bit_floor(wanted)), 16, 4096);
}

struct Step::State final : nn::Arrival {
  const comm::Communicator& world;
  Team& team;
  const nn::Network& network;
  const optim::Optimizer& optimizer;
  Settings settings;
  comm::TreeDeal deal;
  comm::SharedPieces gradients;  ///< the gradients
  JobFold fold;
  nn::TrainingPass pass;
  std::int64_t block;
  comm::GradientExchange exchange;
  comm::SmallFold loss_fold;
  comm::TreeDeal rank_deal;  // one leaf a rank: what every rank tells every other
  comm::SmallFold flag_fold;
  comm::SmallFold update_fold;

  Buffer<float> parameters, statistics, average_statistics;
  bool has_average = false;  ///< of a step at least
  SliceUpdate slices;
  StepSeconds seconds;
  std::int64_t batch_now = 0;
  bool in_step = false;  ///< run() is under way
  bool sharing = false;  ///< the parameters of the last step may still be on their way
  double arrival_seconds = 0;
  // Kept from step to step, so that a step asks for no memory.
  std::vector<double> loss_records;
  struct Columns {
    std::vector<double> sums;
    std::vector<float> factors;
  };
  std::vector<Columns> columns;  ///< by thread: of limit_norms()

  State(const comm::Communicator& ranks, Team& the_team, const nn::Network& net, const nn::Loss& loss,
        nn::TargetForm form, const optim::Optimizer& opt, Settings given)
      : world(ranks),
        team(the_team),
        network(net),
        optimizer(opt),
        settings(std::move(given)),
        deal(settings.shards, world.size()),
        gradients(world, deal, network.parameter_floats(), settings.shared_gradients),
        fold(world, deal),
        pass(network, loss, form, team, shard_plan(), settings.batches, fold, settings.measured),
        block(block_floats(network.parameter_floats())),
        exchange(world, deal, SliceUpdate::segments(network), block, comm::GradientExchange::kLargest,
                 &gradients),
        loss_fold(world, deal, 2 * static_cast<std::int64_t>(sizeof(double))),
        rank_deal(world.size(), world.size()),
        flag_fold(world, rank_deal, static_cast<std::int64_t>(sizeof(Flags))),
        update_fold(world, rank_deal, static_cast<std::int64_t>(sizeof(double))),
        parameters(network.parameter_floats()),
        statistics(network.statistic_floats()),
        slices(world, team, network, optimizer, exchange, block,
               {settings.penalty, settings.average, settings.tensor_norms}) {
    settings.overlap = settings.overlap && world.size() > 1;
    if (settings.max_norm > 0) columns.resize(static_cast<std::size_t>(team.size()));
    if (settings.average > 0) average_statistics = Buffer<float>(network.statistic_floats());
    team.set_poll([this] { exchange.poll(); });
  }

  ~State() override { team.set_poll({}); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  int layers() const { return static_cast<int>(network.layers().size()); }

  bool norm_wanted() const { return settings.clip_norm > 0 || settings.report_gradient_norm; }

  nn::ShardPlan shard_plan() {
    const auto me = static_cast<std::size_t>(world.rank());
    nn::ShardPlan plan{settings.shards, deal.runs[me], deal.pieces[me]};
    for (std::size_t p = 0; p < plan.pieces.size(); ++p) plan.gradients.push_back(gradients.mine(p));
    return plan;
  }

  Flags exchange_flags(StepRequests requests) {
    Flags mine;
    mine.stop = requests.stop ? 1 : 0;
    mine.checkpoint = requests.checkpoint ? 1 : 0;
    mine.not_finite_layer = slices.not_finite_layer();
    const auto& tensors = network.statistics();
    for (std::size_t t = 0; t < tensors.size() && mine.not_finite_statistic < 0; ++t)
      if (!all_finite(statistics.data() + tensors[t].offset, tensors[t].size))
        mine.not_finite_statistic = static_cast<double>(t);
    if (world.size() == 1) return mine;
    flag_fold.start(&mine);
    const std::byte* all = flag_fold.finish();
    Flags merged;
    for (int rank = 0; rank < world.size(); ++rank) {
      Flags flags;
      std::memcpy(&flags, all + static_cast<std::size_t>(rank) * sizeof(Flags), sizeof(Flags));
      take_lowest(merged.not_finite_layer, flags.not_finite_layer);
      take_lowest(merged.not_finite_statistic, flags.not_finite_statistic);
      merged.stop = std::max(merged.stop, flags.stop);
      merged.checkpoint = std::max(merged.checkpoint, flags.checkpoint);
    }
    return merged;
  }

  void start_loss(std::span<const nn::LossSums> sums) {
    loss_records.clear();
    for (const nn::LossSums& piece : sums) {
      loss_records.push_back(piece.loss);
      loss_records.push_back(piece.correct);
    }
    loss_fold.start(loss_records.data());
  }

  void finish_loss(std::int64_t batch, StepResult& result) {
    std::size_t records = 0;
    for (const auto& list : deal.pieces) records += list.size();
    loss_records.resize(2 * records);
    std::memcpy(loss_records.data(), loss_fold.finish(), loss_records.size() * sizeof(double));
    const double* total = fold_pieces(
        loss_fold, {0, deal.leaves}, loss_records.data(), 2,
        [&](Range node) { return nn::TrainingPass::present(node, batch, deal.leaves); },
        [](Range, Range, double* left, const double* right) {
          left[0] += right[0];
          left[1] += right[1];
        });
    result.loss_sum = total[0];
    result.correct = total[1];
  }

  // ---- parameters, which come in from their owners after a step

  bool is_here(int layer) override { return !sharing || exchange.has_parameters(layer); }

  void wait(int layer) override {
    const Stopwatch watch;
    exchange.wait_parameters(layer);
    arrival_seconds += watch.seconds();
  }

  /// What next reads more than this rank's slices, or ends the use of the step, waits here.
  void finish_sharing() {
    if (!sharing) return;
    for (int layer = layers(); layer-- > 0;) exchange.wait_parameters(layer);
    exchange.end_step();
    sharing = false;
  }

  /// The same outside of run(), whose own time it is no part of.
  float* whole_parameters() {
    if (sharing) {
      const Stopwatch watch;
      finish_sharing();
      const double waited = watch.seconds();
      seconds.total += waited;
      seconds.communicate += waited;
    }
    return parameters.data();
  }

  // ---- the step

  void send(int layer, std::int64_t batch) {
    std::array<const float*, 64> few{};
    const auto& mine = deal.pieces[static_cast<std::size_t>(world.rank())];
    require(mine.size() <= few.size(), ErrorKind::internal, mine.size(), " subtrees on one rank");
    for (std::size_t p = 0; p < mine.size(); ++p)
      few[p] = nn::TrainingPass::present(mine[p], batch, deal.leaves)
                   ? pass.gradient(p) + network.layers()[static_cast<std::size_t>(layer)].offset
                   : nullptr;
    exchange.send_gradient(layer, std::span<const float* const>(few.data(), mine.size()));
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
    pass.observe(requests.observe);
    fold.set_batch(batch);
    arrival_seconds = 0;
    const std::span<const nn::LossSums> loss =
        pass.forward(timed, batch, settings.seed, static_cast<std::uint64_t>(step), parameters.data(),
                     statistics.data(), this);
    const Stopwatch ending;
    finish_sharing();  // and with it the last step's exchange, before its gradients are written over
    double communicate = arrival_seconds + ending.seconds();
    exchange.begin_step([&](Range node) { return nn::TrainingPass::present(node, batch, deal.leaves); });
    start_loss(loss);
    pass.backward([&](int layer) { send(layer, batch); });

    const Stopwatch waiting;
    finish_loss(batch, result);
    exchange.wait_gradient(0);
    const double wait = waiting.seconds();
    communicate += fold_gradients(batch, requests.observe) + fold.seconds() - folds_before;
    if (norm_wanted()) slices.start_gradient_norm();
    const Stopwatch telling;
    const Flags flags = exchange_flags(requests);
    result.stop_requested = flags.stop > 0;
    result.checkpoint_requested = flags.checkpoint > 0;
    if (norm_wanted()) result.gradient_norm = slices.finish_gradient_norm();
    communicate += telling.seconds();
    require_finite(result, flags, step);
    if (requests.observe) result.observation = {pass.observation(), slices.loss_gradient_square(), {}};
    const double not_finite = slices.update(parameters.data(), rate, step,
                                            optim::clip_factor(result.gradient_norm, settings.clip_norm));

    const Stopwatch sharing_time;
    update_fold.start(&not_finite);
    for (int layer = layers(); layer-- > 0;) exchange.share_parameters(layer, parameters.data());
    sharing = true;
    in_step = false;
    if (!settings.overlap || settings.max_norm > 0) finish_sharing();
    require_finite_update(step);
    communicate += sharing_time.seconds();
    if (settings.max_norm > 0) limit_norms();
    if (settings.average > 0) take_average(step);
    if (requests.observe && settings.tensor_norms)
      result.observation->tensors = slices.tensor_norms(parameters.data());
    seconds.total += total.seconds();
    seconds.read += timed.seconds();
    seconds.wait += wait;
    seconds.communicate += communicate;
    return result;
  }

  /// The gradients of this rank's slices: those that are here while the others are on their way. Returns the
  /// seconds of waiting.
  double fold_gradients(std::int64_t batch, bool observe) {
    double waited = 0;
    for (int first = 0, end = 0; first < layers(); first = end) {
      const Stopwatch watch;
      for (end = first; end < layers() && (end == first || !settings.overlap || exchange.has_gradient(end));
           ++end)
        exchange.wait_gradient(end);
      waited += watch.seconds();
      slices.fold({first, end}, batch, parameters.data(), observe);
    }
    return waited;
  }

  /// Max-norm on every rank's own copy of all weights: reading them costs less than telling each other norms.
  void limit_norms() {
    for (const nn::Tensor& tensor : network.parameters()) {
      if (!tensor.is_dense_weight()) continue;
      const std::int64_t inputs = tensor.shape[1], width = tensor.panel;
      team.run(tensor.shape[0] / width, [&](std::int64_t panel, int thread) {
        float* weights = parameters.data() + tensor.offset + panel * inputs * width;
        auto& [sums, factors] = columns[static_cast<std::size_t>(thread)];
        sums.assign(static_cast<std::size_t>(width), 0.0);
        optim::add_column_squares(weights, inputs, width, sums.data());
        factors.clear();
        for (const double sum : sums)
          factors.push_back(static_cast<float>(optim::max_norm_factor(std::sqrt(sum), settings.max_norm)));
        if (std::ranges::any_of(factors, [](float factor) { return factor != 1; }))
          optim::multiply_columns(weights, inputs, width, factors.data());
      });
    }
  }

  void take_average(std::int64_t step) {
    slices.average(parameters.data(), step);
    optim::approach(average_statistics.data(), statistics.data(), statistics.size(),
                    static_cast<float>(optim::average_share(settings.average, step)));
    has_average = true;
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
    const std::byte* all = update_fold.finish();
    std::size_t rank = 0;
    double bad = -1;
    for (; rank < static_cast<std::size_t>(world.size()) && bad < 0; ++rank)
      std::memcpy(&bad, all + rank * sizeof(double), sizeof(double));
    if (bad < 0) return;
    --rank;
    finish_sharing();
    const std::vector<std::string> hosts = world.all_gather(comm::host_name());
    throw comm::AgreedError(
        ErrorKind::numeric,
        text("step ", step, ": the update of layer ", network.layers()[static_cast<std::size_t>(bad)].path,
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
      mine = rows_not_finite(network.layers()[static_cast<std::size_t>(flags.not_finite_layer)]);
      if (!mine.empty()) place = kInGradients;
    }
    const std::vector<std::int64_t> places = world.all_gather(place);
    const std::vector<std::string> all =
        world.all_gather(text(mine, ", rank ", world.rank(), " on ", comm::host_name()));
    const auto first = std::ranges::min_element(places);
    return *first == kNowhere ? "" : ", first " + all[static_cast<std::size_t>(first - places.begin())];
  }

  /// The shards of this rank whose sum of a layer's gradient is not finite; empty when all are.
  std::string rows_not_finite(const nn::ParameterLayer& layer) const {
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
  // Where an exception leaves a step unfinished, MPI may read and write its buffers until the job ends.
  bool unfinished = state_->in_step || (state_->sharing && std::uncaught_exceptions() > 0);
  try {
    if (!unfinished) state_->finish_sharing();
  } catch (...) {
    unfinished = true;
  }
  if (unfinished) static_cast<void>(state_.release());
}

Range Step::rows(std::int64_t batch) const { return state_->pass.rows(batch); }

StepResult Step::run(const nn::RowSource& source, std::int64_t batch, std::int64_t step, double rate,
                     StepRequests requests) {
  return state_->run(source, batch, step, rate, requests);
}

void Step::wait_for_parameters() const { static_cast<void>(state_->whole_parameters()); }

std::span<float> Step::parameters() {
  wait_for_parameters();
  return state_->parameters.span();
}
std::span<float> Step::statistics() { return state_->statistics.span(); }
std::span<const float> Step::parameters() const {
  wait_for_parameters();
  return std::as_const(state_->parameters).span();
}
std::span<const float> Step::statistics() const { return state_->statistics.span(); }

std::vector<float> Step::gather_state(std::size_t index) const { return state_->slices.gather_state(index); }
void Step::set_state(std::size_t index, std::span<const float> flat) {
  state_->slices.set_state(index, flat);
}

bool Step::has_average() const { return state_->has_average; }

void Step::gather_average(std::vector<float>& parameters, std::vector<float>& statistics) const {
  const State& state = *state_;
  parameters = state.slices.gather_average();
  statistics.clear();
  if (state.world.rank() != 0) return;
  const std::span<const float> mine = state.average_statistics.span();
  statistics.assign(mine.begin(), mine.end());
}

void Step::set_average(std::span<const float> parameters, std::span<const float> statistics) {
  state_->slices.set_average(parameters);
  std::ranges::copy(statistics, state_->average_statistics.data());
  state_->has_average = true;
}

void Step::measure(const nn::RowSource& source, std::int64_t batch, const float* parameters,
                   nn::Population& population) {
  state_->fold.set_batch(batch);
  state_->pass.measure(source, batch, parameters, population);
}

double Step::penalty() const { return state_->slices.penalty(state_->whole_parameters()); }

const StepSeconds& Step::seconds() const { return state_->seconds; }
std::int64_t Step::bytes_sent_last_step() const { return state_->exchange.bytes_sent_last_step(); }
std::int64_t Step::bytes_sent() const {
  const State& state = *state_;
  return state.exchange.bytes_sent() + state.fold.bytes_sent() + state.loss_fold.bytes_sent() +
         state.flag_fold.bytes_sent() + state.update_fold.bytes_sent() + state.slices.bytes_sent();
}

std::int64_t Step::memory_bytes() const {
  const State& state = *state_;
  return state.pass.memory_bytes() + state.gradients.memory_bytes() + state.exchange.buffer_bytes() +
         state.slices.memory_bytes() +
         (state.parameters.size() + state.statistics.size() + state.average_statistics.size()) * 4;
}

std::int64_t Step::pieces_of_job() const {
  std::int64_t sum = 0;
  for (const auto& list : state_->deal.pieces) sum += static_cast<std::int64_t>(list.size());
  return sum;
}

}  // namespace trainer::train
