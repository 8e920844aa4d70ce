#include "window_reader.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kLine = 64;

std::int64_t slot_bytes_of(const DataFacts& facts) {
  return (largest_block_bytes(facts) + kLine - 1) / kLine * kLine;
}

std::int64_t flag_bytes(std::int64_t slots) {
  return slots * static_cast<std::int64_t>(sizeof(std::atomic<std::int64_t>));
}

}  // namespace

std::int64_t WindowReader::memory_bytes(std::int64_t windows, std::int64_t window_blocks,
                                        const DataFacts& facts) {
  const std::int64_t slots = windows * window_blocks;
  return slots * slot_bytes_of(facts) + flag_bytes(slots) + static_cast<std::int64_t>(sizeof(Failure));
}

WindowReader::WindowReader(const comm::Communicator& node, std::int64_t windows, std::int64_t window_blocks,
                           const DataFacts& facts, Read read)
    : facts_(facts),
      read_(std::move(read)),
      windows_(windows),
      window_blocks_(window_blocks),
      slot_bytes_(slot_bytes_of(facts)),
      memory_(node, memory_bytes(windows, window_blocks, facts)),
      slot_facts_(with_rows(facts, largest_block_rows(facts))),
      slot_of_block_(facts.blocks.size(), -1),
      load_of_slot_(static_cast<std::size_t>(windows * window_blocks), 0) {
  slot_facts_.blocks.clear();
  const std::int64_t slots = windows_ * window_blocks_;
  ready_ = reinterpret_cast<std::atomic<std::int64_t>*>(memory_.data() + slots * slot_bytes_);
  failure_ = reinterpret_cast<Failure*>(ready_ + slots);
  if (memory_.fills()) {
    for (std::int64_t slot = 0; slot < slots; ++slot) new (ready_ + slot) std::atomic<std::int64_t>(0);
    new (failure_) Failure;
  }
  memory_.publish();
  if (memory_.is_shared()) {
    readers_ = node.size();
    reader_ = node.rank();
  }
  thread_ = std::thread([this] { read_ahead(); });
}

WindowReader::~WindowReader() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
    queue_.clear();
  }
  wake_.notify_all();
  thread_.join();
}

Range WindowReader::windows_of(const EpochOrder& order, std::int64_t epoch, std::int64_t place,
                               std::int64_t count) {
  const std::int64_t before = epoch * order.windows();
  return {before + order.window_at(epoch, place),
          before + order.window_at(epoch, place + std::max<std::int64_t>(1, count) - 1) + 1};
}

std::int64_t WindowReader::windows_for(const EpochOrder& order, std::int64_t count) {
  const std::int64_t least = order.least_window_rows();
  return std::max<std::int64_t>(2, 1 + (count - 1 + least - 1) / least);
}

/// The first failure counts.
void WindowReader::keep_failure(int kind, const char* message) {
  int before = Failure::none;
  if (!failure_->state.compare_exchange_strong(before, Failure::written_now)) return;
  failure_->kind = kind;
  std::strncpy(failure_->message, message, sizeof(failure_->message) - 1);
  failure_->state.store(Failure::complete, std::memory_order_release);
}

/// One rank tells, and its job ends by that; the others hold still meanwhile, so that it is told once.
void WindowReader::throw_failure() const {
  if (failure_->state.load(std::memory_order_acquire) != Failure::complete) return;
  int before = 0;
  const bool is_mine = failure_->teller.compare_exchange_strong(before, reader_ + 1) || before == reader_ + 1;
  if (!is_mine) std::this_thread::sleep_for(std::chrono::seconds(3));
  throw Error(static_cast<ErrorKind>(failure_->kind), failure_->message);
}

std::int64_t WindowReader::first_slot(std::int64_t load_number) const {
  return load_number % windows_ * window_blocks_;
}

RowStore WindowReader::store_of(std::int64_t slot) const {
  return store_in(const_cast<std::byte*>(memory_.data()) + slot * slot_bytes_, slot_facts_);
}

void WindowReader::approach(const EpochOrder& order, Range windows, double done) {
  throw_failure();
  if (windows != now_) take_windows(order, windows);
  constexpr double kAhead = 1.25;  // a window is there when four fifths of the one before are done
  {
    const std::lock_guard lock(mutex_);
    free_load_ = present_[static_cast<std::size_t>(windows.size()) - 1].number;
    next_part_ = std::min(1.0, kAhead * done);
  }
  wake_.notify_all();
}

void WindowReader::take_windows(const EpochOrder& order, Range windows) {
  now_ = windows;
  require(windows.size() <= windows_, ErrorKind::internal, "a batch lies in ", windows.size(),
          " windows, there is memory for ", windows_);
  std::vector<Load> added;
  const bool follows = windows.begin >= first_window_ && windows.begin <= next_window_ && next_load_ > 1;
  if (!follows) {  // the start, a resume, or another pass over the data
    const std::lock_guard lock(mutex_);
    queue_.clear();
    present_.clear();
    first_window_ = next_window_ = windows.begin;
    first_load_ = next_load_;
  }
  const std::int64_t gone = windows.begin - first_window_;
  present_.erase(present_.begin(), present_.begin() + std::min<std::ptrdiff_t>(gone, std::ssize(present_)));
  first_window_ += gone;
  first_load_ += gone;
  for (; next_window_ < first_window_ + windows_; ++next_window_) {
    const std::int64_t per_epoch = order.windows();
    present_.push_back({next_load_++, order.blocks_of(next_window_ / per_epoch, next_window_ % per_epoch)});
    added.push_back(present_.back());
  }
  std::fill(slot_of_block_.begin(), slot_of_block_.end(), -1);
  for (std::int64_t w = windows.begin; w < windows.end; ++w) {
    const Load& load = present_[static_cast<std::size_t>(w - first_window_)];
    for (std::size_t j = 0; j < load.blocks.size(); ++j) {
      const std::int64_t slot = first_slot(load.number) + static_cast<std::int64_t>(j);
      slot_of_block_[static_cast<std::size_t>(load.blocks[j])] = slot;
      load_of_slot_[static_cast<std::size_t>(slot)] = load.number;
    }
  }
  const std::lock_guard lock(mutex_);
  oldest_load_ = first_load_;
  queue_.insert(queue_.end(), added.begin(), added.end());
}

std::optional<RowStore> WindowReader::find(std::int64_t block) const {
  const std::int64_t slot = slot_of_block_[static_cast<std::size_t>(block)];
  if (slot < 0) return std::nullopt;
  const std::int64_t wanted = load_of_slot_[static_cast<std::size_t>(slot)];
  // Nothing of MPI waits for this thread meanwhile: all messages of the step before have arrived.
  while (ready_[slot].load(std::memory_order_acquire) != wanted) {
    throw_failure();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return store_of(slot);
}

void WindowReader::read_ahead() {
  try {
    while (true) {
      Load next;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [this] { return ends_ || !queue_.empty(); });
        if (ends_) return;
        next = std::move(queue_.front());
        queue_.pop_front();
      }
      load(next);
    }
  } catch (const Error& error) {
    keep_failure(error.exit_code(), error.what());
  } catch (const std::exception& error) {
    keep_failure(static_cast<int>(ErrorKind::internal), error.what());
  }
}

void WindowReader::load(const Load& load) {
  for (std::size_t j = static_cast<std::size_t>(reader_); j < load.blocks.size();
       j += static_cast<std::size_t>(readers_)) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] {
        return ends_ || load.number < oldest_load_ || load.number <= free_load_ ||
               (load.number == free_load_ + 1 &&
                static_cast<double>(j) < next_part_ * static_cast<double>(load.blocks.size()));
      });
      if (ends_ || load.number < oldest_load_) return;
    }
    const std::int64_t slot = first_slot(load.number) + static_cast<std::int64_t>(j);
    read_(load.blocks[j], store_of(slot));
    ready_[slot].store(load.number, std::memory_order_release);
  }
}

}  // namespace trainer::data
