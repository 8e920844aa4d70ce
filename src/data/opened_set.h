#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "share_work.h"
#include "source.h"
#include "trainer/data/data_set.h"

namespace trainer::data {

/// A data set as it comes from files: its classes are counted after it was opened.
class OpenedSet : public DataSet {
 public:
  const DataFacts& facts() const override { return facts_; }
  std::string place_of(std::int64_t row) const override {
    return place_ ? place_(row) : DataSet::place_of(row);
  }
  /// **Collective** where `share` is. How many rows each class has, up to the greatest label. Throws
  /// Error(data) for labels that are none. For classes only.
  virtual std::vector<std::int64_t> count_labels(const ShareWork& share) const = 0;
  /// Says how many classes there are and what they are called, once all splits have been looked at.
  void set_classes(std::int64_t count, std::vector<std::string> names) {
    facts_.targets = count;
    facts_.class_names = std::move(names);
  }

  /// Bytes that each rank holds though the ranks of its node were to share them; 0: none.
  virtual std::int64_t unshared_bytes() const { return 0; }

 protected:
  OpenedSet(DataFacts facts, Source::Place place) : facts_(std::move(facts)), place_(std::move(place)) {}
  DataFacts facts_;

 private:
  Source::Place place_;
};

}  // namespace trainer::data
