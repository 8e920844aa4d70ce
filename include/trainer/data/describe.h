#pragma once

#include <string>

#include "trainer/data/request.h"

namespace trainer::data {

/// What is to be looked at.
struct DescribeRequest {
  Request data;
  bool without_test = false;          ///< --test none
  std::string memory_limit = "60 %";  ///< of what cannot be read in parts
  std::string shuffle;                ///< --shuffle; empty: by the data
};

struct Description {
  std::string text;     ///< lines `name value`, then lines of advice
  std::string trouble;  ///< the error that training would meet; empty: none was found
};

/// What the data is, how its rows lie in the files, how well the orders that training may take mix its
/// targets (measured), and what to do about it. Large data are looked at in samples, which is said: up to
/// 1 GiB of inputs and 4 million rows' targets, spread over the data. Without MPI; not collective. Throws as
/// open_data does for what is found before rows are read, Error(usage) for a bad --shuffle or
/// --memory-limit.
Description describe_data(const DescribeRequest& request);

}  // namespace trainer::data
