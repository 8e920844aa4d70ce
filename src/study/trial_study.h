#pragma once

// A study that is made of trials: of batch sizes, or a search. Private to this room.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "groups.h"
#include "open_trials.h"
#include "question.h"
#include "summary.h"
#include "trainer/comm/communicator.h"
#include "trainer/study/study.h"
#include "trainer/train/prepare.h"

namespace trainer::study {

class TrialStudy {
 public:
  /// Collective. Opens the data and checks the options of all trials. Throws comm::AgreedError.
  TrialStudy(const comm::Communicator& world, const Request& request);
  /// Collective. Returns the exit code.
  int run();

 private:
  std::int64_t ranks() const;
  std::vector<Trial> kinds_of_trials() const;
  void check_trials();
  train::Configuration configuration_of(const Trial& trial) const;
  std::string work(const comm::Communicator& group, const std::string& words,
                   const std::function<bool()>& must_stop) const;
  void announce(const Groups& groups, const OpenTrials& trials, const std::string& note) const;
  int describe() const;

  const comm::Communicator& world_;
  const Request& request_;
  comm::Communicator node_;
  Question question_;
  Budget budget_;
  std::vector<std::string> remarks_;  ///< for the user
  std::shared_ptr<const train::PreparedData> data_;
};

}  // namespace trainer::study
