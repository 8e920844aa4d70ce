#pragma once

#include "trainer/cli/options.h"
#include "trainer/comm/communicator.h"

namespace trainer::cli {

// One function a command; each returns the exit code. Those that take the world are **collective**.

int run_train(const comm::Communicator& world, const CommandLine& line);
int run_resume(const comm::Communicator& world, const CommandLine& line);
int run_evaluate(const comm::Communicator& world, const CommandLine& line);

/// train --dry-run: checks and prints, without MPI.
int run_dry_run(const CommandLine& line);
/// Prints what is in a checkpoint, without MPI.
int run_inspect(const CommandLine& line);

/// --version: the program, the compiler and the libraries.
std::string version_text();

}  // namespace trainer::cli
