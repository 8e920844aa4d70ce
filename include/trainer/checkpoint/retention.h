#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"

namespace trainer::checkpoint {

/// "step-00001200.h5": at least eight digits.
std::string step_file_name(std::int64_t step);
/// The step of a file's name; absent when it is not such a name.
std::optional<std::int64_t> step_of_file_name(const std::string& name);

struct StepFile {
  std::int64_t step = 0;
  std::filesystem::path path;
};

/// The step-*.h5 files of a folder by ascending step; other names are passed over. A folder that is not there
/// holds none. Throws Error(data) when it cannot be read.
std::vector<StepFile> list_checkpoints(const std::filesystem::path& folder);

/// Deletes all but the `keep` (>= 1) newest, and temporary files (.tmp-step-*.h5) that a killed writer left.
/// Throws Error(data) when one cannot be deleted.
void keep_newest(const std::filesystem::path& folder, std::int64_t keep);

/// A checkpoint that was passed over, and why.
struct BadCheckpoint {
  std::filesystem::path path;
  std::string reason;
};

/// What find_newest_good() found.
struct NewestGood {
  std::optional<StepFile> file;          ///< absent when none is good
  std::optional<Checkpoint> checkpoint;  ///< its content, already read
  std::vector<BadCheckpoint> bad;        ///< the newer ones, newest first
};

/// The newest checkpoint of a folder that reads without an error (at most step `newest`, when given) and says
/// the step of its name.
NewestGood find_newest_good(const std::filesystem::path& folder,
                            std::optional<std::int64_t> newest = std::nullopt);

}  // namespace trainer::checkpoint
