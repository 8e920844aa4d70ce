#pragma once

// Which trials are left to do. Private to this room.

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "summary.h"

namespace trainer::study {

/// The trials that are neither done nor begun. The search of a batch size is asked again when all that it has
/// named so far are begun, and not after every trial: that would take a time that grows as their square.
class OpenTrials {
 public:
  /// Both outlive this object.
  OpenTrials(const Question& question, const Records& records);

  /// The next one, in order, which counts as begun; nothing when there is none at the moment.
  std::optional<Trial> begin();
  /// The record of a trial that was begun is there now.
  void end(const Trial& trial);

  std::int64_t known() const { return known_; }  ///< trials that are known to be needed
  std::int64_t done() const { return done_; }    ///< of these

 private:
  struct Batch {
    std::int64_t batch = 0, known = 0, done = 0;
    std::deque<Trial> waiting;
    std::set<std::string> begun;
  };
  void plan(Batch& batch);

  const Question& question_;
  const Records& records_;
  std::vector<Batch> batches_;
  std::int64_t known_ = 0, done_ = 0;
};

}  // namespace trainer::study
