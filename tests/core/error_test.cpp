#include "trainer/core/error.h"

#include <gtest/gtest.h>

namespace trainer {
namespace {

TEST(Error, KindIsTheExitCode) {
  const Error error(ErrorKind::data, "x");
  EXPECT_EQ(error.exit_code(), 3);
  EXPECT_EQ(Error(ErrorKind::stopped, "x").exit_code(), 75);
}

TEST(Error, RequireThrowsTheTextOfItsParts) {
  EXPECT_NO_THROW(require(true, ErrorKind::usage, "never"));
  try {
    require(false, ErrorKind::usage, "row ", 7, " holds ", 1.5, ", ", false);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_STREQ(error.what(), "row 7 holds 1.5, false");
  }
}

}  // namespace
}  // namespace trainer
