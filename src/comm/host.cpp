#include "trainer/comm/host.h"

#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "checked.h"
#include "trainer/core/grammar.h"

namespace trainer::comm {

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown host";
  const std::string full(name.data());
  return full.substr(0, full.find('.'));
}

int cpus_of_process() {
  // A mask of fixed size would fail on machines with more processors than it has bits.
  for (int most = 1024; most <= 1 << 20; most *= 4) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(CPU_ALLOC(most),
                                                                [](cpu_set_t* set) { CPU_FREE(set); });
    const std::size_t bytes = CPU_ALLOC_SIZE(most);
    if (mask && sched_getaffinity(0, bytes, mask.get()) == 0)
      return std::max(1, CPU_COUNT_S(bytes, mask.get()));
  }
  return cpus_of_node();
}

int cpus_of_node() { return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))); }

int ranks_on_node() {
  for (const char* variable : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PMI_LOCAL_SIZE",
                               "SLURM_STEP_TASKS_PER_NODE", "SLURM_NTASKS_PER_NODE"}) {
    const char* value = std::getenv(variable);
    if (value == nullptr) continue;
    // Slurm writes "4(x2),3"; the first number is near enough: it is the largest.
    const std::string text(value);
    const std::int64_t ranks = parse_integer(text.substr(0, text.find_first_of("(,"))).value_or(1);
    return static_cast<int>(std::clamp(ranks, std::int64_t{1}, std::int64_t{1} << 20));
  }
  return 1;
}

int ranks_of_job() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}) {
    if (const char* value = std::getenv(variable))
      return static_cast<int>(
          std::clamp(parse_integer(value).value_or(1), std::int64_t{1}, std::int64_t{1} << 24));
  }
  return 1;
}

bool bound_by_launcher() {
  const char* value = std::getenv("OMPI_MCA_orte_bound_at_launch");
  return value != nullptr && std::string(value) == "1";
}

std::string mpi_library_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> characters{};
  int length = 0;
  check(MPI_Get_library_version(characters.data(), &length), "MPI_Get_library_version");
  const std::string text(characters.data());
  return text.substr(0, text.find('\n'));
}

bool is_oversubscribed(const Placement& p) {
  // Ranks that are not bound share what each of them sees. Bound ranks see only their part of what the job
  // has, which cannot be learnt here: at most all of the node.
  const std::int64_t cpus_of_job = p.bound ? p.cpus_of_node : p.cpus_of_process;
  return p.threads > p.cpus_of_process || std::int64_t{p.ranks} * p.threads > cpus_of_job;
}

bool restart_with_passive_waiting(int threads, char** argv) {
  constexpr const char* kGuard = "TRAINER_RESTARTED_WITH_PASSIVE_WAITING";
  if (std::getenv(kGuard) != nullptr) return true;
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return false;
  if (!is_oversubscribed({ranks_on_node(), threads, cpus_of_process(), cpus_of_node(), bound_by_launcher()}))
    return false;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return false;
  setenv("OMP_WAIT_POLICY", "passive", 1);
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
  setenv(kGuard, "1", 1);
  execv(program.c_str(), argv);
  // Still here: the program cannot be executed again (deleted, say). It goes on as it is, slowly.
  unsetenv("OMP_WAIT_POLICY");
  unsetenv(kGuard);
  return false;
}

}  // namespace trainer::comm
