// Reduce-scatter and all-gather of gradients as a step makes them (GradientExchange), against the bound
// 2(N-1)/N x n / BW and MPI's own all-reduce, in turn. Usage: mpirun -np N exchange_benchmark [ROUNDS]
//
// BW is what a rank sends in a second while all ranks send to the next one at once: MPI_Sendrecv through
// vectors of the net's size (so that they lie in the same caches, or none), in messages of the size that is
// best; the median of the rounds. "wire" is the exchange alone; "whole" has the tree's fold in it, as in a
// step. Bytes are counted by the exchange. Sums and parameters are verified before anything is timed. A time
// is the slowest rank's.

#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/buffer.h"
#include "trainer/core/clock.h"
#include "trainer/core/error.h"
#include "trainer/core/team.h"

namespace trainer::benchmarks {
namespace {

constexpr std::int64_t kBlock = 4096;
constexpr std::int64_t kMessages[] = {1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22};  // floats

struct Net {
  std::string name;
  std::vector<std::int64_t> widths;
};

const std::vector<Net> kNets = {{"784-128-10", {784, 128, 10}},
                                {"784-512-512-10", {784, 512, 512, 10}},
                                {"784-1024x3-10", {784, 1024, 1024, 1024, 10}},
                                {"784-2048x3-10", {784, 2048, 2048, 2048, 10}}};

void check(int code) { require(code == MPI_SUCCESS, ErrorKind::communication, "MPI failed: ", code); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// Greatest less least, over the median.
double spread(const std::vector<double>& values) {
  const auto [least, greatest] = std::ranges::minmax_element(values);
  return (*greatest - *least) / median(values);
}

class Measurement {
 public:
  explicit Measurement(const comm::Communicator& world)
      : world_(world), mpi_(*static_cast<MPI_Comm*>(world.handle())) {}

  /// Seconds of the slowest rank for one of `times` calls.
  template <class Work>
  double seconds(int times, const Work& work) const {
    world_.barrier();
    const Stopwatch watch;
    for (int i = 0; i < times; ++i) work();
    const auto all = world_.all_gather(watch.seconds() / times);
    return *std::ranges::max_element(all);
  }

  /// Bytes a second that every rank sends to the next while it receives as many: vectors of `floats`, message
  /// by message.
  double bandwidth(std::int64_t floats, std::int64_t message) {
    if (out_.size() != floats) {
      out_ = Buffer<float>(floats);
      in_ = Buffer<float>(floats);
    }
    const int size = world_.size(), next = (world_.rank() + 1) % size,
              last = (world_.rank() + size - 1) % size;
    const double each = seconds(1, [&] {
      for (std::int64_t first = 0; first < floats; first += message) {
        const auto count = static_cast<int>(std::min(message, floats - first));
        check(MPI_Sendrecv(out_.data() + first, count, MPI_FLOAT, next, 0, in_.data() + first, count,
                           MPI_FLOAT, last, 0, mpi_, MPI_STATUS_IGNORE));
      }
    });
    return static_cast<double>(floats) * sizeof(float) / each;
  }

  double all_reduce(float* values, std::int64_t floats) const {
    return seconds(1, [&] {
      check(MPI_Allreduce(MPI_IN_PLACE, values, static_cast<int>(floats), MPI_FLOAT, MPI_SUM, mpi_));
    });
  }

 private:
  const comm::Communicator& world_;
  MPI_Comm mpi_;
  Buffer<float> out_, in_;
};

/// The gradients of a net and their way through a step.
class Exchange {
 public:
  Exchange(const comm::Communicator& world, const Net& net, std::int64_t shards)
      : world_(world),
        deal_(shards, world.size()),
        layers_(segments(net)),
        exchange_(world, deal_, layers_, kBlock) {
    floats_ = layers_.back().offset + layers_.back().size;
    parameters_ = Buffer<float>(floats_);
    for (const Range& piece : deal_.pieces[static_cast<std::size_t>(world.rank())]) {
      pieces_.emplace_back(floats_);
      for (std::int64_t i = 0; i < floats_; ++i) pieces_.back()[i] = value(piece, i);
    }
  }

  void step(bool with_fold) {
    exchange_.begin_step([](Range) { return true; });
    for (int layer = count(); layer-- > 0;) {
      places_.clear();
      for (const auto& piece : pieces_)
        places_.push_back(piece.data() + layers_[static_cast<std::size_t>(layer)].offset);
      exchange_.send_gradient(layer, places_);
    }
    for (int layer = count(); layer-- > 0;) {
      exchange_.wait_gradient(layer);
      const Range own = exchange_.own_slice(layer);
      if (with_fold) exchange_.fold(layer, 0, own.size(), parameters_.data() + own.begin);
    }
    for (int layer = count(); layer-- > 0;) exchange_.share_parameters(layer, parameters_.data());
    for (int layer = count(); layer-- > 0;) exchange_.wait_parameters(layer);
    exchange_.end_step();
  }

  /// Whole numbers, of which any order has the same sum.
  void verify() {
    step(true);
    for (std::int64_t i = 0; i < floats_; ++i) {
      float sum = 0;
      for (const auto& rank : deal_.pieces)
        for (const Range& piece : rank) sum += value(piece, i);
      require(parameters_[i] == sum, ErrorKind::internal, "parameter ", i, " is ", parameters_[i], ", not ",
              sum);
    }
  }

  std::int64_t floats() const { return floats_; }
  float* parameters() { return parameters_.data(); }
  /// Of the busiest rank.
  std::int64_t bytes_sent() const {
    const auto all = world_.all_gather(exchange_.bytes_sent_last_step());
    return *std::ranges::max_element(all);
  }

 private:
  static std::vector<comm::Segment> segments(const Net& net) {
    std::vector<comm::Segment> layers;
    std::int64_t offset = 0;
    for (std::size_t i = 0; i + 1 < net.widths.size(); ++i) {
      const std::int64_t weights = net.widths[i] * net.widths[i + 1];
      layers.push_back({offset, weights + net.widths[i + 1], {0, weights}});
      offset += layers.back().size;
    }
    return layers;
  }
  static float value(Range piece, std::int64_t i) { return static_cast<float>((piece.begin + i) % 64); }
  int count() const { return static_cast<int>(layers_.size()); }

  const comm::Communicator& world_;
  comm::TreeDeal deal_;
  std::vector<comm::Segment> layers_;
  comm::GradientExchange exchange_;
  std::int64_t floats_ = 0;
  Buffer<float> parameters_;
  std::vector<Buffer<float>> pieces_;
  std::vector<const float*> places_;
};

void measure(const comm::Communicator& world, Measurement& measurement, const Net& net, std::int64_t shards,
             int rounds) {
  Exchange exchange(world, net, shards);
  exchange.verify();
  const int times = static_cast<int>(std::clamp<std::int64_t>(4'000'000 / exchange.floats(), 1, 50));
  std::vector<double> wire, whole, all_reduce;
  std::vector<std::vector<double>> bandwidths(std::size(kMessages));
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t m = 0; m < std::size(kMessages); ++m)
      bandwidths[m].push_back(measurement.bandwidth(exchange.floats(), kMessages[m]));
    wire.push_back(measurement.seconds(times, [&] { exchange.step(false); }));
    whole.push_back(measurement.seconds(times, [&] { exchange.step(true); }));
    all_reduce.push_back(measurement.all_reduce(exchange.parameters(), exchange.floats()));
  }
  std::size_t best = 0;
  for (std::size_t m = 1; m < bandwidths.size(); ++m)
    if (median(bandwidths[m]) > median(bandwidths[best])) best = m;
  const double n = static_cast<double>(exchange.floats()) * sizeof(float), ranks = world.size();
  const double least = 2 * (ranks - 1) / ranks * n;
  const double bound = least / median(bandwidths[best]);
  const double quiet_bound = least / *std::ranges::max_element(bandwidths[best]);
  const auto sent = static_cast<double>(exchange.bytes_sent());
  if (world.rank() != 0) return;
  std::printf("%-15s %3lld %9lld %6.3f  %6.2f %6lld %9.1f", net.name.c_str(), static_cast<long long>(shards),
              static_cast<long long>(exchange.floats()), sent / least, median(bandwidths[best]) * 1e-9,
              static_cast<long long>(std::min(kMessages[best], exchange.floats()) * 4 >> 10), bound * 1e6);
  for (const auto* seconds : {&wire, &whole, &all_reduce})
    std::printf(" | %9.1f %5.0f%% %6.2f %6.2f", median(*seconds) * 1e6, 100 * spread(*seconds),
                median(*seconds) / bound, *std::ranges::min_element(*seconds) / quiet_bound);
  std::puts("");
  std::fflush(stdout);
}

}  // namespace
}  // namespace trainer::benchmarks

int main(int argc, char** argv) {
  using namespace trainer;
  using namespace trainer::benchmarks;
  make_unnamed_teams_serial();
  const comm::Environment environment(&argc, &argv);
  const auto world = comm::Communicator::world(environment);
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 15;
  if (world.size() == 1) {
    std::puts("exchange_benchmark: one rank sends nothing; start it with mpirun -np 2 or more");
    return 2;
  }
  if (world.rank() == 0) {
    std::printf(
        "%d ranks, %d rounds, medians; spread: greatest less least, over the median; best: the fastest round "
        "over the "
        "bound with the fastest BW\n",
        world.size(), rounds);
    std::puts(
        "                              bytes       BW    its     bound |      wire                      |    "
        " whole     "
        "                 | MPI_Allreduce\n"
        "net               S    floats /least    GB/s    KiB        us |        us spread /bound   best |    "
        "    us "
        "spread /bound   best |        us spread /bound   best");
  }
  Measurement measurement(world);
  for (const Net& net : kNets)
    for (const std::int64_t shards : {std::int64_t{world.size()}, std::int64_t{16}})
      if (shards >= world.size()) measure(world, measurement, net, shards, rounds);
  return 0;
}
