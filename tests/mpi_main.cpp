// Main function of the tests that run under mpirun: a test fails if it fails on any rank, and rank 0 says
// where.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>
#include <cstdlib>

namespace {

/// Gathers the outcome of every test over all ranks when it ends, so that a failure on one rank is a failure.
class FailureGatherer : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo& info) override {
    int failed = info.result()->Failed() ? 1 : 0;
    int failed_ranks = 0;
    MPI_Allreduce(&failed, &failed_ranks, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    any_failed_ = any_failed_ || failed_ranks > 0;
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0 && failed_ranks > 0) {
      std::printf("%s.%s failed on %d rank(s)\n", info.test_suite_name(), info.name(), failed_ranks);
      std::fflush(stdout);
    }
  }

 public:
  bool any_failed() const { return any_failed_; }

 private:
  bool any_failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) return EXIT_FAILURE;
  testing::InitGoogleTest(&argc, argv);
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  auto& listeners = testing::UnitTest::GetInstance()->listeners();
  if (rank != 0) delete listeners.Release(listeners.default_result_printer());
  auto* gatherer = new FailureGatherer;  // owned by GoogleTest
  listeners.Append(gatherer);
  const bool ok = RUN_ALL_TESTS() == 0;
  const bool failed = !ok || gatherer->any_failed();
  MPI_Finalize();
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
