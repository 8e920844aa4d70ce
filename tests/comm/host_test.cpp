#include "trainer/comm/host.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

namespace trainer::comm {
namespace {

/// Sets (or, with null, unsets) an environment variable until the end of its scope.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) {
      had_value_ = true;
      old_ = old;
    }
    put(value);
  }
  ~Variable() { put(had_value_ ? old_.c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void put(const char* value) {
    if (value != nullptr) {
      setenv(name_, value, 1);
    } else {
      unsetenv(name_);
    }
  }
  const char* name_;
  bool had_value_ = false;
  std::string old_;
};

TEST(Host, CountsTheProcessorsOfTheAffinityMask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(cpus_of_process(), CPU_COUNT(&before));
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(cpus_of_process(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_GE(cpus_of_node(), cpus_of_process());
}

TEST(Host, KnowsWhichProcessorsItHas) {
  cpu_set_t mask;
  ASSERT_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
  const std::vector<int> mine = processors_of_process();
  for (const int processor : mine) EXPECT_TRUE(CPU_ISSET(processor, &mask)) << processor;
  EXPECT_EQ(static_cast<int>(mine.size()), cpus_of_process());
  const std::vector<int> offered = processors_of_launcher();
  for (const int processor : mine)
    EXPECT_NE(std::find(offered.begin(), offered.end(), processor), offered.end()) << processor;
  EXPECT_GE(cores_among(mine), 1);
  EXPECT_LE(cores_among(mine), cpus_of_process());
  EXPECT_EQ(cores_among({mine.front()}), 1);
  EXPECT_EQ(cores_among({}), 0);
}

TEST(Host, ListsOfProcessorsAreReadAndWritten) {
  EXPECT_EQ(list_text({}), "");
  EXPECT_EQ(list_text({5}), "5");
  EXPECT_EQ(list_text({0, 1, 2, 3, 8, 10, 11}), "0-3,8,10-11");
  EXPECT_EQ(parse_list("0-3,8,10-11\n"), (std::vector<int>{}));  // a line comes without its end
  EXPECT_EQ(parse_list("0-3,8,10-11"), (std::vector<int>{0, 1, 2, 3, 8, 10, 11}));
  EXPECT_EQ(parse_list("4"), std::vector<int>{4});
  for (const char* bad : {"", "x", "1-", "-1", "3-1", "0-99999999999", "1,,2", "1;2"})
    EXPECT_TRUE(parse_list(bad).empty()) << bad;
}

/// A made-up /proc and /sys.
class Root {
 public:
  Root() {
    path_ = (std::filesystem::temp_directory_path() / "trainer-root-XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
  }
  ~Root() { std::filesystem::remove_all(path_); }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  void put(const std::string& name, const std::string& content) const {
    const std::filesystem::path file = path_ + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Host, TheQuotaIsTheTightestOfTheGroups) {
  const Root root;
  EXPECT_EQ(processor_quota(root.path()), 0);
  root.put("/proc/self/cgroup", "0::/a/b\n");
  root.put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(processor_quota(root.path()), 0);
  root.put("/sys/fs/cgroup/a/cpu.max", "250000 100000\n");
  EXPECT_EQ(processor_quota(root.path()), 2.5);
  root.put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(processor_quota(root.path()), 1.5);
  root.put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  EXPECT_EQ(processor_quota(root.path()), 0.5);
  root.put("/sys/fs/cgroup/a/b/cpu.max", "nonsense\n");
  EXPECT_EQ(processor_quota(root.path()), 1.5);
}

TEST(Host, TheQuotaOfOldGroupsIsSeenInAContainer) {
  const Root root;
  // The path is the host's; the container sees its own group at the root.
  root.put("/proc/self/cgroup", "7:cpuset:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n");
  root.put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  root.put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(processor_quota(root.path()), 0);
  root.put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n");
  EXPECT_EQ(processor_quota(root.path()), 2);
}

TEST(Host, MemoryIsWhatNodeAndGroupHaveLeft) {
  const Root root;
  EXPECT_EQ(available_memory_bytes(root.path()), 0);
  root.put("/proc/meminfo", "MemTotal:  2000 kB\nMemAvailable:    1000 kB\n");
  EXPECT_EQ(available_memory_bytes(root.path()), 1024000);
  root.put("/proc/self/cgroup", "0::/job\n");
  root.put("/sys/fs/cgroup/job/memory.max", "max\n");
  root.put("/sys/fs/cgroup/job/memory.current", "300\n");
  EXPECT_EQ(available_memory_bytes(root.path()), 1024000);
  root.put("/sys/fs/cgroup/job/memory.max", "1000\n");
  EXPECT_EQ(available_memory_bytes(root.path()), 700);
  root.put("/sys/fs/cgroup/job/memory.stat", "anon 200\ninactive_file 100\n");
  EXPECT_EQ(available_memory_bytes(root.path()), 800);
  root.put("/proc/self/cgroup", "4:memory:/old\n");
  root.put("/sys/fs/cgroup/memory/old/memory.limit_in_bytes", "9223372036854771712\n");
  root.put("/sys/fs/cgroup/memory/old/memory.usage_in_bytes", "300\n");
  EXPECT_EQ(available_memory_bytes(root.path()), 1024000);
  root.put("/sys/fs/cgroup/memory/old/memory.limit_in_bytes", "500\n");
  EXPECT_EQ(available_memory_bytes(root.path()), 200);
  EXPECT_GT(available_memory_bytes(), 0);
  EXPECT_GT(private_memory_bytes(), 0);
}

TEST(Host, TheLauncherIsKnownByItsVariables) {
  const Variable no_open_mpi("OMPI_MCA_orte_hnp_uri", nullptr);
  const Variable no_hydra("MPI_LOCALNRANKS", nullptr);
  const Variable no_pmi("PMI_LOCAL_SIZE", nullptr);
  const Variable no_slurm("SLURM_STEP_ID", nullptr);
  EXPECT_EQ(launcher(), "");
  const Variable slurm("SLURM_STEP_ID", "0");
  EXPECT_EQ(launcher(), "srun");
  const Variable open_mpi("OMPI_MCA_orte_hnp_uri", "1.0;tcp://");  // mpirun starts its daemons with srun
  EXPECT_EQ(launcher(), "mpirun");
}

TEST(Host, RanksOnNodeComesFromTheLauncher) {
  const Variable no_open_mpi("OMPI_COMM_WORLD_LOCAL_SIZE", nullptr);
  const Variable no_hydra("MPI_LOCALNRANKS", nullptr);
  const Variable no_pmi("PMI_LOCAL_SIZE", nullptr);
  const Variable no_slurm("SLURM_STEP_TASKS_PER_NODE", nullptr);
  const Variable no_slurm_either("SLURM_NTASKS_PER_NODE", nullptr);
  EXPECT_EQ(ranks_on_node(), 1);
  {
    const Variable slurm("SLURM_STEP_TASKS_PER_NODE", "4(x2),3");
    EXPECT_EQ(ranks_on_node(), 4);
    const Variable open_mpi("OMPI_COMM_WORLD_LOCAL_SIZE", "7");
    EXPECT_EQ(ranks_on_node(), 7);
  }
  const Variable nonsense("PMI_LOCAL_SIZE", "many");
  EXPECT_EQ(ranks_on_node(), 1);
}

TEST(Host, ReadsTheRankFromTheLauncher) {
  const Variable no_open_mpi("OMPI_COMM_WORLD_RANK", nullptr);
  const Variable no_pmix("PMIX_RANK", nullptr);
  const Variable no_pmi("PMI_RANK", nullptr);
  const Variable no_slurm("SLURM_PROCID", nullptr);
  EXPECT_EQ(rank_from_environment(), 0);
  const Variable slurm("SLURM_PROCID", "3");
  EXPECT_EQ(rank_from_environment(), 3);
  for (const auto& [value, rank] : {std::pair{"5", 5}, {"-1", 0}, {"many", 0}, {"99999999999999", 1 << 24}}) {
    const Variable pmi("PMI_RANK", value);  // the nearer launcher's counts
    EXPECT_EQ(rank_from_environment(), rank) << value;
  }
  const Variable open_mpi("OMPI_COMM_WORLD_RANK", "7");
  EXPECT_EQ(rank_from_environment(), 7);
}

TEST(Host, OversubscribedMeansThatThreadsShareAProcessor) {
  const auto placement = [](int ranks, int threads, int of_process, int of_node, bool bound) {
    return Placement{.ranks = ranks,
                     .threads = threads,
                     .cpus_of_process = of_process,
                     .cpus_of_node = of_node,
                     .bound = bound};
  };
  EXPECT_FALSE(is_oversubscribed(placement(1, 1, 1, 1, false)));
  EXPECT_FALSE(is_oversubscribed(placement(4, 4, 16, 16, false)));
  EXPECT_TRUE(is_oversubscribed(placement(5, 4, 16, 16, false)));
  EXPECT_TRUE(is_oversubscribed(placement(4, 4, 8, 64, false)));  // a job of 8 of 64 processors
  EXPECT_FALSE(is_oversubscribed(placement(4, 4, 4, 16, true)));  // each rank bound to four of its own
  EXPECT_TRUE(is_oversubscribed(placement(1, 2, 1, 16, true)));   // a team on one core
  EXPECT_TRUE(is_oversubscribed(placement(8, 4, 8, 16, true)));   // bound to sockets, too many on each
}

TEST(Host, NamesItselfAndItsLibrary) {
  EXPECT_FALSE(host_name().empty());
  EXPECT_EQ(host_name().find('.'), std::string::npos);
  EXPECT_FALSE(processor_model().empty());
  EXPECT_FALSE(mpi_library_version().empty());
  EXPECT_EQ(mpi_library_version().find('\n'), std::string::npos);
}

TEST(Host, AUsersWaitPolicyIsLeftAlone) {
  const Variable policy("OMP_WAIT_POLICY", "active");
  EXPECT_FALSE(
      restart_with_passive_waiting(1 << 20, nullptr));  // a restart without arguments would fail, and be seen
  EXPECT_STREQ(std::getenv("OMP_WAIT_POLICY"), "active");
}

}  // namespace
}  // namespace trainer::comm
