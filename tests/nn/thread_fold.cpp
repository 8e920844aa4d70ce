#include "thread_fold.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::nn::simulation {

/// What one rank sees of the fold.
class ThreadFold::Member final : public ShardFold {
 public:
  Member(ThreadFold& whole, std::size_t pieces) : whole_(whole), pieces_(pieces) {}
  void start(int channel, std::span<const double> records, std::int64_t width) override;
  void finish(int channel, const Combine& combine, std::span<double> total) override;

 private:
  struct Started {
    std::vector<double> records;
    std::int64_t width = 0;
  };
  ThreadFold& whole_;
  std::size_t pieces_;
  std::map<int, Started> started_;
};

ThreadFold::ThreadFold(std::int64_t shards, std::vector<std::vector<Range>> pieces_of_ranks)
    : shards_(shards), barrier_(static_cast<std::ptrdiff_t>(pieces_of_ranks.size())) {
  for (std::size_t rank = 0; rank < pieces_of_ranks.size(); ++rank) {
    for (std::size_t p = 0; p < pieces_of_ranks[rank].size(); ++p) {
      const Range piece = pieces_of_ranks[rank][p];
      owners_[{piece.begin, piece.end}] = {rank, p};
    }
    members_.push_back(std::make_unique<Member>(*this, pieces_of_ranks[rank].size()));
  }
}

ThreadFold::~ThreadFold() = default;

ShardFold& ThreadFold::of(std::size_t rank) { return *members_[rank]; }

void ThreadFold::Member::start(int channel, std::span<const double> records, std::int64_t width) {
  require(records.size() == pieces_ * static_cast<std::size_t>(width), ErrorKind::internal, "a fold of ",
          pieces_, " pieces of ", width, " numbers was given ", records.size());
  require(!started_.contains(channel), ErrorKind::internal, "channel ", channel, " was started twice");
  started_[channel] = {{records.begin(), records.end()}, width};
}

void ThreadFold::Member::finish(int channel, const Combine& combine, std::span<double> total) {
  require(started_.contains(channel), ErrorKind::internal, "channel ", channel,
          " was finished before it was started");
  const std::int64_t width = started_[channel].width;
  require(total.size() == static_cast<std::size_t>(width), ErrorKind::internal, "a total of the wrong size");
  whole_.barrier_.arrive_and_wait();
  using Record = std::vector<double>;
  const auto result = whole_.fold<Record>(
      {0, whole_.shards_},
      [&](std::size_t rank, std::size_t piece) {
        const Started& theirs = whole_.members_[rank]->started_.at(channel);
        const auto first = theirs.records.begin() + static_cast<std::ptrdiff_t>(piece) * width;
        return Record(first, first + width);
      },
      [&](Range left, Range right, Record& into, const Record& from) {
        combine(left, right, into.data(), from.data());
      });
  std::copy(result->begin(), result->end(), total.begin());
  whole_.barrier_.arrive_and_wait();  // nobody starts this channel anew while another reads
  started_.erase(channel);
}

}  // namespace trainer::nn::simulation
