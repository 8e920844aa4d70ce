#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/comm/tree_exchange.h"
#include "trainer/core/team.h"
#include "trainer/data/scaling.h"
#include "trainer/nn/pass.h"
#include "trainer/train/metrics.h"

namespace trainer::train {

struct Asked;

/// Evaluates a fixed set of rows with the parameters of the moment, in chunks of 256 rows shared by all ranks
/// and threads; sums are folded in the fixed tree over the chunks and counts are whole numbers, so the result
/// depends on the rows alone.
class Evaluator {
 public:
  /// Collective. `source`: all rows of the set, [0, rows), which are like `facts`; outlives this object.
  Evaluator(const comm::Communicator& world, const Team& team, const nn::RowSource& source, std::int64_t rows,
            const RowFacts& facts, const Measures& measures);
  ~Evaluator();

  /// Collective. What there is to know of all rows, the same on every rank. `targets`: how the source scales
  /// values at the moment; errors are told in the units before that. Throws Error(data) for a class that the
  /// model does not know, on the one rank that meets it: nothing agrees on that, the others wait for it. The
  /// caller must end the job, as `trainer` does with that rank's message.
  Measured run(const nn::Inference& pass, const data::Scaling& targets);
  std::int64_t rows() const { return rows_; }
  /// The chunk sizes that occur for a set of so many rows: what a pass must be made for.
  static std::vector<std::int64_t> sizes(std::int64_t rows);

 private:
  Range rows_of(Range chunks) const;
  std::int64_t width() const;
  const double* fold(std::vector<double>& mine, std::vector<double>& all);

  const comm::Communicator& world_;
  const Team& team_;
  const nn::RowSource& source_;
  std::int64_t rows_;
  std::unique_ptr<const Asked> asked_;
  comm::TreeDeal deal_;
  std::unique_ptr<comm::SmallFold> fold_;
};

}  // namespace trainer::train
