#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include "trainer/comm/communicator.h"

namespace trainer::cli {

/// Writes `trainer: error: <message>` and a line end, in one piece, and flushes. Further lines of the message
/// (a caret) stay as they are.
void print_error(std::FILE* out, const std::string& message);

/// Before MPI: runs `body`, which returns an exit code. An exception is printed once for the whole job and
/// becomes its exit code: rank 0 prints at once, the others only when, a moment later, nobody has ended the
/// job, for then the failure is theirs alone.
int run_before_mpi(const std::function<int()>& body);

/// Called on the rank that fails, before the job ends: (exit code, message).
using OnFailure = std::function<void(int, const std::string&)>;

/// **Collective.** Runs `body`, which returns the exit code (the same on all ranks). A comm::AgreedError is
/// printed by rank 0; all ranks meet, and return its code. Any other exception is this rank's alone: it is
/// printed with rank and host, and the job is aborted.
int run_collectively(const comm::Communicator& world, const std::function<int()>& body,
                     const OnFailure& on_failure = {});

}  // namespace trainer::cli
