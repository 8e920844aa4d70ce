#include <gtest/gtest.h>
#include <stdlib.h>

#include "trainer/cli/commands.h"
#include "trainer/core/error.h"

namespace trainer::cli {
namespace {

TEST(Threads, TheOptionWinsThenTheEnvironment) {
  train::Configuration configuration;
  ::setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(resolve_threads(configuration), 3);
  configuration.threads = 5;
  EXPECT_EQ(resolve_threads(configuration), 5);
  configuration.threads = 0;
  ::setenv("OMP_NUM_THREADS", "4,2", 1);
  EXPECT_EQ(resolve_threads(configuration), 4);
  for (const char* bad : {"0", "-1", "many", "1e3", ",", "99999"}) {
    ::setenv("OMP_NUM_THREADS", bad, 1);
    EXPECT_THROW(resolve_threads(configuration), Error) << bad;
  }
  ::unsetenv("OMP_NUM_THREADS");
  EXPECT_GE(resolve_threads(configuration), 1);
}

TEST(InstructionSet, IsHandedOver) {
  ::unsetenv("ONEDNN_MAX_CPU_ISA");
  train::Configuration configuration;
  limit_instruction_set(configuration);
  EXPECT_EQ(::getenv("ONEDNN_MAX_CPU_ISA"), nullptr);
  configuration.isa = "AVX2";
  limit_instruction_set(configuration);
  EXPECT_STREQ(::getenv("ONEDNN_MAX_CPU_ISA"), "AVX2");
  ::unsetenv("ONEDNN_MAX_CPU_ISA");
}

TEST(ShellText, QuotesWhatTheShellWouldChange) {
  EXPECT_EQ(shell_text({"trainer", "--model", "dense(10) relu", "--out=a/b", "it's", ""}),
            "trainer --model 'dense(10) relu' --out=a/b 'it'\\''s' ''");
}

}  // namespace
}  // namespace trainer::cli
