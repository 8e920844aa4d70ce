#include "trainer/train/doctor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "trainer/comm/host.h"

namespace trainer::train {
namespace {

using AllFacts = std::vector<RankFacts>;

std::vector<int> from_to(int first, int last) {
  std::vector<int> list;
  for (int k = first; k <= last; ++k) list.push_back(k);
  return list;
}

/// What the made-up clusters have in common.
struct Cluster {
  int nodes = 1;
  int ranks_per_node = 1;
  int threads = 1;
  int cores = 16;
  int hardware_threads = 1;
  int bound_to = 0;  ///< cores of its own for each rank; 0: not bound
};

AllFacts make(const Cluster& c) {
  AllFacts all;
  const int processors = c.cores * c.hardware_threads;
  for (int rank = 0; rank < c.nodes * c.ranks_per_node; ++rank) {
    RankFacts f;
    f.host = "n" + std::to_string(rank / c.ranks_per_node);
    f.node = rank / c.ranks_per_node * c.ranks_per_node;
    const int first = rank % c.ranks_per_node * c.bound_to * c.hardware_threads;
    f.processors = c.bound_to == 0 ? from_to(0, processors - 1)
                                   : from_to(first, first + c.bound_to * c.hardware_threads - 1);
    f.available_processors = f.online_processors = processors;
    f.available_cores = c.cores;
    f.threads = c.threads;
    f.launcher = "mpirun";
    f.processor = "Model A";
    f.isa = "AVX512_CORE";
    f.build = "GCC 12, oneDNN 2.6.3";
    f.program = "0123456789abcdef";
    f.free_memory_bytes = std::int64_t{64} << 30;
    all.push_back(f);
  }
  return all;
}

/// All findings as text; empty when there is none.
std::string all_of(const AllFacts& facts, const Circumstances& circumstances = {}) {
  std::string lines;
  for (const Finding& f : diagnose(facts, circumstances))
    lines += (f.severity == Severity::problem ? "problem " : "advice ") + f.check + ": " + f.text + " -> " +
             f.remedy + (f.at_start ? "" : " [doctor only]") + "\n";
  return lines;
}

void expect_one(const AllFacts& facts, const std::vector<std::string>& parts,
                const Circumstances& circumstances = {}) {
  const std::string lines = all_of(facts, circumstances);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1) << lines;
  for (const std::string& part : parts)
    EXPECT_NE(lines.find(part), std::string::npos) << part << " in\n" << lines;
}

TEST(Doctor, FindsNothingWhereAllIsWell) {
  EXPECT_EQ(all_of(make({.nodes = 1, .ranks_per_node = 1, .threads = 16})), "");
  EXPECT_EQ(all_of(make({.nodes = 4, .ranks_per_node = 2, .threads = 8, .bound_to = 8})), "");
  EXPECT_EQ(all_of(make({.nodes = 2, .ranks_per_node = 4, .threads = 4})), "");  // not bound, but with room
  EXPECT_EQ(all_of(make({.threads = 2, .cores = 2})), "");                       // a laptop
  EXPECT_EQ(all_of(make({.ranks_per_node = 2, .cores = 2, .bound_to = 1})), "");
  EXPECT_EQ(all_of(make({.threads = 8, .cores = 8, .hardware_threads = 2})), "");   // a thread a core
  EXPECT_EQ(all_of(make({.threads = 16, .cores = 8, .hardware_threads = 2})), "");  // or a hardware thread
  // Three ranks cannot share out 16 cores evenly.
  EXPECT_EQ(all_of(make({.ranks_per_node = 3, .threads = 5, .bound_to = 5})), "");
}

TEST(Doctor, SixteenThreadsOnOneCore) {
  expect_one(make({.nodes = 1, .ranks_per_node = 1, .threads = 16, .bound_to = 1}),
             {"advice placement: rank 0 on n0 has 16 threads and may run on 1 processor (0)",
              "15 of the node's 16 cores are idle",
              "`mpirun -np 1 --map-by ppr:1:node:pe=16 --bind-to core trainer ... --threads 16`"});
  expect_one(make({.nodes = 4, .ranks_per_node = 2, .threads = 8, .bound_to = 1}),
             {"rank 0 on n0 has 8 threads", "and 7 more rank",
              "`mpirun -np 8 --map-by ppr:2:node:pe=8 --bind-to core trainer ... --threads 8`"});
  expect_one(make({.threads = 16, .cores = 2}), {"has 16 threads and may run on 2 processors (0-1)"});
}

TEST(Doctor, TwoRanksOnTheSameCore) {
  AllFacts facts = make({.ranks_per_node = 2, .threads = 1, .cores = 2, .bound_to = 1});
  facts[1].processors = facts[0].processors;
  expect_one(facts, {"ranks 0-1 on n0 are bound to the same cores and have 2 threads on 1 processor (0)",
                     "1 of the node's 2 cores is idle", "--map-by ppr:2:node:pe=1"});
  // A socket for both, with room for both.
  facts = make({.ranks_per_node = 2, .threads = 4, .cores = 16});
  for (RankFacts& f : facts) f.processors = from_to(0, 7);
  EXPECT_EQ(all_of(facts).find("same cores"), std::string::npos) << all_of(facts);
  for (RankFacts& f : facts) f.threads = 8;
  expect_one(facts, {"are bound to the same cores and have 16 threads on 8 processors (0-7)"});
}

TEST(Doctor, CoresIdleByTheLaunchersBinding) {
  expect_one(make({.ranks_per_node = 1, .threads = 1, .bound_to = 1}),
             {"the 1 rank on n0 was bound to 1 processor (0): 15 of 16 cores are idle", "ppr:1:node:pe=16"});
  expect_one(make({.nodes = 3, .ranks_per_node = 2, .threads = 1, .bound_to = 1}),
             {"the 2 ranks on n0 were bound to 2 processors (0-1): 14 of 16 cores are idle",
              "and 2 more node", "mpirun -np 6 --map-by ppr:2:node:pe=8"});
  expect_one(make({.threads = 2, .cores = 8, .hardware_threads = 2, .bound_to = 1}),
             {"7 of 8 cores are idle", "pe=8", "--threads 8"});
  const auto chosen = make({.ranks_per_node = 1, .threads = 4});  // nobody bound it
  expect_one(chosen, {"has 4 threads: 12 of 16 cores are idle", "[doctor only]"});
}

TEST(Doctor, UnboundRanksThatAreTooMany) {
  expect_one(make({.ranks_per_node = 3, .threads = 1, .cores = 2}),
             {"ranks 0-2 on n0 have 3 threads in all and share 2 processors (0-1)",
              "`mpirun -np 2 --map-by ppr:2:node:pe=1 --bind-to core trainer ... --threads 1`",
              "the results are the same for any number of ranks"});
  expect_one(make({.nodes = 2, .ranks_per_node = 4, .threads = 16}),
             {"ranks 0-3 on n0 have 64 threads in all", "and 1 more node",
              "`mpirun -np 8 --map-by ppr:4:node:pe=4 --bind-to core trainer ... --threads 4`"});
}

TEST(Doctor, AQuotaBelowTheThreads) {
  AllFacts facts = make({.threads = 16});
  facts[0].quota = 2;
  expect_one(facts, {"may use 2 processors' time, but its 1 rank has 16 threads", "--threads 2"});
  facts[0].threads = 2;
  EXPECT_EQ(all_of(facts), "");
  facts[0].quota = 0.5;
  facts[0].threads = 1;
  expect_one(facts, {"may use 0.5 processors' time", "--threads 1"});
}

TEST(Doctor, OpenMpBindingOfRanksThatAreNotBound) {
  AllFacts facts = make({.ranks_per_node = 2, .threads = 8});
  for (RankFacts& f : facts) f.omp_proc_bind = "close";
  expect_one(facts, {"OMP_PROC_BIND=close puts the threads of each of ranks 0-1 on n0 on the same processors",
                     "unset OMP_PROC_BIND"});
  for (RankFacts& f : facts) f.omp_proc_bind = "false";
  EXPECT_EQ(all_of(facts), "");
  facts = make({.ranks_per_node = 2, .threads = 8, .bound_to = 8});
  for (RankFacts& f : facts) f.omp_proc_bind = "close";
  EXPECT_EQ(all_of(facts), "");
}

TEST(Doctor, HostsThatDiffer) {
  const AllFacts good = make({.nodes = 3, .ranks_per_node = 1, .threads = 16});
  AllFacts facts = good;
  facts[2].processor = "Model B";
  expect_one(
      facts,
      {"advice processors: the processors differ: Model A on ranks 0-1 (n0, ...), Model B on rank 2 (n2)"});
  facts[2].isa = "AVX2";
  expect_one(facts, {"problem processors", "AVX512_CORE on ranks 0-1", "AVX2 on rank 2 (n2)", "--isa"});
  expect_one(facts, {"advice processors", "AVX2 on rank 2 (n2)"}, {.same_arithmetic = true});
  expect_one(facts, {"problem processors"}, {.same_arithmetic = false});
  facts = good;
  facts[1].processors = from_to(0, 31);
  facts[1].available_processors = facts[1].available_cores = 32;
  expect_one(facts, {"the nodes differ in size: 16 processors on ranks 0,2 (n0, ...)"});
  facts = make({.nodes = 3, .threads = 16, .hardware_threads = 2});
  facts[1].threads = 32;
  expect_one(facts,
             {"different numbers of threads: 16 threads on ranks 0,2 (n0, ...), 32 threads on rank 1 (n1)"});
}

TEST(Doctor, BuildsThatDiffer) {
  AllFacts facts = make({.nodes = 2, .threads = 16});
  facts[1].build = "GCC 12, oneDNN 3.1";
  expect_one(facts, {"problem builds", "GCC 12, oneDNN 3.1 on rank 1 (n1)", "one build on all nodes"});
  facts[1].build = facts[0].build;
  facts[1].program = "fedcba9876543210";
  expect_one(facts, {"problem builds", "program fedcba98 on rank 1 (n1)"});
  EXPECT_EQ(diagnose(facts, {})[0].kind, ErrorKind::communication);
}

TEST(Doctor, TooLittleMemory) {
  AllFacts facts = make({.nodes = 2, .ranks_per_node = 4, .threads = 4});
  const std::int64_t gib = std::int64_t{1} << 30;
  EXPECT_EQ(all_of(facts, {.bytes_per_rank = 16 * gib}), "");
  expect_one(facts,
             {"problem memory: the 4 ranks on n0 need 68 GiB for this model and batch, 64 GiB can be had"},
             {.bytes_per_rank = 17 * gib});
  for (RankFacts& f : facts) f.held_memory_bytes = gib;  // taken already
  EXPECT_EQ(all_of(facts, {.bytes_per_rank = 17 * gib}), "");
  for (RankFacts& f : facts) f.free_memory_bytes = 0;  // not known
  EXPECT_EQ(all_of(facts, {.bytes_per_rank = 1000 * gib}), "");
}

TEST(Doctor, TheLineSuitsTheLauncherAndTheNodes) {
  AllFacts facts = make({.nodes = 2, .ranks_per_node = 3, .threads = 1, .cores = 8, .hardware_threads = 2});
  EXPECT_EQ(placement_line(facts),
            "mpirun -np 6 --map-by ppr:3:node:pe=2 --bind-to core trainer ... --threads 2");
  for (RankFacts& f : facts) f.launcher = "srun";
  EXPECT_EQ(
      placement_line(facts),
      "srun --mpi=pmix -n 6 --ntasks-per-node=3 --cpus-per-task=4 --cpu-bind=cores trainer ... --threads 2");
  facts = make({.nodes = 2, .ranks_per_node = 2, .threads = 8});
  facts.pop_back();  // the last node has a rank less
  EXPECT_EQ(placement_line(facts),
            "mpirun -np 3 --map-by ppr:2:node:pe=8 --bind-to core trainer ... --threads 8");
  facts = make({.threads = 99, .cores = 6});
  facts[0].launcher = "";
  EXPECT_EQ(placement_line(facts), "trainer ... --threads 6");
}

/// A line that is followed is no longer advised.
TEST(Doctor, ItsLineIsACure) {
  for (int cores : {1, 2, 3, 16, 24}) {
    for (int ranks : {1, 2, 3, 5, 16, 40}) {
      const int kept = std::min(ranks, cores);
      const int each = cores / kept;
      const AllFacts cured =
          make({.ranks_per_node = kept, .threads = each, .cores = cores, .bound_to = each});
      EXPECT_EQ(all_of(cured), "") << cores << " cores, " << ranks << " ranks";
    }
  }
}

TEST(Doctor, FactsAreReadBackAsWritten) {
  RankFacts f = make({.nodes = 1, .threads = 7, .bound_to = 3})[0];
  f.quota = 1.5;
  f.held_memory_bytes = 12345;
  f.omp_num_threads = "4,2";
  f.processor = "Model A @ 2 GHz";
  const RankFacts again = parse_facts(facts_text(f));
  EXPECT_EQ(facts_text(again), facts_text(f));
  EXPECT_EQ(again.processors, f.processors);
  EXPECT_EQ(again.quota, 1.5);
  EXPECT_EQ(again.processor, "Model A @ 2 GHz");
  EXPECT_EQ(again.omp_proc_bind, "");
  EXPECT_THROW(parse_facts("host a\n"), Error);
  EXPECT_THROW(parse_facts("nonsense"), Error);
}

TEST(Doctor, KnowsTheMachineItRunsOn) {
  const RankFacts f = facts_here(0, 2);
  EXPECT_FALSE(f.host.empty());
  EXPECT_FALSE(f.processors.empty());
  EXPECT_GE(f.available_processors, static_cast<int>(f.processors.size()));
  EXPECT_GE(f.available_cores, 1);
  EXPECT_EQ(f.threads, 2);
  EXPECT_NE(f.build.find("oneDNN "), std::string::npos);
  EXPECT_NE(f.build.find("HDF5 1."), std::string::npos);
  EXPECT_EQ(f.program.size(), 32U);
  EXPECT_GT(f.free_memory_bytes, 0);
}

/// A folder with a file .lock that is held, as a run's is.
class LockedFolder {
 public:
  LockedFolder() {
    path_ = (std::filesystem::temp_directory_path() / "trainer-doctor-XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
    file_ = ::open((path_ + "/.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    EXPECT_EQ(::flock(file_, LOCK_EX | LOCK_NB), 0);
  }
  ~LockedFolder() {
    ::close(file_);
    std::filesystem::remove_all(path_);
  }
  LockedFolder(const LockedFolder&) = delete;
  LockedFolder& operator=(const LockedFolder&) = delete;
  void unlock() const { EXPECT_EQ(::flock(file_, LOCK_UN), 0); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int file_ = -1;
};

TEST(StartFindings, AreSilentWhereAllIsWell) {
  const LockedFolder folder;
  const auto alone = comm::Communicator::alone();
  const StartCircumstances good{
      .threads = 1, .folder = folder.path(), .bytes_per_rank = 1000, .checkpoint_bytes = 1000, .keep = 2};
  EXPECT_EQ(start_findings(alone, good), std::vector<std::string>{});

  const auto expect = [&](const StartCircumstances& start, const std::string& part) {
    const auto lines = start_findings(alone, start);
    ASSERT_EQ(lines.size(), 1U) << part;
    EXPECT_TRUE(lines[0].starts_with("warning: ")) << lines[0];
    EXPECT_NE(lines[0].find(part), std::string::npos) << lines[0];
    EXPECT_EQ(lines[0].find('\n'), std::string::npos);
  };
  StartCircumstances bad = good;
  bad.threads = comm::cpus_of_process() + 1;
  expect(bad, "threads and may run on");
  bad = good;
  bad.bytes_per_rank = std::int64_t{1} << 60;
  expect(bad, "for this model and batch");
  bad = good;
  bad.checkpoint_bytes = std::int64_t{1} << 60;
  expect(bad, "4 checkpoints (--keep 2, the best and one being written)");
  folder.unlock();
  expect(good, "locks (flock) do not work");
}

}  // namespace
}  // namespace trainer::train
