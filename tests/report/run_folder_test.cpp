#include "trainer/report/run_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "temporary_folder.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

namespace fs = std::filesystem;

/// A current folder of its own for every test: the default run folder is made in it.
class RunFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    fs::current_path(folder_.path());
  }
  void TearDown() override { fs::current_path(before_); }

  static ErrorKind kind_of(const std::function<void()>& body, std::string* message = nullptr) {
    try {
      body();
    } catch (const Error& error) {
      if (message != nullptr) *message = error.what();
      return error.kind();
    }
    ADD_FAILURE() << "no error was thrown";
    return ErrorKind::internal;
  }
  static void add_checkpoint(const std::string& run, const std::string& name = "step-00000000.h5") {
    put(run + "/checkpoints/" + name, "x");
  }

  TemporaryFolder folder_;
  fs::path before_;
};

TEST_F(RunFolderTest, MakesTheDefaultFolderAndPointsLatestToIt) {
  const RunFolder run = RunFolder::create("", "/somewhere/my data(3).h5/");
  EXPECT_TRUE(run.path().starts_with("runs/my-data-3-.h5-20")) << run.path();
  EXPECT_TRUE(fs::is_directory(run.checkpoint_folder()));
  EXPECT_EQ(fs::canonical("runs/latest"), fs::canonical(run.path()));
  // Names a relative place: the folder may be moved as a whole.
  EXPECT_FALSE(fs::read_symlink("runs/latest").is_absolute());
}

TEST_F(RunFolderTest, TwoRunsOfTheSameSecondGetTwoFoldersAndLatestIsTheNewer) {
  const RunFolder first = RunFolder::create("", "d");
  const RunFolder second = RunFolder::create("", "d");
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(fs::canonical("runs/latest"), fs::canonical(second.path()));
}

TEST_F(RunFolderTest, LatestIsForFoldersUnderRunsOnly) {
  const RunFolder run = RunFolder::create("else/where", "d");
  EXPECT_FALSE(fs::exists(fs::symlink_status("runs/latest")));
  EXPECT_FALSE(fs::exists(fs::symlink_status("else/latest")));
  const RunFolder named = RunFolder::create("runs/named/", "d");
  EXPECT_EQ(fs::canonical("runs/latest"), fs::canonical("runs/named"));
  EXPECT_EQ(named.path(), "runs/named");
}

TEST_F(RunFolderTest, NeverOverwritesARun) {
  { const RunFolder run = RunFolder::create("a", "d"); }
  add_checkpoint("a");
  std::string message;
  EXPECT_EQ(kind_of([] { RunFolder::create("a", "d"); }, &message), ErrorKind::usage);
  EXPECT_NE(message.find("trainer resume a"), std::string::npos) << message;
  EXPECT_TRUE(fs::exists("a/checkpoints/step-00000000.h5"));
}

TEST_F(RunFolderTest, TouchesNoFolderOfOtherProgramsWithTheSameNames) {
  fs::create_directories("others/checkpoints");
  put("others/checkpoints/epoch1.pt", "precious");
  put("others/log.txt", "x");
  EXPECT_THROW(RunFolder::create("others", "d"), Error);
  EXPECT_TRUE(fs::exists("others/checkpoints/epoch1.pt"));
  EXPECT_FALSE(fs::exists("others/.lock"));
  put("others/.lock", "");  // even if it looks like a start of ours
  EXPECT_THROW(RunFolder::create("others", "d"), Error);
  EXPECT_TRUE(fs::exists("others/checkpoints/epoch1.pt"));
}

TEST_F(RunFolderTest, RefusesAFolderWithOtherFiles) {
  fs::create_directory("a");
  put("a/thesis.tex", "precious");
  std::string message;
  EXPECT_EQ(kind_of([] { RunFolder::create("a", "d"); }, &message), ErrorKind::usage);
  EXPECT_NE(message.find("thesis.tex"), std::string::npos) << message;
  EXPECT_EQ(content_of("a/thesis.tex"), "precious");
}

TEST_F(RunFolderTest, TakesAFolderThatADeadStartLeft) {
  {
    const RunFolder run = RunFolder::create("a", "d");
    run.write("config.ini", "x = 1\n");
    run.write_status({});
    run.log("started");
    put("a/status.new", "runni");
    add_checkpoint("a", ".tmp-step-00000000.h5");
  }
  EXPECT_FALSE(RunFolder::holds_run("a"));
  const RunFolder run = RunFolder::create("a", "d");
  EXPECT_FALSE(fs::exists("a/config.ini"));
  EXPECT_FALSE(fs::exists("a/log.txt"));
  EXPECT_TRUE(fs::is_empty("a/checkpoints"));
}

TEST_F(RunFolderTest, OpensOnlyARun) {
  std::string message;
  EXPECT_EQ(kind_of([] { RunFolder::open("none"); }, &message), ErrorKind::data);
  EXPECT_NE(message.find("none"), std::string::npos);
  { const RunFolder run = RunFolder::create("runs/a", "d"); }
  EXPECT_EQ(kind_of([] { RunFolder::open("runs/a"); }), ErrorKind::data);
  add_checkpoint("runs/a");
  EXPECT_TRUE(RunFolder::holds_run("runs/a"));
  const RunFolder run = RunFolder::open("runs/latest");
  EXPECT_EQ(run.path(), "runs/a");
}

TEST_F(RunFolderTest, ASecondJobIsRefusedWhileTheFirstLives) {
  {
    const RunFolder run = RunFolder::create("a", "d");
    add_checkpoint("a");
    std::string message;
    EXPECT_EQ(kind_of([] { RunFolder::open("a"); }, &message), ErrorKind::usage);
    EXPECT_NE(message.find("process " + std::to_string(::getpid())), std::string::npos) << message;
    // Another process is refused too.
    const pid_t child = ::fork();
    if (child == 0) {
      int code = 0;
      try {
        RunFolder::open("a");
      } catch (const Error& error) {
        code = error.exit_code();
      }
      ::_exit(code);
    }
    int state = 0;
    ::waitpid(child, &state, 0);
    EXPECT_EQ(WEXITSTATUS(state), 2);
  }
  EXPECT_NO_THROW(RunFolder::open("a"));
}

TEST_F(RunFolderTest, MovesKeepTheLock) {
  RunFolder first = RunFolder::create("a", "d");
  add_checkpoint("a");
  const RunFolder second = std::move(first);
  EXPECT_EQ(second.path(), "a");
  EXPECT_THROW(RunFolder::open("a"), Error);
}

TEST_F(RunFolderTest, AnUnwritableFolderIsADataError) {
  put("plain", "a file");
  for (const char* path : {"plain", "plain/run", "/proc/trainer-run", "/dev/null/run"}) {
    std::string message;
    EXPECT_EQ(kind_of([&] { RunFolder::create(path, "d"); }, &message), ErrorKind::data) << path;
    EXPECT_NE(message.find(path), std::string::npos) << message;
  }
  put("runs", "a file where the folder should be");
  EXPECT_EQ(kind_of([] { RunFolder::create("", "d"); }), ErrorKind::data);
}

TEST_F(RunFolderTest, ReplacesFilesWhole) {
  const RunFolder run = RunFolder::create("a", "d");
  run.write("config.ini", "first, which is longer\n");
  run.write("config.ini", "second\n");
  EXPECT_EQ(run.read("config.ini"), "second\n");
  EXPECT_FALSE(fs::exists("a/config.ini.new"));
  fs::create_directory("a/result.json");  // cannot be replaced by a file
  EXPECT_EQ(kind_of([&] { run.write("result.json", "{}"); }), ErrorKind::data);
  EXPECT_EQ(kind_of([&] { run.read("environment.txt"); }), ErrorKind::data);
}

TEST_F(RunFolderTest, StatusReadsBack) {
  const RunFolder run = RunFolder::create("a", "d");
  const RunStatus status{.state = RunState::stopped,
                         .exit_code = 75,
                         .step = 4700,
                         .reason = "the time limit of 90 min, reached",
                         .checkpoint = "checkpoints/step-00004700.h5"};
  run.write_status(status);
  EXPECT_EQ(
      content_of("a/status"),
      "stopped exit=75 step=4700 checkpoint=checkpoints/step-00004700.h5 reason=the time limit of 90 min, "
      "reached\n");
  EXPECT_EQ(run.read_status(), status);
  run.write_status({.state = RunState::failed, .exit_code = 2, .reason = "one\n  ^\ntwo"});
  EXPECT_EQ(run.read_status().reason, "one   ^ two");
  for (const char* bad :
       {"", "asleep exit=0 step=1", "running exit=x", "running step=", "running colour=red"}) {
    EXPECT_THROW(parse_status_line(bad), Error) << bad;
  }
}

TEST_F(RunFolderTest, LogGrowsByLines) {
  const RunFolder run = RunFolder::create("a", "d");
  run.log("one");
  run.log("two");
  EXPECT_EQ(content_of("a/log.txt"), "one\ntwo\n");
}

TEST_F(RunFolderTest, AFailureIsRecordedByAnyRank) {
  const RunFolder run = RunFolder::create("a", "d");
  run.write_status({.step = 30, .checkpoint = "checkpoints/step-00000020.h5"});
  record_failure("a", 3, "rank 2 on node7: file gone");
  EXPECT_EQ(run.read_status(), (RunStatus{.state = RunState::failed,
                                          .exit_code = 3,
                                          .step = 30,
                                          .reason = "rank 2 on node7: file gone",
                                          .checkpoint = "checkpoints/step-00000020.h5"}));
  EXPECT_EQ(content_of("a/log.txt"), "trainer: error: rank 2 on node7: file gone\n");
  record_failure("/nowhere/at/all", 3, "no harm");
}

}  // namespace
}  // namespace trainer::report
