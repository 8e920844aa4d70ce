#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <string>

#include "trainer/comm/communicator.h"
#include "trainer/study/space.h"
#include "trainer/train/configuration.h"
#include "trainer/train/signals.h"

namespace trainer::study {

/// What a study takes beside the options of training; as written.
struct Options {
  std::string batch_sizes = "32..8192";  ///< of study batch
  std::string tune = "lr=log(1e-4,1)";   ///< of study batch; or none
  std::string vary;                      ///< of study search
  std::int64_t points = 20;              ///< of the search, at each batch size
  std::int64_t finalists = 2;            ///< of the points, that are measured
  std::int64_t seeds = 3;                ///< that they are measured with
  std::string budget = "20 epochs";      ///< of one trial: epochs, steps or time
  std::string stop_early = "none";       ///< none|halving
  std::int64_t ranks_per_trial = 1;      ///< at most all
  std::int64_t weak = 512;               ///< of study ranks: rows of a rank in weak scaling
  std::int64_t steps = 200;              ///< of study ranks: that are timed, at each number of ranks
  std::string trials;  ///< of study ranks: a batch study, for the time to its goal; empty: none
};

enum class Kind { batch, ranks, search };

struct Request {
  Kind kind = Kind::batch;
  Options options;
  train::Configuration configuration;  ///< of all trials
  /// Options of training that were given, with their values.
  std::map<std::string, std::string> given = {};
  std::string command;   ///< the command line, for the records
  bool resume = false;   ///< go on with the study in configuration.out, if there is one
  bool dry_run = false;  ///< check everything, print what would be run, stop
  int threads = 1;       ///< of each rank
  const train::SignalFlags* signals = nullptr;
  std::FILE* out = nullptr;  ///< progress and results; written by rank 0 only
  /// The configuration with these settings; a name that is no option stands for $name in the others' texts.
  /// Throws Error(usage).
  std::function<train::Configuration(const train::Configuration&, const Settings&)> with;
  /// Throws Error(usage) when a variable cannot be varied within one study.
  std::function<void(const std::string& name)> require_variable;
  /// The text of STUDY/config.ini, the options of studies included.
  std::function<std::string(const std::map<std::string, std::string>& resolved)> config_text;
  std::function<void(const std::string& path)> on_folder;
};

/// Collective. Returns the exit code: 0, or 75 when it was stopped. Throws comm::AgreedError where ranks have
/// agreed on an error; any other exception is this rank's alone.
int run_study(const comm::Communicator& world, const Request& request);

/// Whether `folder` holds a study.
bool holds_study(const std::string& folder);
/// The page of a study and its figures, from what stands in its folder, which may be half done. `request`:
/// what its config.ini asks. Returns what the user should be told (gnuplot is missing), mostly nothing.
/// Throws Error(data).
std::string write_study_report(const Request& request, const std::string& folder, const std::string& page,
                               const std::string& figures);

}  // namespace trainer::study
