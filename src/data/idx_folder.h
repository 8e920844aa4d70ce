#pragma once

#include <optional>
#include <string>
#include <vector>

namespace trainer::data {

/// The files of one split.
struct IdxPair {
  std::string images;
  std::string labels;  ///< empty when they are not wanted
};

/// A folder of IDX files in the naming of the MNIST database.
struct IdxFolder {
  std::string folder;
  IdxPair train;
  std::optional<IdxPair> test;
};

/// The files in `folder`: train-images*, train-labels* and, optionally, t10k-images*, t10k-labels*, each
/// plain or .gz (plain is taken when both are there). Empty when there are no training files at all. Without
/// `with_labels` they are not looked for. Throws Error(data) for one file of a pair without the other.
std::optional<IdxFolder> find_idx_files(const std::string& folder, bool with_labels);

/// The names that need no folder: fashion-mnist, mnist.
const std::vector<std::string>& built_in_names();

/// Looks for a built-in name in $TRAINER_DATA, datasets/ and /usr/share/datasets. Throws Error(data) that
/// lists the places and what to install.
IdxFolder find_built_in(const std::string& name, bool with_labels);

/// What the classes of a built-in name are called; empty for others.
std::vector<std::string> class_names_of(const std::string& name);

}  // namespace trainer::data
