#include "shard_fold.h"

#include <algorithm>
#include <cstring>

#include "trainer/core/clock.h"

namespace trainer::train {

double* fold_pieces(const comm::SmallFold& index, Range node, double* pieces, std::int64_t width,
                    FunctionRef<bool(Range)> present, nn::ShardFold::Combine combine) {
  return fold_in_place<double>(
      node,
      [&](Range at) -> std::optional<double*> {
        if (!present(at)) return nullptr;
        const std::int64_t piece = index.index_of(at);
        return piece >= 0 ? std::optional(pieces + piece * width) : std::nullopt;
      },
      combine);
}

void JobFold::start(int channel, std::span<const double> records, std::int64_t width) {
  const auto at = static_cast<std::size_t>(channel);
  if (channels_.size() <= at) channels_.resize(at + 1);
  Channel& mine = channels_[at];
  if (!mine.fold) {  // the first step makes the channels, on every rank in the same order
    mine.fold =
        std::make_unique<comm::SmallFold>(world_, deal_, width * static_cast<std::int64_t>(sizeof(double)));
    mine.width = width;
    std::size_t pieces = 0;
    for (const auto& list : deal_.pieces) pieces += list.size();
    mine.pieces.resize(pieces * static_cast<std::size_t>(width));
  }
  mine.fold->start(records.data());
}

void JobFold::finish(int channel, const Combine& combine, std::span<double> total) {
  Channel& mine = channels_[static_cast<std::size_t>(channel)];
  const Stopwatch watch;
  std::memcpy(mine.pieces.data(), mine.fold->finish(), mine.pieces.size() * sizeof(double));
  seconds_ += watch.seconds();
  const auto present = [this](Range node) { return nn::TrainingPass::present(node, batch_, deal_.leaves); };
  const double* folded =
      fold_pieces(*mine.fold, {0, deal_.leaves}, mine.pieces.data(), mine.width, present, combine);
  if (folded != nullptr) std::copy_n(folded, mine.width, total.begin());
}

std::int64_t JobFold::bytes_sent() const {
  std::int64_t sum = 0;
  for (const Channel& channel : channels_)
    if (channel.fold) sum += channel.fold->bytes_sent();
  return sum;
}

}  // namespace trainer::train
