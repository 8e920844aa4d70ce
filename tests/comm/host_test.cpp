#include "trainer/comm/host.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <string>

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
