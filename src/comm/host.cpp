#include "trainer/comm/host.h"

#include <mpi.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>

#include "checked.h"
#include "trainer/core/grammar.h"

namespace trainer::comm {
namespace {

using MaskOwner = std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)>;

MaskOwner make_mask(int processors) {
  return {CPU_ALLOC(processors), [](cpu_set_t* set) { CPU_FREE(set); }};
}

/// The affinity mask of process `id` (0: this thread).
std::vector<int> mask_of(pid_t id) {
  // A mask of fixed size would fail on machines with more processors than it has bits.
  for (int most = 1024; most <= 1 << 20; most *= 4) {
    const MaskOwner mask = make_mask(most);
    const std::size_t bytes = CPU_ALLOC_SIZE(most);
    if (!mask || sched_getaffinity(id, bytes, mask.get()) != 0) continue;
    std::vector<int> processors;
    for (int processor = 0; processor < most; ++processor) {
      if (CPU_ISSET_S(static_cast<std::size_t>(processor), bytes, mask.get()))
        processors.push_back(processor);
    }
    return processors;
  }
  return {};
}

void set_mask(const std::vector<int>& processors) {
  if (processors.empty()) return;
  const MaskOwner mask = make_mask(processors.back() + 1);
  const std::size_t bytes = CPU_ALLOC_SIZE(processors.back() + 1);
  if (!mask) return;
  CPU_ZERO_S(bytes, mask.get());
  for (const int processor : processors) CPU_SET_S(static_cast<std::size_t>(processor), bytes, mask.get());
  sched_setaffinity(0, bytes, mask.get());
}

std::vector<int> union_of(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> all;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all));
  return all;
}

/// The first line of a small file; empty when it cannot be read.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Where a file `name` of this process's cgroup may stand: in its own group first, then in those above. In a
/// container the path that /proc tells is often not to be seen, but the root is the container's own group.
std::vector<std::string> cgroup_files(const std::string& root, const std::string& controller,
                                      const std::string& name) {
  std::vector<std::string> files;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string padded = "," + controllers + ",";
    std::vector<std::string> mounts;
    if (controllers.empty()) {
      mounts = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    } else if (padded.find("," + controller + ",") != std::string::npos) {
      mounts = {"/sys/fs/cgroup/" + controllers, "/sys/fs/cgroup/" + controller};
    }
    for (const std::string& mount : mounts) {
      std::string group = line.substr(second + 1);
      while (true) {
        while (!group.empty() && group.back() == '/') group.pop_back();
        const std::string file = root + mount + group + "/" + name;
        if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
        if (group.empty()) break;
        group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
      }
    }
  }
  return files;
}

/// The smaller of two limits where 0 means none.
template <class T>
T tighter(T a, T b) {
  if (a <= 0) return b;
  return b <= 0 ? a : std::min(a, b);
}

/// The number behind `key` in a file of lines `key value`, 0 when there is none.
std::int64_t value_in(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t value = 0;
    if (words >> name >> value && name == key) return value;
  }
  return 0;
}

/// What is left below one limit of memory, 0 when it is no limit. What the kernel keeps of files is given
/// back when it is needed.
std::int64_t left_of_limit(const std::string& limit_file, const std::string& usage_name,
                           const std::string& kept_name) {
  const auto limit = parse_integer(first_line(limit_file));
  const std::string folder = limit_file.substr(0, limit_file.rfind('/') + 1);
  const auto usage = parse_integer(first_line(folder + usage_name));
  if (!limit || !usage || *limit >= std::int64_t{1} << 60) return 0;
  return std::max(std::int64_t{1}, *limit - *usage + value_in(folder + "memory.stat", kept_name));
}

/// Where OMP_PROC_BIND is set, libgomp ties the first thread to the first place as soon as it is loaded: its
/// mask is no longer what the process has.
std::vector<int> processors_of_places() {
  std::set<int> processors;
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> ids(static_cast<std::size_t>(std::max(0, omp_get_place_num_procs(place))));
    if (!ids.empty()) omp_get_place_proc_ids(place, ids.data());
    processors.insert(ids.begin(), ids.end());
  }
  return {processors.begin(), processors.end()};
}

}  // namespace

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown host";
  const std::string full(name.data());
  return full.substr(0, full.find('.'));
}

std::vector<int> processors_of_process() { return union_of(mask_of(0), processors_of_places()); }

int cpus_of_process() {
  const std::vector<int> processors = processors_of_process();
  return processors.empty() ? cpus_of_node() : static_cast<int>(processors.size());
}

std::vector<int> processors_of_launcher() {
  std::vector<int> offered = mask_of(getppid());
  for (const char* name : {"cpuset.cpus.effective", "cpuset.effective_cpus"}) {
    for (const std::string& file : cgroup_files("", "cpuset", name)) {
      const std::vector<int> allowed = parse_list(first_line(file));
      if (allowed.empty()) continue;
      std::vector<int> both;
      std::set_intersection(offered.begin(), offered.end(), allowed.begin(), allowed.end(),
                            std::back_inserter(both));
      offered = std::move(both);
      break;  // the nearest group has what the ones above left to it
    }
  }
  return union_of(offered, processors_of_process());
}

int cpus_lent_by_slurm() {
  const char* value = std::getenv("SLURM_CPUS_ON_NODE");
  if (value == nullptr) return 0;
  return static_cast<int>(
      std::clamp(parse_integer(value).value_or(0), std::int64_t{0}, std::int64_t{1} << 20));
}

std::string list_text(const std::vector<int>& numbers) {
  std::string list;
  for (std::size_t begin = 0; begin < numbers.size();) {
    std::size_t end = begin + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    list += (list.empty() ? "" : ",") + std::to_string(numbers[begin]);
    if (end - begin > 1) list += "-" + std::to_string(numbers[end - 1]);
    begin = end;
  }
  return list;
}

std::vector<int> parse_list(const std::string& text) {
  constexpr std::int64_t kMost = 1 << 20;
  std::set<int> numbers;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t dash = part.find('-');
    const auto first = parse_integer(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : parse_integer(part.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last >= kMost) return {};
    for (std::int64_t number = *first; number <= *last; ++number) numbers.insert(static_cast<int>(number));
  }
  return {numbers.begin(), numbers.end()};
}

int cores_among(const std::vector<int>& processors) {
  std::set<std::string> cores;
  for (const int processor : processors) {
    const std::string place = "/sys/devices/system/cpu/cpu" + std::to_string(processor) + "/topology/";
    std::string siblings = first_line(place + "thread_siblings_list");
    if (siblings.empty()) siblings = std::to_string(processor);
    cores.insert(siblings);
  }
  return static_cast<int>(cores.size());
}

double processor_quota(const std::string& root) {
  double quota = 0;
  for (const std::string& file : cgroup_files(root, "cpu", "cpu.max")) {
    std::istringstream words(first_line(file));
    std::string most;
    double period = 0;
    if (!(words >> most >> period) || period <= 0) continue;  // "max 100000": no limit
    const auto microseconds = parse_number(most);
    if (microseconds) quota = tighter(quota, *microseconds / period);
  }
  for (const std::string& file : cgroup_files(root, "cpu", "cpu.cfs_quota_us")) {
    const std::string folder = file.substr(0, file.rfind('/') + 1);
    const auto microseconds = parse_number(first_line(file));
    const auto period = parse_number(first_line(folder + "cpu.cfs_period_us"));
    if (microseconds && period && *microseconds > 0 && *period > 0)
      quota = tighter(quota, *microseconds / *period);
  }
  return quota;
}

std::int64_t available_memory_bytes(const std::string& root) {
  std::int64_t bytes = value_in(root + "/proc/meminfo", "MemAvailable:") * 1024;
  for (const std::string& file : cgroup_files(root, "memory", "memory.max"))
    bytes = tighter(bytes, left_of_limit(file, "memory.current", "inactive_file"));
  for (const std::string& file : cgroup_files(root, "memory", "memory.limit_in_bytes"))
    bytes = tighter(bytes, left_of_limit(file, "memory.usage_in_bytes", "total_inactive_file"));
  return bytes;
}

std::int64_t private_memory_bytes() {
  std::istringstream pages(first_line("/proc/self/statm"));
  std::int64_t size = 0, resident = 0, shared = 0;
  pages >> size >> resident >> shared;
  return std::max(std::int64_t{0}, resident - shared) * sysconf(_SC_PAGESIZE);
}

std::string processor_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos && (line.starts_with("model name") || line.starts_with("Processor")))
      return line.substr(colon + 2);
  }
  return "unknown processor";
}

std::string launcher() {
  if (std::getenv("OMPI_MCA_orte_hnp_uri") != nullptr || std::getenv("PMI_LOCAL_SIZE") != nullptr ||
      std::getenv("MPI_LOCALNRANKS") != nullptr)
    return "mpirun";
  return std::getenv("SLURM_STEP_ID") != nullptr ? "srun" : "";
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

int rank_from_environment() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"}) {
    if (const char* value = std::getenv(variable))
      return static_cast<int>(
          std::clamp(parse_integer(value).value_or(0), std::int64_t{0}, std::int64_t{1} << 24));
  }
  return 0;
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
  set_mask(
      processors_of_process());  // OMP_PROC_BIND may have tied this thread: the new start needs all again
  execv(program.c_str(), argv);
  // Still here: the program cannot be executed again (deleted, say). It goes on as it is, slowly.
  unsetenv("OMP_WAIT_POLICY");
  unsetenv(kGuard);
  return false;
}

}  // namespace trainer::comm
