#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "block_cache.h"
#include "opened_set.h"
#include "source.h"
#include "trainer/comm/communicator.h"
#include "trainer/data/open.h"
#include "window_reader.h"

namespace trainer::data {

/// A data set whose rows stay in their files. Rows of the batch that approach() named come from windows read
/// ahead; all others from a few blocks read when they are asked for. Gathering throws Error(data) for what
/// cannot be read, on the rank that reads it.
class StreamedData final : public OpenedSet {
 public:
  /// **Collective** over `world`. `limit`: of memory on a node; the rows of all splits are `all_bytes`.
  /// `node` outlives this object. Throws Error(communication) when the content of the files differs between
  /// nodes.
  StreamedData(const comm::Communicator& world, const comm::Communicator& node, Source source,
               std::int64_t all_bytes, MemoryLimit limit);

  bool has_all_rows() const override { return false; }
  void require_room(const EpochOrder& order, std::int64_t batch) const override;
  void approach(const EpochOrder& order, std::int64_t epoch, std::int64_t place,
                std::int64_t count) const override;
  void gather(std::span<const std::int64_t> rows, float* inputs) const override;
  void gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling,
                     float* inputs) const override;
  void gather_classes(std::span<const std::int64_t> rows, std::int32_t* classes) const override;
  void read_classes(Range rows, std::int32_t* classes) const override;
  void gather_values(std::span<const std::int64_t> rows, float* values) const override;
  std::vector<std::int64_t> count_labels(const ShareWork& share) const override;

 private:
  void read_block(std::int64_t block, const RowStore& store) const;
  template <class Take>
  void visit(std::span<const std::int64_t> rows, const Take& take) const;

  const comm::Communicator& node_;
  Source source_;
  std::int64_t all_bytes_;
  MemoryLimit limit_;
  mutable std::mutex reading_;  ///< of source_
  mutable BlockCache cache_;
  mutable std::unique_ptr<WindowReader> reader_;
};

}  // namespace trainer::data
