#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "share_work.h"
#include "source.h"
#include "trainer/comm/communicator.h"
#include "trainer/data/request.h"

namespace trainer::data {

enum class Task { unsaid, classification, regression, autoencoder };

/// What `--data` names and `--task` makes of it, before any row is read.
struct Plan {
  Task task = Task::unsaid;
  std::vector<Source> splits;  ///< training, then the test split if there is one
  std::string visible;         ///< what every rank must see alike: files, shapes and sizes, without folders
  std::string origin;          ///< where it is, for people
  std::vector<std::string> class_names;  ///< as far as known
  std::vector<std::string> paths;        ///< files of the training split (of its inputs)
};

/// Finds the files and checks all that can be checked without reading them through. **Collective** where
/// `share` is. Throws Error(usage) and Error(data).
Plan plan_of(const Request& request, const ShareWork& share);
/// What a split is for.
enum class SplitRole { train, test, validation };
/// **Collective.** The same with the splits that request.test and request.validation name. `roles`: of the
/// plan's splits. The ranks agree after each of them: a rank may fail alone where it looks at files by
/// itself. Throws AgreedError.
Plan whole_plan(const comm::Communicator& world, const Request& request, std::vector<SplitRole>& roles);
/// --task. Throws Error(usage) for an unknown one.
Task task_of(const std::string& task);

}  // namespace trainer::data
