#include "idx_folder.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

namespace fs = std::filesystem;

/// Names of the folder's entries, sorted, so that no choice depends on the file system's order.
std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  require(!error, ErrorKind::data, folder, ": cannot be listed: ", error.message());
  std::sort(names.begin(), names.end());
  return names;
}

/// Path of the file for `stem` (such as "train-images"), empty when there is none.
std::string find_file(const std::string& folder, const std::vector<std::string>& names,
                      const std::string& stem) {
  std::vector<std::string> plain;
  std::vector<std::string> packed;
  for (const std::string& name : names) {
    // "train-images-idx3-ubyte" as published, "train-images.idx3-ubyte" as some unpack it.
    if (!name.starts_with(stem + "-idx") && !name.starts_with(stem + ".idx")) continue;
    (name.ends_with(".gz") ? packed : plain).push_back(name);
  }
  const std::vector<std::string>& found = plain.empty() ? packed : plain;
  if (found.empty()) return "";
  require(found.size() == 1, ErrorKind::data, folder, ": holds both ", found[0], " and ", found.back(),
          "; leave only one of them");
  return (fs::path(folder) / found[0]).string();
}

std::optional<IdxPair> find_pair(const std::string& folder, const std::vector<std::string>& names,
                                 const std::string& split, bool with_labels) {
  IdxPair pair{find_file(folder, names, split + "-images"),
               with_labels ? find_file(folder, names, split + "-labels") : ""};
  if (pair.images.empty() && pair.labels.empty()) return std::nullopt;
  require(!with_labels || !pair.labels.empty(), ErrorKind::data, folder, ": holds ",
          fs::path(pair.images).filename().string(), " but no ", split,
          "-labels-idx1-ubyte[.gz] beside it; only --task autoencoder does without labels");
  require(!pair.images.empty(), ErrorKind::data, folder, ": holds ",
          fs::path(pair.labels).filename().string(), " but no ", split, "-images-idx3-ubyte[.gz] beside it");
  return pair;
}

std::string how_to_get(const std::string& name) {
  if (name == "fashion-mnist") return "install it (apt-get install dataset-fashion-mnist)";
  return "put the four files of the MNIST database there (train-images-idx3-ubyte.gz and so on)";
}

}  // namespace

std::optional<IdxFolder> find_idx_files(const std::string& folder, bool with_labels) {
  const std::vector<std::string> names = entries_of(folder);
  const std::optional<IdxPair> train = find_pair(folder, names, "train", with_labels);
  if (!train) return std::nullopt;
  return IdxFolder{folder, *train, find_pair(folder, names, "t10k", with_labels)};
}

const std::vector<std::string>& built_in_names() {
  static const std::vector<std::string> names{"fashion-mnist", "mnist"};
  return names;
}

IdxFolder find_built_in(const std::string& name, bool with_labels) {
  std::vector<fs::path> places;
  const char* own = std::getenv("TRAINER_DATA");
  const bool has_own = own != nullptr && *own != '\0';
  if (has_own) places.push_back(fs::path(own) / name);
  places.push_back(fs::absolute(fs::path("datasets") / name));
  places.push_back(fs::path("/usr/share/datasets") / name);
  std::string looked = has_own ? "" : "$TRAINER_DATA (not set), ";
  for (const fs::path& place : places) {
    std::error_code ignored;
    if (fs::is_directory(place, ignored)) {
      if (std::optional<IdxFolder> found = find_idx_files(place.string(), with_labels)) return *found;
    }
    looked += (&place == &places.front() ? "" : ", ") + place.string();
  }
  fail(ErrorKind::data, "--data: ", name, " was not found; looked in ", looked, "; ", how_to_get(name),
       ", or name the folder that holds it");
}

std::vector<std::string> class_names_of(const std::string& name) {
  if (name == "fashion-mnist") {
    return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  }
  if (name == "mnist") return {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  return {};
}

}  // namespace trainer::data
