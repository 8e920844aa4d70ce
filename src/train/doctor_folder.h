#pragma once

// What the doctor finds out about the run folder's file system. Private to this room.

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/train/doctor.h"

namespace trainer::train {

/// What was found, and a line for the case that nothing is wrong.
struct FolderReport {
  std::vector<Finding> findings;
  std::string summary;
};

/// **Collective.** Tries, on rank 0 and in a folder of its own beside or in `folder` (which need not be
/// there), what a run does with its folder: writing, syncing, renaming, locking; the free space against what
/// `keep` checkpoints of `checkpoint_bytes` (0: not known) need; whether all ranks see what rank 0 writes.
/// Removes all that it made. The report is complete on rank 0 only.
FolderReport examine_folder(const comm::Communicator& world, const std::string& folder,
                            std::int64_t checkpoint_bytes, std::int64_t keep);

/// The finding about a lack of free space where `path` is; nothing when there is enough or it is not known.
std::vector<Finding> space_findings(const std::string& path, std::int64_t checkpoint_bytes,
                                    std::int64_t keep);

/// Whether a run folder whose RUN/.lock this process holds is protected by it: a finding when not.
std::vector<Finding> lock_findings(const std::string& run);

}  // namespace trainer::train
