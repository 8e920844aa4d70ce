#include "former_bests.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "trainer/checkpoint/retention.h"

namespace trainer::train {
namespace {

const std::string kPrefix = ".best-";

/// Checkpoints' own naming of steps serves here too.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  return checkpoint::step_of_file_name("step-" + name.substr(kPrefix.size()));
}

struct FormerBest {
  std::int64_t step = 0;
  std::string path;
};

std::vector<FormerBest> find(const report::RunFolder& folder) {
  std::vector<FormerBest> found;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder.path(), error);
  for (const std::filesystem::directory_iterator end; !error && entry != end; entry.increment(error))
    if (const auto step = step_of(entry->path().filename().string()))
      found.push_back({*step, entry->path().string()});
  std::ranges::sort(found, {}, &FormerBest::step);
  return found;
}

}  // namespace

std::string former_best_name(std::int64_t best_step) {
  return kPrefix + checkpoint::step_file_name(best_step).substr(std::string("step-").size());
}

std::vector<std::string> list_former_bests(const report::RunFolder& folder) {
  std::vector<std::string> paths;
  for (const FormerBest& best : find(folder)) paths.push_back(best.path);
  return paths;
}

void forget_old_bests(const report::RunFolder& folder) {
  const auto checkpoints = checkpoint::list_checkpoints(folder.checkpoint_folder());
  if (checkpoints.empty()) return;
  const std::vector<FormerBest> found = find(folder);
  std::error_code ignored;
  for (std::size_t i = 0; i + 1 < found.size(); ++i)
    if (found[i + 1].step <= checkpoints.front().step) std::filesystem::remove(found[i].path, ignored);
}

}  // namespace trainer::train
