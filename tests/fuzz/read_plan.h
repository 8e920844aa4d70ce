#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fuzz_target.h"
#include "plan.h"

namespace trainer::data {

/// What a source gave.
struct FuzzedRows {
  std::vector<std::uint8_t> bytes;
  std::vector<float> floats, values;
  std::vector<std::int32_t> classes;
  bool operator==(const FuzzedRows&) const = default;
};

/// All rows of `source`, `at_once` at a time.
inline FuzzedRows fuzzed_rows(const Source& source, std::int64_t at_once) {
  const DataFacts& facts = source.facts;
  const auto size = [&](std::int64_t columns) { return static_cast<std::size_t>(facts.rows * columns); };
  const bool bytes = facts.element_type == "uint8";
  FuzzedRows out;
  if (bytes) out.bytes.resize(size(facts.features));
  if (!bytes) out.floats.resize(size(facts.features));
  if (facts.kind == TargetKind::classes) out.classes.resize(size(1));
  if (facts.kind == TargetKind::values) out.values.resize(size(facts.targets));
  for (std::int64_t begin = 0; begin < facts.rows; begin += at_once) {
    RowStore store;
    if (bytes) store.bytes = out.bytes.data() + begin * facts.features;
    if (!bytes) store.floats = out.floats.data() + begin * facts.features;
    if (!out.classes.empty()) store.classes = out.classes.data() + begin;
    if (!out.values.empty()) store.values = out.values.data() + begin * facts.targets;
    source.read({begin, std::min(facts.rows, begin + at_once)}, store);
  }
  return out;
}

/// Reads what a plan promises, whole and in parts, unless it is too much for one input. With --missing mean
/// (`keeps_missing`) an input may be NaN.
inline void read_plan(const Plan& plan, bool keeps_missing = false) {
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 26;
  for (const Source& source : plan.splits) {
    const DataFacts& facts = source.facts;
    must(facts.rows > 0 && facts.features > 0, "a data set has rows and columns");
    must(facts.kind != TargetKind::values || facts.targets > 0, "values have columns");
    const bool is_small = accepted([&] { decoded_bytes(facts); }) && decoded_bytes(facts) <= kMostBytes;
    if (!is_small) continue;
    FuzzedRows whole, parts;
    if (!accepted([&] { whole = fuzzed_rows(source, facts.rows); })) continue;
    for (const float value : whole.floats)
      must(std::isfinite(value) || (keeps_missing && std::isnan(value)), "inputs are finite");
    for (const float value : whole.values) must(std::isfinite(value), "targets are finite");
    for (const std::int32_t label : whole.classes) must(label >= 0, "labels are not negative");
    if (!source.any_rows) continue;
    must(accepted([&] { parts = fuzzed_rows(source, std::max<std::int64_t>(1, facts.rows / 3)); }),
         "what can be read whole can be read in parts");
    for (FuzzedRows* rows : {&whole, &parts})
      for (float& value : rows->floats)
        if (std::isnan(value)) value = -1;  // which is equal to itself
    must(whole == parts, "rows are the same whole and in parts");
  }
}

}  // namespace trainer::data
