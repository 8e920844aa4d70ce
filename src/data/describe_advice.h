#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "describe_stored.h"
#include "source.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// What advice is made from.
struct Findings {
  const Request* request = nullptr;
  const Source* source = nullptr;
  const DataFacts* facts = nullptr;  ///< of the source, with blocks and number of classes
  std::vector<StoredInputs> stored;
  std::vector<std::int64_t> class_counts;
  std::vector<std::int64_t> wide_targets;  ///< columns of values, all above 0, that spread over decades
  std::string shuffle;                     ///< that would be taken
  std::optional<double> spread;            ///< of it
  double spread_noise = 0;                 ///< standard deviation that a full permutation would have, at most
};

/// Sentences for a person: what to change, and how. Empty when all is well.
std::vector<std::string> advice_on(const Findings& findings);

/// `trainer data convert WHAT ... --out F.h5`, with the options of the request.
std::string convert_line(const Request& request);

}  // namespace trainer::data
