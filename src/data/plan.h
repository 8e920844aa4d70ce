#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "source.h"

namespace trainer::data {

enum class Task { unsaid, classification, regression, autoencoder };

/// What `--data` names and `--task` makes of it, before any row is read.
struct Plan {
  Task task = Task::unsaid;
  std::vector<Source> splits;  ///< training, then the test split if there is one
  std::string visible;         ///< what every rank must see alike: files, shapes and sizes, without folders
  std::string origin;          ///< where it is, for people
  std::vector<std::string> class_names;  ///< as far as known
};

/// Finds and opens the files and checks all that can be checked without reading them through. No MPI. Throws
/// Error(usage) and Error(data).
Plan plan_of(const std::string& spec, const std::string& task);

}  // namespace trainer::data
