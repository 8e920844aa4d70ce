#pragma once

#include <gtest/gtest.h>

#include <string>

#include "trainer/core/error.h"

namespace trainer::nn {

/// The message of the usage error that `work` throws; a failure if it throws none.
template <class Work>
std::string usage_message_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

template <class Work>
void expect_usage_error(const Work& work, const std::string& part) {
  const std::string message = usage_message_of(work);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

/// An error that says `part` and whose caret stands under place `column` of the text, which has no line
/// break.
template <class Work>
void expect_caret(const Work& work, const std::string& part, std::size_t column) {
  const std::string message = usage_message_of(work);
  EXPECT_NE(message.find(part), std::string::npos) << message;
  const std::string tail = "\n  " + std::string(column, ' ') + "^";
  EXPECT_TRUE(message.size() > tail.size() && message.substr(message.size() - tail.size()) == tail)
      << "the caret is not at " << column << ":\n"
      << message;
}

}  // namespace trainer::nn
