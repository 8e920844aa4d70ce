#pragma once

// From a run folder back to a running run. Private to this room.

#include <memory>
#include <optional>
#include <string>

#include "records.h"
#include "snapshot.h"
#include "trainer/train/run.h"

namespace trainer::train {

/// What a run continues from: the newest checkpoint that is good, is this run's, and whose best model is
/// there.
struct Restored {
  checkpoint::Checkpoint file;
  std::string where;  ///< its path
  Progress progress;
  History history;
  ModelValues model, average;             ///< no average: empty
  std::shared_ptr<const BestModel> best;  ///< null: none yet
};

/// Rank 0 alone, not collective. Chooses and reads the checkpoint. Each newer one that is bad is named in the
/// log and set aside as FILE.bad, so that it can neither be taken for the newest again nor push a good one
/// out. best.h5 is made the best model that the checkpoint speaks of. A changed data set, arithmetic or
/// version is told: an error unless request.accept_change names it. Throws Error.
Restored restore_run(const Prepared& prepared, const RunFacts& facts, const RunRequest& request,
                     const std::vector<std::string>& metrics_columns, Records& records);

/// Collective. The scalings that a run began with, on every rank; none unless its newest good checkpoint and
/// its best.h5 say the same.
std::optional<Scalings> saved_scalings(const comm::Communicator& world, const std::string& run);

/// metrics.csv again, from a checkpoint's history.
void rebuild_metrics(const std::string& path, const History& history);

}  // namespace trainer::train
