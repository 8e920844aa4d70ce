#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/error.h"
#include "trainer/train/configuration.h"
#include "trainer/train/prepare.h"

namespace trainer::train {

/// Where one rank runs, and with what.
struct RankFacts {
  std::string host;
  int node = 0;                        ///< the lowest rank that shares this rank's memory
  std::vector<int> processors;         ///< that the rank may run on (its affinity mask)
  int available_processors = 0;        ///< of the node, that the launcher had to give to the ranks on it
  int available_cores = 0;             ///< the same in physical cores
  int online_processors = 0;           ///< of the node
  double quota = 0;                    ///< of the cgroup, in processors; 0: none
  int threads = 1;                     ///< of the rank
  std::string launcher;                ///< comm::launcher()
  std::string processor;               ///< its model
  std::string isa;                     ///< that oneDNN takes
  std::string build;                   ///< compiler and versions of the libraries
  std::string program;                 ///< digest of the program's file
  std::int64_t free_memory_bytes = 0;  ///< of the node; 0: unknown
  std::int64_t held_memory_bytes = 0;  ///< that the rank has taken already
  std::string omp_num_threads, omp_proc_bind;  ///< the variables, empty when not set

  /// Bound: it may not run on all that the launcher had.
  bool is_bound() const { return static_cast<int>(processors.size()) < available_processors; }
};

/// The facts as lines `name value`, and back. Throws Error(internal) for what facts_text() did not write.
std::string facts_text(const RankFacts& facts);
RankFacts parse_facts(const std::string& text);

/// The facts of this process, whose node's lowest rank is `node`. Not collective.
RankFacts facts_here(int node, int threads);

/// **Collective.** The facts of every rank, by rank.
std::vector<RankFacts> gather_facts(const comm::Communicator& world, int threads);

/// `problem`: the run would break; `advice`: it would be slow, or may break.
enum class Severity { advice, problem };

/// One thing that is wrong.
struct Finding {
  Severity severity = Severity::advice;
  std::string check;                  ///< what was checked: "placement", "memory", "folder", ...
  std::string text;                   ///< what is wrong, where, with numbers
  std::string remedy;                 ///< what to do, with the line to use where that is the cure
  ErrorKind kind = ErrorKind::usage;  ///< of a problem: its exit code
  bool at_start = true;               ///< worth a line at the start of every run
};

/// What diagnose() takes into account beside the facts.
struct Circumstances {
  std::int64_t bytes_per_rank = 0;           ///< of the model that is to be trained; 0: not known
  std::optional<bool> same_arithmetic = {};  ///< whether the processors were seen to compute alike
};

/// What the facts of all ranks (by rank) say is wrong. Pure.
std::vector<Finding> diagnose(const std::vector<RankFacts>& facts, const Circumstances& circumstances);

/// The line that starts these ranks so that each has cores of its own, as many as there are for it: for
/// mpirun, or for srun where that started them. Fewer ranks when there are more ranks than cores.
std::string placement_line(const std::vector<RankFacts>& facts);

/// The size of one checkpoint of this run, about.
std::int64_t checkpoint_bytes(const Prepared& prepared);

/// What start_findings() needs to know of the run.
struct StartCircumstances {
  int threads = 1;                    ///< of this rank
  std::string folder;                 ///< the run folder, which rank 0 holds locked; the same on all ranks
  std::int64_t bytes_per_rank = 0;    ///< estimated_bytes()
  std::int64_t checkpoint_bytes = 0;  ///< checkpoint_bytes()
  std::int64_t keep = 1;              ///< --keep
};

/// **Collective.** The short form of the doctor, for the start of every run, after the ranks have been seen
/// to compute alike: on rank 0 a line `warning: ...` for each thing that is wrong, none when all is well; no
/// lines on the other ranks. Cheap, writes nothing. Throws AgreedError when rank 0 cannot look.
std::vector<std::string> start_findings(const comm::Communicator& world, const StartCircumstances& start);

/// What `trainer doctor` looks at.
struct DoctorRequest {
  Configuration configuration;
  bool check_data = false;   ///< --data was given: open it, and lay out the model, as training would
  int threads = 1;           ///< of this rank
  std::FILE* out = nullptr;  ///< rank 0 prints there
};

/// **Collective.** Looks at the machine, the placement of the ranks, the folder and the data; prints a table,
/// each check with `ok`, `advice` or `problem`, and what to do. Leaves nothing behind. Returns the exit code:
/// 0 without a problem, else the highest of the problems' kinds (2 usage, 3 data or folder, 4 communication).
int run_doctor(const comm::Communicator& world, const DoctorRequest& request);

}  // namespace trainer::train
