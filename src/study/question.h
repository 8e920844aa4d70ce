#pragma once

// From the options of a study to what is asked. Private to this room.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "summary.h"
#include "trainer/study/study.h"
#include "trainer/train/trial.h"

namespace trainer::study {

/// `--batch-sizes`, ascending: powers of two from A to B as in 32..8192 (those beyond `rows` are left out), a
/// list, `full` for all rows. Throws Error(usage).
std::vector<std::int64_t> parse_batch_sizes(const std::string& source, std::int64_t rows);

/// `--budget`: how far one trial goes.
struct Budget {
  double epochs = 0;
  std::int64_t steps = 0;
  double seconds = 0;  ///< of these three, one is above 0

  /// Throws Error(usage).
  static Budget parse(const std::string& source);
  /// The steps at a batch size; 0: limited by time alone.
  std::int64_t steps_of(std::int64_t batch, std::int64_t rows) const;
};

/// Everything but the batch sizes and the metric. Throws Error(usage).
Question question_of(const Request& request);

}  // namespace trainer::study
