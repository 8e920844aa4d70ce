// The watchdog seen from outside: jobs of which some ranks are stopped must end, with one line and exit
// code 4.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <sstream>
#include <string>

#include "trainer/comm/host.h"

namespace trainer::comm {
namespace {

struct Outcome {
  int exit_code = -1;
  double seconds = 0;
  std::string output;
  int lines = 0;  ///< that begin as an error of ours
  std::string error;
};

Outcome run(int ranks, const std::string& arguments) {
  const std::string command = std::string("OMP_WAIT_POLICY=passive timeout -k 5 60 ") + MPIRUN +
                              " --allow-run-as-root --oversubscribe --bind-to none -np " +
                              std::to_string(ranks) + " " + PROGRAM + " " + arguments + " 2>&1";
  const auto begin = std::chrono::steady_clock::now();
  Outcome outcome;
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> piece{};
  while (const std::size_t size = std::fread(piece.data(), 1, piece.size(), pipe))
    outcome.output.append(piece.data(), size);
  const int status = pclose(pipe);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::istringstream lines(outcome.output);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("trainer: error: ", 0) != 0) continue;
    ++outcome.lines;
    outcome.error = line;
  }
  return outcome;
}

std::string named(int rank) { return "rank " + std::to_string(rank) + " on " + host_name(); }

/// Expects the end of the job with one line, which begins with the rank that says it and what it says.
void expect_end(int ranks, const std::string& arguments, int speaker, const std::string& message) {
  const Outcome outcome = run(ranks, arguments);
  EXPECT_EQ(outcome.exit_code, 4) << outcome.output;
  EXPECT_EQ(outcome.lines, 1) << outcome.output;
  const std::string expected = "trainer: error: " + named(speaker) + ": " + message;
  EXPECT_EQ(outcome.error.substr(0, expected.size()), expected) << outcome.output;
  EXPECT_LT(outcome.seconds, 15);
}

void expect_well(int ranks, const std::string& arguments) {
  const Outcome outcome = run(ranks, arguments);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_EQ(outcome.output, "ended well\n");
}

TEST(Stall, AStoppedRankIsNamed) {
  expect_end(3, "barrier 2 1", 0,
             "no answer for 2 s from " + named(1) + " in step 120; the job cannot go on. A process may be");
  expect_end(5, "barrier 2 0", 1, "no answer for 2 s from " + named(0) + " in step 120; ");
  expect_end(2, "barrier 2 1", 0, "no answer for 2 s from " + named(1) + " in step 120; ");
}

TEST(Stall, AllStoppedRanksAreNamed) {
  expect_end(5, "barrier 2 0 3", 1,
             "no answer for 2 s from " + named(0) + ", " + named(3) + " in step 120; ");
}

TEST(Stall, OfAChainOfWaitsOnlyTheCauseIsNamed) {
  expect_end(3, "chain 2 2", 0, "no answer for 2 s from " + named(2) + " in the start; ");
  expect_end(5, "chain 2 4", 0, "no answer for 2 s from " + named(4) + " in the start; ");
}

TEST(Stall, ARankThatIsLateIsAwaited) {
  expect_well(3, "late 6 1");
  expect_well(5, "late 6 0");
  expect_well(3, "late_start 6 1");
}

TEST(Stall, AJobThatWasSuspendedGoesOn) { expect_well(3, "suspended 4 1"); }

TEST(Stall, RanksAtWorkMayBeAwaitedForLong) {
  expect_well(3, "steps 2 1 2");
  expect_well(5, "polls 2 1 2");
  expect_well(3, "waits 2 0 1");
}

TEST(Stall, TheLimitFollowsTheLongestStep) { expect_well(3, "adaptive 2 1"); }

TEST(Stall, TheLimitCanBeSwitchedOff) { expect_well(2, "off 1 1"); }

TEST(Stall, RanksThatWaitForEachOtherEnd) {
  expect_end(3, "crossed 2 1", 0, "all ranks have waited for each other for 4 s in the start; ");
}

TEST(Stall, ARankThatIsMissingAtTheStart) {
  const Outcome outcome = run(3, "start 2 1");
  EXPECT_EQ(outcome.exit_code, 4) << outcome.output;
  EXPECT_EQ(outcome.lines, 1) << outcome.output;
  EXPECT_NE(outcome.error.find(named(0) + ": no answer for 2 s in MPI_Init_thread"), std::string::npos)
      << outcome.output;
  EXPECT_LT(outcome.seconds, 15);
}

TEST(Stall, ARankThatIsMissingInACallThatBlocks) {
  expect_end(3, "blocking_call 2 0", 1, "no answer for 2 s in MPI_Comm_split (the start): a rank of the job");
}

TEST(Stall, ARankThatIsMissingAtTheEnd) {
  expect_end(3, "end 2 2", 0, "no answer for 2 s from " + named(2) + " in the start; ");
  expect_end(3, "end 2 0", 1, "no answer for 2 s from " + named(0) + " in the start; ");
}

TEST(Stall, ARankThatIsMissingWhenSharedMemoryIsGivenBack) {
  const Outcome outcome = run(3, "shared_array 2 1");
  EXPECT_EQ(outcome.exit_code, 4) << outcome.output;
  EXPECT_EQ(outcome.lines, 1) << outcome.output;
  EXPECT_NE(outcome.error.find("no answer for 2 s from " + named(1)), std::string::npos) << outcome.output;
  EXPECT_LT(outcome.seconds, 15);
}

TEST(Stall, AnEndThatHangsIsCutShort) {
  const Outcome outcome = run(3, "hanging_end 2 1");
  EXPECT_EQ(outcome.exit_code, 4) << outcome.output;
  EXPECT_EQ(outcome.lines, 1) << outcome.output;
  EXPECT_NE(outcome.error.find(named(0) + ": no answer for 2 s from " + named(1)), std::string::npos)
      << outcome.output;
}

}  // namespace
}  // namespace trainer::comm
