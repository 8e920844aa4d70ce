#pragma once

#include <string>

namespace trainer::comm {

// Facts about where this process runs. Nothing here needs MPI to be initialised; nothing is collective.

/// The name of this host, without its domain.
std::string host_name();

/// The number of processors that this process may run on (its affinity mask, at least 1).
int cpus_of_process();

/// The number of processors of this node that are switched on, whoever may use them.
int cpus_of_node();

/// The number of this job's ranks on this node, as the launcher tells in the environment (Open MPI, PMI,
/// Slurm); 1 when it does not.
int ranks_on_node();

/// The number of this job's ranks on all nodes, as the launcher tells in the environment; 1 when it does not.
int ranks_of_job();

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
