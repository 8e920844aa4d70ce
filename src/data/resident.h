#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "opened_set.h"
#include "source.h"
#include "trainer/comm/communicator.h"
#include "trainer/comm/shared_array.h"
#include "trainer/data/data_set.h"

namespace trainer::data {

/// A data set in memory, one copy per node.
class ResidentData final : public OpenedSet {
 public:
  /// **Collective** over `world` and `node`. Reserves the memory, lets one rank of the node fill it, agrees
  /// on errors, and compares the fingerprints of all nodes. Throws on all ranks alike.
  ResidentData(const comm::Communicator& world, const comm::Communicator& node, const Source& source);

  void gather(std::span<const std::int64_t> rows, float* inputs) const override;
  void gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling,
                     float* inputs) const override;
  void gather_classes(std::span<const std::int64_t> rows, std::int32_t* classes) const override;
  void gather_values(std::span<const std::int64_t> rows, float* values) const override;

  std::vector<std::int64_t> count_labels(const ShareWork& share) const override;
  std::int64_t unshared_bytes() const override { return memory_.is_shared() ? 0 : memory_.bytes(); }

 private:
  void read_all(const Source& source, const comm::Communicator& world);
  std::string fingerprint(const Source& source) const;

  comm::SharedArray memory_;
  RowStore store_;
};

}  // namespace trainer::data
