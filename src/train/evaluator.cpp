#include "trainer/train/evaluator.h"

#include <algorithm>
#include <cstring>

#include "shard_fold.h"

namespace trainer::train {
namespace {

constexpr std::int64_t kChunk = nn::InferencePass::kChunk;

std::int64_t chunks_of(std::int64_t rows) { return std::max<std::int64_t>(1, (rows + kChunk - 1) / kChunk); }

void add(Range, Range, double* left, const double* right) {
  left[0] += right[0];
  left[1] += right[1];
}

bool always(Range) { return true; }

}  // namespace

std::vector<std::int64_t> Evaluator::sizes(std::int64_t rows) {
  std::vector<std::int64_t> list;
  if (rows >= kChunk) list.push_back(kChunk);
  if (rows % kChunk != 0) list.push_back(rows % kChunk);
  return list;
}

Evaluator::Evaluator(const comm::Communicator& world, const Team& team, const nn::RowSource& source,
                     std::int64_t rows)
    : world_(world),
      team_(team),
      source_(source),
      rows_(rows),
      deal_(chunks_of(rows), world.size()),
      fold_(std::make_unique<comm::SmallFold>(world, deal_, 2 * static_cast<std::int64_t>(sizeof(double)))) {}

nn::LossSums Evaluator::run(const nn::InferencePass& pass) {
  if (rows_ == 0) return {};
  const auto me = static_cast<std::size_t>(world_.rank());
  const Range run = deal_.runs[me];
  std::vector<double> mine(static_cast<std::size_t>(2 * run.size()));
  team_.run(run.size(), [&](std::int64_t c, int thread) {
    const std::int64_t chunk = run.begin + c;
    const nn::LossSums sums =
        pass.run(source_, {chunk * kChunk, std::min(rows_, (chunk + 1) * kChunk)}, thread);
    mine[static_cast<std::size_t>(2 * c)] = sums.loss;
    mine[static_cast<std::size_t>(2 * c + 1)] = sums.correct;
  });
  std::vector<double> pieces;
  for (const Range& piece : deal_.pieces[me]) {
    const double* folded = fold_in_place<double>(
        piece,
        [&](Range chunk) {
          return chunk.size() == 1 ? std::optional(mine.data() + 2 * (chunk.begin - run.begin))
                                   : std::nullopt;
        },
        add);
    pieces.insert(pieces.end(), folded, folded + 2);
  }
  fold_->start(pieces.data());
  std::size_t count = 0;
  for (const auto& list : deal_.pieces) count += list.size();
  std::vector<double> all(2 * count);
  std::memcpy(all.data(), fold_->finish(), all.size() * sizeof(double));
  const double* total = fold_pieces(*fold_, {0, deal_.leaves}, all.data(), 2, always, add);
  return {total[0], total[1]};
}

}  // namespace trainer::train
