#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trainer::comm {

// Facts about where this process runs. Nothing here needs MPI to be initialised; nothing is collective.

/// The name of this host, without its domain.
std::string host_name();

/// The processors that this process may run on, ascending: its affinity mask, and where OMP_PROC_BIND has
/// tied this thread to a part of it, the places of OpenMP. Empty when the system does not tell.
std::vector<int> processors_of_process();

/// The number of processors that this process may run on, at least 1.
int cpus_of_process();

/// The processors of this node that the launcher had to give away: those that its own process (the parent of
/// this one) may run on, within this process's cpuset, and processors_of_process(). Not more than
/// processors_of_process() where that cannot be learnt. Slurm may have lent fewer of them: see
/// cpus_lent_by_slurm().
std::vector<int> processors_of_launcher();

/// SLURM_CPUS_ON_NODE: the number of this node's processors that the job has; 0 when it is not set.
int cpus_lent_by_slurm();

/// "0-3,8" for {0, 1, 2, 3, 8}; empty for none.
std::string list_text(const std::vector<int>& numbers);
/// The reverse of list_text, as Linux writes its lists of processors. Empty for what is no such list.
std::vector<int> parse_list(const std::string& text);

/// The number of physical cores among `processors` (two processors of one core are its hardware threads).
int cores_among(const std::vector<int>& processors);

/// How many processors' worth of time this process's cgroup may use (cgroup v2 cpu.max, v1
/// cpu.cfs_quota_us), its parents counted; 0 when there is no limit. `root` is put before /proc and /sys, for
/// tests.
double processor_quota(const std::string& root = "");

/// Bytes of memory that can still be had on this node, or in this process's cgroup where that has less; 0
/// when the system does not tell.
std::int64_t available_memory_bytes(const std::string& root = "");

/// Bytes that this process holds and shares with nobody.
std::int64_t private_memory_bytes();

/// "AMD EPYC 9654 96-Core Processor", as /proc/cpuinfo has it.
std::string processor_model();

/// Who started this process: "mpirun", "srun", or empty for neither (or another).
std::string launcher();

/// The number of processors of this node that are switched on, whoever may use them.
int cpus_of_node();

/// The number of this job's ranks on this node, as the launcher tells in the environment (Open MPI, PMI,
/// Slurm); 1 when it does not.
int ranks_on_node();

/// The number of this job's ranks on all nodes, as the launcher tells in the environment; 1 when it does not.
int ranks_of_job();

/// This process's rank among the job's, as the launcher tells in the environment, before MPI runs (Open MPI,
/// PMIx, PMI, Slurm); 0 when it does not.
int rank_from_environment();

/// True when the launcher bound this process to a part of the node's processors (Open MPI).
bool bound_by_launcher();

/// First line of the MPI library's own version text, such as "Open MPI v4.1.4, package: ...".
std::string mpi_library_version();

/// What decides whether the ranks and threads of this node exceed its processors.
struct Placement {
  int ranks = 1;            ///< of this job on this node
  int threads = 1;          ///< of each rank
  int cpus_of_process = 1;  ///< that this rank may use
  int cpus_of_node = 1;     ///< that are switched on
  bool bound = false;       ///< the ranks were bound to processors of their own, as far as possible
};

/// True when some threads must share a processor: a thread that waits must then give it up, not spin.
bool is_oversubscribed(const Placement& placement);

/// Makes OpenMP and MPI wait passively when this node is oversubscribed with `threads` threads for each rank.
/// libgomp reads OMP_WAIT_POLICY when it is loaded, so this sets the variables and executes the same program
/// with the same arguments again; call it first in main, before MPI and before any thread. Does nothing when
/// OMP_WAIT_POLICY or GOMP_SPINCOUNT is set (the user has decided). Returns true when this process is such a
/// second start, false when none was needed (or was not possible).
bool restart_with_passive_waiting(int threads, char** argv);

}  // namespace trainer::comm
