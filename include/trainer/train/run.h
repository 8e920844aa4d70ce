#pragma once

#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/report/progress.h"
#include "trainer/train/configuration.h"
#include "trainer/train/signals.h"

namespace trainer::train {

/// What the command line asks of a run.
struct RunRequest {
  Configuration configuration;
  std::string command;                   ///< the command line, for the records
  bool resume = false;                   ///< continue the run in configuration.out, which must hold one
  std::string accept_change;             ///< words of `data`, `arithmetic`, `version`: see restore_run
  bool dry_run = false;                  ///< check everything, print what would be run, stop
  int ranks = 1;                         ///< of the job that a dry run describes
  int threads = 1;                       ///< of each rank
  const SignalFlags* signals = nullptr;  ///< requests to stop or save; null: none will come
  std::FILE* out = nullptr;              ///< progress and results; written by rank 0 only
  /// The text of RUN/config.ini, given resolved values by option name.
  std::function<std::string(const std::map<std::string, std::string>& resolved)> config_text;
  /// Throws Error(usage) when two such texts differ in an option that decides results.
  std::function<void(const std::string& was, const std::string& now)> require_same_bits;
  /// Called on rank 0 with the path once the folder is there; and on every rank, for record_failure.
  std::function<void(const std::string& path)> on_folder;
};

/// Collective. Trains from the start, or resumes. Returns the exit code: 0 or 75. Throws comm::AgreedError
/// where ranks have agreed on an error; any other exception is this rank's alone.
int run_training(const comm::Communicator& world, const RunRequest& request);

struct EvaluateRequest {
  std::vector<std::string> models;  ///< checkpoint files or run folders (then their best.h5); several: their
                                    ///< mean
  Configuration configuration;      ///< its options for data count, and no others; missing empty: as trained
  std::string split;                ///< test|validation|train|all; empty: test if the data has it, else all
  std::optional<std::string> validation;    ///< absent: as the model was trained
  std::optional<std::uint64_t> split_seed;  ///< likewise
  std::string metrics;                      ///< as --metrics; empty: all that fit and take no argument
  std::string out_json;
  int threads = 1;
  std::FILE* out = nullptr;
};

/// Collective. Prints one `name value` a line on rank 0. Returns the exit code.
int run_evaluation(const comm::Communicator& world, const EvaluateRequest& request);

struct PredictRequest {
  std::vector<std::string> models;  ///< as in EvaluateRequest
  Configuration configuration;      ///< as in EvaluateRequest
  std::string split;                ///< test|train: all rows of these; empty: test if the data has it
  std::string out;                  ///< a file that ends in .h5, .hdf5 or .csv
  std::int64_t samples = 0;         ///< passes of each model with dropout and noise at work; 0: one without
  std::uint64_t seed = 1;           ///< of the samples
  int threads = 1;
  report::ProgressStyle progress = report::ProgressStyle::none;
  double progress_every_seconds = 30;  ///< always told in lines
  bool quiet = false;                  ///< the last line only
  std::FILE* report = nullptr;         ///< what was written, and progress; written by rank 0 only
};

/// Collective. Writes a row of predictions for each row of the data, in their order, to one file, which is
/// there whole or not at all: [rows, outputs] activated outputs in original units, the mean over models and
/// samples; of a classification the classes; with several models or samples the standard deviation. The bytes
/// are the same for any number of ranks and threads. Memory: a window of the rows. Returns the exit code.
int run_prediction(const comm::Communicator& world, const PredictRequest& request);

}  // namespace trainer::train
