#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "source.h"
#include "trainer/comm/communicator.h"
#include "trainer/comm/shared_array.h"
#include "trainer/data/data_set.h"

namespace trainer::data {

/// A data set in memory, one copy per node.
class ResidentData final : public DataSet {
 public:
  /// **Collective** over `world` and `node`. Reserves the memory, lets one rank of the node fill it, agrees
  /// on errors, and compares the fingerprints of all nodes. Throws on all ranks alike.
  ResidentData(const comm::Communicator& world, const comm::Communicator& node, const Source& source);

  const DataFacts& facts() const override { return facts_; }
  void gather(std::span<const std::int64_t> rows, float* inputs) const override;
  void gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling,
                     float* inputs) const override;
  void gather_classes(std::span<const std::int64_t> rows, std::int32_t* classes) const override;
  void gather_values(std::span<const std::int64_t> rows, float* values) const override;

  /// All rows' classes, in order.
  std::span<const std::int32_t> classes() const;
  /// Says how many classes there are and what they are called, once all splits have been looked at.
  void set_classes(std::int64_t count, std::vector<std::string> names);

 private:
  std::string content_digest(const std::string& identity) const;

  DataFacts facts_;
  comm::SharedArray memory_;
  RowStore store_;
};

}  // namespace trainer::data
