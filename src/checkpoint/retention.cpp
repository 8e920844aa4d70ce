#include "trainer/checkpoint/retention.h"

#include <algorithm>
#include <cstdio>
#include <system_error>

#include "trainer/core/grammar.h"
#include "trainer/h5/atomic_file.h"

namespace trainer::checkpoint {

namespace {

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kSuffix = ".h5";
constexpr std::size_t kDigits = 8;

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::directory_iterator place(folder, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  for (const std::filesystem::directory_iterator end; !error && place != end; place.increment(error))
    files.push_back(place->path());
  require(!error, ErrorKind::data, folder.string(), ": cannot be listed: ", error.message(),
          "; check the path");
  return files;
}

void remove_file(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  require(!error, ErrorKind::data, path.string(),
          ": cannot be deleted: ", h5::reason_and_remedy(error.value()));
}

}  // namespace

std::string step_file_name(std::int64_t step) {
  require(step >= 0, ErrorKind::internal, "a checkpoint of step ", step);
  std::string digits = std::to_string(step);
  if (digits.size() < kDigits) digits.insert(0, kDigits - digits.size(), '0');
  return text(kPrefix, digits, kSuffix);
}

std::optional<std::int64_t> step_of_file_name(const std::string& name) {
  if (name.size() < kPrefix.size() + kDigits + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix))
    return std::nullopt;
  const std::string digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  const auto step =
      digits.find_first_not_of("0123456789") == std::string::npos ? parse_integer(digits) : std::nullopt;
  // One name for each step: 000000001 is not another way to write step 1.
  return step && step_file_name(*step) == name ? step : std::nullopt;
}

std::vector<StepFile> list_checkpoints(const std::filesystem::path& folder) {
  std::vector<StepFile> found;
  for (const std::filesystem::path& path : files_of(folder)) {
    if (const auto step = step_of_file_name(path.filename().string())) found.push_back({*step, path});
  }
  std::ranges::sort(found, {}, &StepFile::step);
  return found;
}

void keep_newest(const std::filesystem::path& folder, std::int64_t keep) {
  require(keep >= 1, ErrorKind::internal, "keep ", keep, " checkpoints; at least one stays");
  const std::string temporary_prefix = h5::temporary_path(kPrefix).string();
  for (const std::filesystem::path& path : files_of(folder)) {
    if (path.filename().string().starts_with(temporary_prefix)) remove_file(path);
  }
  const std::vector<StepFile> found = list_checkpoints(folder);
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep) < found.size(); ++i) remove_file(found[i].path);
}

NewestGood find_newest_good(const std::filesystem::path& folder, std::optional<std::int64_t> newest) {
  NewestGood result;
  std::vector<StepFile> files = list_checkpoints(folder);
  std::ranges::reverse(files);
  for (const StepFile& file : files) {
    if (newest && file.step > *newest) continue;
    try {
      Checkpoint checkpoint = read(file.path);
      const std::int64_t step =
          get<std::int64_t>(checkpoint.progress, "step", file.path.string() + ": /progress");
      require(step == file.step, ErrorKind::data, file.path.string(), ": holds step ", step,
              "; it was renamed");
      result.file = file;
      result.checkpoint = std::move(checkpoint);
      return result;
    } catch (const Error& error) {
      result.bad.push_back({file.path, error.what()});
    }
  }
  return result;
}

}  // namespace trainer::checkpoint
