#include "trainer/train/evaluator.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "metrics_tally.h"
#include "shard_fold.h"

namespace trainer::train {
namespace {

constexpr std::int64_t kChunk = nn::Inference::kChunk;

std::int64_t chunks_of(std::int64_t rows) { return std::max<std::int64_t>(1, (rows + kChunk - 1) / kChunk); }

constexpr auto always = [](Range) { return true; };

}  // namespace

std::vector<std::int64_t> Evaluator::sizes(std::int64_t rows) {
  std::vector<std::int64_t> list;
  if (rows >= kChunk) list.push_back(kChunk);
  if (rows % kChunk != 0) list.push_back(rows % kChunk);
  return list;
}

Evaluator::Evaluator(const comm::Communicator& world, const Team& team, const nn::RowSource& source,
                     std::int64_t rows, const RowFacts& facts, const Measures& measures)
    : world_(world),
      team_(team),
      source_(source),
      rows_(rows),
      asked_(std::make_unique<const Asked>(Asked{facts, measures})),
      deal_(chunks_of(rows), world.size()),
      fold_(std::make_unique<comm::SmallFold>(world, deal_,
                                              width() * static_cast<std::int64_t>(sizeof(double)))) {}

Evaluator::~Evaluator() = default;

Range Evaluator::rows_of(Range chunks) const {
  return {std::min(rows_, chunks.begin * kChunk), std::min(rows_, chunks.end * kChunk)};
}

/// Doubles of a chunk's record: loss, right predictions, and what the metrics fold.
std::int64_t Evaluator::width() const { return 2 + Tally::width_of(*asked_); }

Measured Evaluator::run(const nn::Inference& pass, const data::Scaling& targets) {
  const RowFacts& facts = asked_->facts;
  require(!asked_->measures.errors || targets.features() == 0 || targets.features() == facts.outputs,
          ErrorKind::internal, "a scaling of ", targets.features(), " columns for ", facts.outputs,
          " outputs");
  Measured measured;
  if (rows_ == 0) return measured;
  measured.rows = rows_;
  const Range run = deal_.runs[static_cast<std::size_t>(world_.rank())];
  std::optional<Tally> tally;
  if (asked_->measures.any()) tally.emplace(*asked_, rows_of(run), team_.size(), pass.threshold(), targets);
  std::vector<double> mine(static_cast<std::size_t>(width() * run.size()));
  team_.run(run.size(), [&](std::int64_t c, int thread) {
    const Range rows = rows_of({run.begin + c, run.begin + c + 1});
    double* record = mine.data() + c * width();
    const nn::LossSums sums =
        tally ? pass.run(source_, rows, thread, tally->outputs(thread), tally->raw(thread))
              : pass.run(source_, rows, thread);
    record[0] = sums.loss;
    record[1] = sums.correct;
    if (tally) tally->add(source_, rows, thread, record + 2);
  });
  std::vector<double> all;
  const double* total = fold(mine, all);
  measured.sums = {total[0], total[1]};
  if (!tally) return measured;
  Tally::read(*asked_, tally->finish_counts(world_, team_), total + 2, targets, measured);
  return measured;
}

/// `mine`: a record for each chunk of this rank. Returns the total, which stands in `all`.
const double* Evaluator::fold(std::vector<double>& mine, std::vector<double>& all) {
  const auto me = static_cast<std::size_t>(world_.rank());
  const Range run = deal_.runs[me];
  const auto add = [this](Range left_chunks, Range right_chunks, double* left, const double* right) {
    left[0] += right[0];
    left[1] += right[1];
    Tally::merge(*asked_, rows_of(left_chunks).size(), rows_of(right_chunks).size(), left + 2, right + 2);
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

}  // namespace trainer::train
