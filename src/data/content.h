#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "source.h"

namespace trainer::data {

/// The blocks whose content counts for the fingerprint: all, or 128 spread over the data with the first and
/// the last.
std::vector<std::int64_t> sampled_blocks(const DataFacts& facts);
/// Digest of rows in memory, the first `rows` of `store`.
std::string content_digest(const RowStore& store, const DataFacts& facts, std::int64_t rows);
/// DataFacts::fingerprint, of names, types, shapes and the digests of the sampled blocks.
std::string fingerprint_of(const Source& source, const std::vector<std::string>& digests);

}  // namespace trainer::data
