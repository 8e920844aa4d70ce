#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "trainer/core/error.h"

/// The message of the Error(usage) that `call` must throw.
inline std::string usage_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const trainer::Error& error) {
    EXPECT_EQ(error.kind(), trainer::ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}
