#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "source.h"
#include "trainer/comm/communicator.h"
#include "trainer/comm/shared_array.h"
#include "trainer/data/order.h"

namespace trainer::data {

/// The windows of an order that training is in and comes to next, in memory that the ranks of a node share.
/// A thread of each rank reads its part of every window's blocks, ahead of the steps.
///
/// No rank tells another when it is done with a window: a step (and a part of an exact pass, an evaluation)
/// ends for a rank only after an all-gather over all ranks that follows their gathers, so at the next
/// approach() nobody gathers rows of the batch before.
class WindowReader {
 public:
  using Read = std::function<void(std::int64_t block, const RowStore&)>;
  /// **Collective** over `node`. Memory for `windows` windows of `window_blocks` blocks. `facts` outlives
  /// this object. `read` is called by the reading thread.
  WindowReader(const comm::Communicator& node, std::int64_t windows, std::int64_t window_blocks,
               const DataFacts& facts, Read read);
  /// **Collective** over the node, unless an exception is on its way.
  ~WindowReader();
  WindowReader(const WindowReader&) = delete;
  WindowReader& operator=(const WindowReader&) = delete;

  /// The windows that a batch lies in.
  static Range windows_of(const EpochOrder& order, std::int64_t epoch, std::int64_t place,
                          std::int64_t count);
  /// The most windows that a batch of `count` rows can lie in; 2 at least, so that one is read ahead.
  static std::int64_t windows_for(const EpochOrder& order, std::int64_t count);
  std::int64_t windows() const { return windows_; }
  static std::int64_t memory_bytes(std::int64_t windows, std::int64_t window_blocks, const DataFacts& facts);

  /// Training comes to these windows (counted over all epochs), at most windows() of them: what went before
  /// makes room for what follows. Of the window after them, a part is read now that grows with `done`, the
  /// part of the last of them that training has come through: so the reading threads of all ranks work in the
  /// same steps, evenly, and no step waits for one rank's. The same calls on every rank. Throws what a
  /// reading thread of the node has met.
  void approach(const EpochOrder& order, Range windows, double done);
  /// The rows of a block of the windows of the moment, when they have been read: waits. Nothing when it is
  /// not among them. Thread-safe beside itself. Throws what a reading thread of the node has met.
  std::optional<RowStore> find(std::int64_t block) const;

 private:
  struct Load {
    std::int64_t number = 0;  ///< from 1, never used twice
    std::vector<std::int64_t> blocks;
  };
  /// What a reading thread has met, in the shared memory: a rank that waits for a block of another one's must
  /// learn of it, too, for the other may be waiting for this one's gradients, and neither would ever end.
  struct Failure {
    enum State { none, written_now, complete };
    std::atomic<int> state = none;
    std::atomic<int> teller = 0;  ///< 1 + the reader that throws it first
    int kind = 0;
    char message[1000] = {};
  };
  void take_windows(const EpochOrder& order, Range windows);
  void read_ahead();
  void load(const Load& load);
  RowStore store_of(std::int64_t slot) const;
  std::int64_t first_slot(std::int64_t load_number) const;
  void keep_failure(int kind, const char* message);
  void throw_failure() const;

  const DataFacts& facts_;
  Read read_;
  std::int64_t windows_, window_blocks_, slot_bytes_;
  comm::SharedArray memory_;
  DataFacts slot_facts_;                        ///< of a slot: the rows of the largest block
  std::atomic<std::int64_t>* ready_ = nullptr;  ///< by slot: the load that is there
  Failure* failure_ = nullptr;                  ///< of any reader of this memory
  int readers_ = 1, reader_ = 0;                ///< of the ranks that share the memory

  Range now_;                                        ///< windows of the batch of the moment
  std::int64_t first_window_ = 0, next_window_ = 0;  ///< [first, next) are there or on their way
  std::int64_t first_load_ = 1, next_load_ = 1;      ///< their loads
  std::vector<Load> present_;                        ///< of [first_window_, next_window_)
  std::vector<std::int64_t> slot_of_block_;          ///< -1: not in a window of the moment
  std::vector<std::int64_t> load_of_slot_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Load> queue_;
  std::int64_t oldest_load_ = 0;  ///< of those that are still wanted
  std::int64_t free_load_ = 0;    ///< loads up to this one are read as fast as can be
  double next_part_ = 0;          ///< how much of the load after it
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace trainer::data
