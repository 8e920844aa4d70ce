#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace trainer::data {

/// Computes task(0), ..., task(count - 1), each once on some rank, and returns all results, in order, on
/// every rank; results may be any bytes. **Collective** where there is MPI, so every rank must come here with
/// the same count: what differs between ranks (files that are looked at) stands inside tasks, and what is
/// decided on between two calls depends on their results alone. What a task throws is thrown on every rank
/// alike, naming the rank and its host.
using ShareWork =
    std::function<std::vector<std::string>(std::int64_t, const std::function<std::string(std::int64_t)>&)>;

}  // namespace trainer::data
