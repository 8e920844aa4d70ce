#include "trainer/train/deadline.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "trainer/core/error.h"

namespace trainer::train {
namespace {

/// Sets a variable of the environment while it lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (old_)
      setenv(name_, old_->c_str(), 1);
    else
      unsetenv(name_);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(Deadline, SecondsBetweenLocalTimes) {
  EXPECT_EQ(seconds_between("2026-03-01T12:00:00", "2026-03-01T12:01:30"), 90.0);
  EXPECT_EQ(seconds_between("2026-03-01T23:59:59", "2026-03-02T00:00:00"), 1.0);
  for (const char* none : {"", "NONE", "Unknown", "N/A", "2026-03-01", "2026-03-01T12:00:00x"})
    EXPECT_FALSE(seconds_between("2026-03-01T12:00:00", none)) << none;
}

TEST(Deadline, NoneWithoutALimit) {
  Configuration configuration;
  Deadline deadline(configuration);
  EXPECT_FALSE(deadline.is_reached());
  EXPECT_EQ(deadline.description(), "");
}

TEST(Deadline, TheMarginIsTakenOff) {
  Configuration configuration;
  configuration.time_limit = "1 h";
  configuration.time_margin = "59 min";
  Deadline later(configuration);
  EXPECT_FALSE(later.is_reached());
  EXPECT_NE(later.description().find("1:00:00"), std::string::npos) << later.description();
  configuration.time_margin = "1 h";
  EXPECT_TRUE(Deadline(configuration).is_reached());
  configuration.time_limit = "soon";
  EXPECT_THROW(Deadline{configuration}, Error);
}

TEST(Deadline, StopsBeforeAStretchThatWouldNotFit) {
  Configuration configuration;
  configuration.time_limit = "1000 s";
  configuration.time_margin = "999.9 s";
  Deadline deadline(configuration);  // a tenth of a second is left
  EXPECT_FALSE(deadline.is_reached());
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_TRUE(deadline.is_reached()) << "0.06 s have gone, another stretch like it would not fit";
}

TEST(Deadline, SlurmTellsTheEndInTheEnvironment) {
  const Variable end("SLURM_JOB_END_TIME", std::to_string(std::time(nullptr) + 1000));
  const auto seconds = seconds_until_slurm_ends();
  ASSERT_TRUE(seconds);
  EXPECT_NEAR(*seconds, 1000, 100);
}

TEST(Deadline, SqueueIsAskedElse) {
  // A squeue that knows job 7 only, and leaves a mark when it is asked: Slurm itself is not needed to see
  // what is asked and how it is read.
  const auto folder = std::filesystem::temp_directory_path() / ("trainer-squeue-" + std::to_string(getpid()));
  const auto asked = folder / "asked", injected = folder / "injected";
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "squeue") << "#!/bin/sh\n: > " << asked << "\n"
                                   << "[ \"$*\" = '-h -j 7 -o %e' ] && "
                                   << "date -d '+30 minutes' +%Y-%m-%dT%H:%M:%S\n";
  std::filesystem::permissions(folder / "squeue", std::filesystem::perms::owner_all);
  {
    const Variable path("PATH", folder.string() + ":" + std::getenv("PATH"));
    {
      const Variable job("SLURM_JOB_ID", "7");
      const auto seconds = seconds_until_slurm_ends();
      ASSERT_TRUE(seconds);
      EXPECT_NEAR(*seconds, 1800, 100);
    }
    {
      const Variable other("SLURM_JOB_ID", "8");
      EXPECT_FALSE(seconds_until_slurm_ends());
      EXPECT_TRUE(std::filesystem::remove(asked)) << "a squeue of the system was asked";
    }
    // What is no number never reaches a shell.
    const Variable strange("SLURM_JOB_ID", "7; : > '" + injected.string() + "'; :");
    EXPECT_FALSE(seconds_until_slurm_ends());
    EXPECT_FALSE(std::filesystem::exists(asked));
    EXPECT_FALSE(std::filesystem::exists(injected));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace trainer::train
