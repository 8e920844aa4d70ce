#include "content.h"

#include <algorithm>

#include "trainer/core/digest.h"
#include "trainer/core/error.h"

namespace trainer::data {

std::vector<std::int64_t> sampled_blocks(const DataFacts& facts) {
  constexpr std::int64_t kMost = 128;
  const auto blocks = static_cast<std::int64_t>(facts.blocks.size());
  std::vector<std::int64_t> list;
  for (std::int64_t i = 0; i < std::min(blocks, kMost); ++i)
    list.push_back(blocks <= kMost ? i : i * (blocks - 1) / (kMost - 1));
  return list;
}

std::string content_digest(const RowStore& store, const DataFacts& facts, std::int64_t rows) {
  const DataFacts some = with_rows(facts, rows);
  const void* const inputs = store.bytes != nullptr ? static_cast<const void*>(store.bytes) : store.floats;
  const void* const targets =
      store.classes != nullptr ? static_cast<const void*>(store.classes) : store.values;
  Digest digest;
  digest.add(inputs, static_cast<std::size_t>(input_bytes(some)));
  digest.add(targets, static_cast<std::size_t>(target_bytes(some)));
  return digest.hex();
}

std::string fingerprint_of(const Source& source, const std::vector<std::string>& digests) {
  const DataFacts& facts = source.facts;
  const char* const kind = facts.kind == TargetKind::classes  ? " classes "
                           : facts.kind == TargetKind::values ? " values "
                                                              : " inputs ";
  std::string all = text(source.identity, "\n", facts.element_type, kind, facts.rows);
  for (const std::int64_t size : facts.feature_shape) all += text(" ", size);
  for (const std::string& digest : digests) all += "\n" + digest;
  return digest_of(all.data(), all.size());
}

}  // namespace trainer::data
