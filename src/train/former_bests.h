#pragma once

// Best models before the newest one. Private to this room.

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/report/run_folder.h"

namespace trainer::train {

// A checkpoint speaks of the best model of its moment, which best.h5 holds only until a better one comes.
// What best.h5 held before stays in the run folder under a name with the step of that model, for as long as
// a checkpoint that speaks of it.

/// ".best-00001200.h5".
std::string former_best_name(std::int64_t best_step);
/// The files of former best models in a run folder.
std::vector<std::string> list_former_bests(const report::RunFolder& folder);
/// Deletes those that no checkpoint of the folder speaks of, but for the newest of them: a checkpoint of step
/// c speaks of the newest best up to c.
void forget_old_bests(const report::RunFolder& folder);

}  // namespace trainer::train
