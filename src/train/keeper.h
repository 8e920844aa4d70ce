#pragma once

// What is kept of a run on disk while training goes on. Private to this room.

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "records.h"
#include "snapshot.h"
#include "trainer/core/clock.h"

namespace trainer::train {

/// Writes checkpoints and best.h5 in a thread of its own on rank 0, while training goes on. A save takes one
/// copy of what a checkpoint holds, at a step boundary: every rank sends its slices of the optimizer's state;
/// it waits only when the previous one is still being written. Memory on rank 0 while one is written: two
/// copies of the checkpoint beside the training state. What cannot be written is told and tried again with
/// the next save; older checkpoints stay.
class Keeper {
 public:
  /// All references outlive this object. `keep`: how many checkpoints stay.
  Keeper(const comm::Communicator& world, const Prepared& prepared, const RunFacts& facts, Records& records,
         std::int64_t keep);
  ~Keeper();  ///< waits for the writer
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// The run continues from these files: the newest checkpoint (by its name in the run folder) and the best
  /// model in best.h5 (may be null).
  void continue_from(std::string newest, std::shared_ptr<const BestModel> best);

  /// Collective. Copies the state of the run and lets the writer begin. `best`: the best model so far (rank
  /// 0; null: none). Throws AgreedError when the writer met what is no matter of the disk (internal,
  /// numeric).
  void save(const Step& step, const Progress& progress, const History& history,
            std::shared_ptr<const BestModel> best, const std::string& goal);
  /// Tells of a failed save as soon as it is known. To be called after every step; cheap; not collective;
  /// does not throw.
  void look();
  /// Collective. Waits until the newest save is on disk, tries once more if it failed. Throws
  /// AgreedError(data) when it could not be written.
  void finish();

  /// Rank 0, after finish(): the newest checkpoint on disk, relative to the run folder.
  const std::string& newest() const { return newest_; }
  /// Seconds that training stood still for saves, on this rank: for the copies, and for a writer that was not
  /// done. The end of the last one, when there is nothing left to do, is not counted.
  double stood_still() const { return stood_still_; }
  std::int64_t saves() const { return saves_; }

 private:
  /// What a save needs, between the step boundary and the disk.
  struct Job;
  bool end_writer();
  void tell_of_failure(const std::string& what_now);
  void collect(const std::string& what_now);
  void write(Job& job);
  void write_checkpoint(const Job& job);
  void write_best(const Job& job);
  void keep_previous_best(const Job& job) const;
  std::string digest_of(const BestModel& best) const;

  const comm::Communicator& world_;
  const Prepared& prepared_;
  const RunFacts& facts_;
  Records& records_;
  std::int64_t keep_;

  std::unique_ptr<Job> job_;  ///< the newest save; rank 0
  std::thread writer_;
  std::atomic<bool> done_{false};
  std::exception_ptr failure_;                  ///< of the writer, or of what cannot be tried again
  std::shared_ptr<const BestModel> best_kept_;  ///< that best.h5 holds
  std::string best_kept_digest_;                ///< its `weights`
  std::string newest_;
  double stood_still_ = 0;
  std::int64_t saves_ = 0;
};

}  // namespace trainer::train
