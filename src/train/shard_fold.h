#pragma once

// Private to this room.

#include <memory>
#include <vector>

#include "trainer/comm/tree_exchange.h"
#include "trainer/nn/pass.h"

namespace trainer::train {

/// Folds gathered records in the tree: `pieces` as from SmallFold::finish (changed in place), `width` doubles
/// each. Returns the record that holds the total, null when no piece is present.
double* fold_pieces(const comm::SmallFold& index, Range node, double* pieces, std::int64_t width,
                    FunctionRef<bool(Range)> present, nn::ShardFold::Combine combine);

/// nn's fold over the shards of all ranks, by comm's small folds: one a channel.
class JobFold final : public nn::ShardFold {
 public:
  JobFold(const comm::Communicator& world, const comm::TreeDeal& deal) : world_(world), deal_(deal) {}
  void set_batch(std::int64_t batch) { batch_ = batch; }
  void start(int channel, std::span<const double> records, std::int64_t width) override;
  void finish(int channel, const Combine& combine, std::span<double> total) override;
  double seconds() const { return seconds_; }
  std::int64_t bytes_sent() const;

 private:
  struct Channel {
    std::unique_ptr<comm::SmallFold> fold;
    std::vector<double> pieces;
    std::int64_t width = 0;
  };
  const comm::Communicator& world_;
  const comm::TreeDeal& deal_;
  std::int64_t batch_ = 0;
  std::vector<Channel> channels_;
  double seconds_ = 0;
};

}  // namespace trainer::train
