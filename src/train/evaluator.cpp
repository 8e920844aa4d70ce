#include "trainer/train/evaluator.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "metrics_tally.h"
#include "shard_fold.h"

namespace trainer::train {
namespace {

constexpr std::int64_t kChunk = nn::InferencePass::kChunk;
constexpr std::int64_t kSlab = 8192;  // whole numbers that a rank gets of each other one at a time

std::int64_t chunks_of(std::int64_t rows) { return std::max<std::int64_t>(1, (rows + kChunk - 1) / kChunk); }

std::int64_t slab_of(const Measures& measures) { return std::min(kSlab, Tally::count_of(measures)); }

bool always(Range) { return true; }

}  // namespace

std::vector<std::int64_t> Evaluator::sizes(std::int64_t rows) {
  std::vector<std::int64_t> list;
  if (rows >= kChunk) list.push_back(kChunk);
  if (rows % kChunk != 0) list.push_back(rows % kChunk);
  return list;
}

Evaluator::Evaluator(const comm::Communicator& world, const Team& team, const nn::RowSource& source,
                     std::int64_t rows, Measures measures)
    : world_(world),
      team_(team),
      source_(source),
      rows_(rows),
      measures_(std::move(measures)),
      deal_(chunks_of(rows), world.size()),
      fold_(std::make_unique<comm::SmallFold>(world, deal_,
                                              width() * static_cast<std::int64_t>(sizeof(double)))) {
  if (const std::int64_t slab = slab_of(measures_); slab > 0)
    count_fold_ = std::make_unique<comm::SmallFold>(world, comm::TreeDeal(world.size(), world.size()),
                                                    slab * static_cast<std::int64_t>(sizeof(std::int64_t)));
}

Range Evaluator::rows_of(Range chunks) const {
  return {std::min(rows_, chunks.begin * kChunk), std::min(rows_, chunks.end * kChunk)};
}

/// Doubles of a chunk's record: loss, right predictions, and what the metrics fold.
std::int64_t Evaluator::width() const { return 2 + Tally::width_of(measures_); }

Measured Evaluator::run(const nn::InferencePass& pass) {
  Measured measured;
  if (rows_ == 0) return measured;
  measured.rows = rows_;
  const Range run = deal_.runs[static_cast<std::size_t>(world_.rank())];
  std::optional<Tally> tally;
  if (measures_.need_outputs()) tally.emplace(measures_, rows_of(run), team_.size());
  std::vector<double> mine(static_cast<std::size_t>(width() * run.size()));
  team_.run(run.size(), [&](std::int64_t c, int thread) {
    const Range rows = rows_of({run.begin + c, run.begin + c + 1});
    double* record = mine.data() + c * width();
    const nn::LossSums sums = pass.run(source_, rows, thread, tally ? tally->outputs(thread) : nullptr);
    record[0] = sums.loss;
    record[1] = sums.correct;
    if (tally) tally->add(source_, rows, thread, record + 2);
  });
  std::vector<double> all;
  const double* total = fold(mine, all);
  measured.sums = {total[0], total[1]};
  if (!tally) return measured;
  const std::span<std::int64_t> counts = tally->counts(world_, team_);
  add_over_ranks(counts);
  Tally::read(measures_, counts, total + 2, measured);
  return measured;
}

/// `mine`: a record for each chunk of this rank. Returns the total, which stands in `all`.
const double* Evaluator::fold(std::vector<double>& mine, std::vector<double>& all) {
  const auto me = static_cast<std::size_t>(world_.rank());
  const Range run = deal_.runs[me];
  const auto add = [this](Range left_chunks, Range right_chunks, double* left, const double* right) {
    left[0] += right[0];
    left[1] += right[1];
    Tally::merge(measures_, rows_of(left_chunks).size(), rows_of(right_chunks).size(), left + 2, right + 2);
  };
  std::vector<double> pieces;
  for (const Range& piece : deal_.pieces[me]) {
    const double* folded = fold_in_place<double>(
        piece,
        [&](Range chunk) {
          return chunk.size() == 1 ? std::optional(mine.data() + width() * (chunk.begin - run.begin))
                                   : std::nullopt;
        },
        add);
    pieces.insert(pieces.end(), folded, folded + width());
  }
  fold_->start(pieces.data());
  std::size_t count = 0;
  for (const auto& list : deal_.pieces) count += list.size();
  all.resize(count * static_cast<std::size_t>(width()));
  std::memcpy(all.data(), fold_->finish(), all.size() * sizeof(double));
  return fold_pieces(*fold_, {0, deal_.leaves}, all.data(), width(), always, add);
}

void Evaluator::add_over_ranks(std::span<std::int64_t> counts) {
  const std::int64_t slab = slab_of(measures_);
  std::vector<std::int64_t> part(static_cast<std::size_t>(slab));
  for (std::size_t begin = 0; begin < counts.size(); begin += part.size()) {
    const std::size_t size = std::min(part.size(), counts.size() - begin);
    std::copy_n(counts.begin() + static_cast<std::ptrdiff_t>(begin), size, part.begin());
    count_fold_->start(part.data());
    const std::byte* all = count_fold_->finish();
    for (std::size_t i = 0; i < size; ++i) counts[begin + i] = 0;
    for (int rank = 0; rank < world_.size(); ++rank) {
      std::memcpy(part.data(), all + static_cast<std::size_t>(rank) * part.size() * sizeof(std::int64_t),
                  part.size() * sizeof(std::int64_t));
      for (std::size_t i = 0; i < size; ++i) counts[begin + i] += part[i];
    }
  }
}

}  // namespace trainer::train
