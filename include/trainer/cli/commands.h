#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainer/cli/options.h"
#include "trainer/comm/communicator.h"
#include "trainer/train/signals.h"

namespace trainer::cli {

/// What a command works on.
struct Job {
  CommandLine line;
  int threads = 1;                              ///< of this rank, resolved
  std::string command;                          ///< the whole command line, for the records of a run
  const train::SignalFlags* signals = nullptr;  ///< of a training command
  std::function<void(const std::string& run)> on_folder =
      {};  ///< called with the run folder once there is one
};

// One function a command; each returns the exit code. Those that take the world are **collective**.

int run_train(const comm::Communicator& world, const Job& job);
/// Reads RUN/config.ini on rank 0; the options given change what is free.
int run_resume(const comm::Communicator& world, const Job& job);
int run_evaluate(const comm::Communicator& world, const Job& job);
int run_predict(const comm::Communicator& world, const Job& job);
int run_doctor(const comm::Communicator& world, const Job& job);
/// report --loss-landscape: first computes it, then writes the page.
int run_report(const comm::Communicator& world, const Job& job);
/// data convert and data generate.
int run_data_convert(const comm::Communicator& world, const Job& job);

/// study batch, study ranks, study search.
int run_study(const comm::Communicator& world, const Job& job);

/// train --dry-run, study ... --dry-run: checks and prints, without MPI.
int run_dry_run(const Job& job);
/// What `inspect` prints of a checkpoint (or of a run folder's best.h5), one `name value` a line. With
/// `verify` Throws Error(data) unless everything in the file is good; without, a file that was changed after
/// it was written is shown, and said to be so.
std::string inspect_text(const std::string& file, bool verify);

/// The page of a study; `places` as of write_report(). Without MPI.
std::string write_study_report(const std::string& folder, const std::string& page,
                               const std::string& figures);
/// Writes the page of `report` and its pictures. Without MPI. Returns what is to be printed.
std::string write_report(const CommandLine& line);

/// What `data describe` prints. Without MPI.
struct DescribedData {
  std::string text;
  std::string trouble;  ///< what training would end with, an error of the data; empty: nothing
};
DescribedData describe_text(const CommandLine& line);

/// --version: the program, the compiler and the libraries.
std::string version_text();

/// Threads of this rank: --threads, else OMP_NUM_THREADS, else this rank's share of the processors that it
/// may run on. Throws Error(usage) for an OMP_NUM_THREADS that is no number.
int resolve_threads(const train::Configuration& configuration);

/// Hands --isa to oneDNN; to be called before anything of it runs.
void limit_instruction_set(const train::Configuration& configuration);

/// The command line as a shell would take it, words with special characters in quotes.
std::string shell_text(const std::vector<std::string>& words);

/// The program: parses, starts MPI where it is needed, runs the command, returns the exit code.
int run_program(int argc, char** argv);

}  // namespace trainer::cli
