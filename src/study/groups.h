#pragma once

// Who works at which trial. Private to this room.

#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "trainer/comm/communicator.h"
#include "trainer/comm/mailbox.h"

namespace trainer::study {

/// What rank 0 hands out and takes in. Its members are called on rank 0 alone.
class Manager {
 public:
  virtual ~Manager() = default;
  /// Work to begin now; nothing when there is none at the moment.
  virtual std::optional<std::string> next() = 0;
  /// What came of it.
  virtual void take(const std::string& result) = 0;
  /// Whether work that is under way is to end early. Once true, always so.
  virtual bool must_stop() = 0;
  /// A rank that has nothing to do was asked to stop: must_stop() is true from now on.
  virtual void stop() = 0;
};

/// The ranks of a job as groups of `ranks_per_group`, each of which does one piece of work at a time, handed
/// out by rank 0 as they ask for it. Rank 0 works too, and answers between the steps of its own work. Ranks
/// that are left over wait for the end. Whoever waits passes on a request to stop that reached it alone.
class Groups {
 public:
  /// Collective. `ranks_per_group` from 1 to the size of the world. `asked_to_stop`: whether this rank was;
  /// may be null.
  Groups(const comm::Communicator& world, int ranks_per_group, std::function<bool()> asked_to_stop);

  int count() const { return count_; }
  int left_over() const { return world_.size() - count_ * ranks_per_group_; }
  /// Of this rank.
  const comm::Communicator& mine() const { return mine_; }

  /// Does a piece of work with its group: collective over the group, the return value counts on its first
  /// rank. `must_stop` is asked after every step, on every rank: the work ends when any is told so.
  using Work = std::function<std::string(const std::string& work, const std::function<bool()>& must_stop)>;
  /// Collective over the world. Until nothing is under way and there is nothing more to begin. `manager`:
  /// null but on rank 0.
  void run(Manager* manager, const Work& work);

 private:
  bool is_left_over() const { return world_.rank() >= count_ * ranks_per_group_; }
  void lead(Manager& manager, const Work& work);
  void follow(const Work& work);
  std::string wait_for_letter();
  void tell_members(const std::string& letter);
  bool serve(Manager& manager);
  bool pass_on_stop(Manager& manager);
  void take_in(const comm::Letter& letter, Manager& manager);
  void hand_out(Manager& manager);

  const comm::Communicator& world_;
  int ranks_per_group_, count_;
  std::function<bool()> asked_to_stop_;
  comm::Communicator mine_;
  comm::Mailbox mailbox_;
  bool passed_on_ = false;  ///< that this rank was asked to stop
  // Of rank 0.
  std::deque<int> idle_;  ///< first ranks of groups that ask for work
  std::set<int> busy_;    ///< those that have some
  bool told_to_stop_ = false;
};

}  // namespace trainer::study
