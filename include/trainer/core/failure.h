#pragma once

#include <exception>
#include <string>

#include "trainer/core/error.h"

namespace trainer {

/// What an exception says, whatever its type.
struct Failure {
  ErrorKind kind = ErrorKind::internal;
  std::string message;
};

/// An Error speaks for itself; a file system that refuses (std::filesystem) is of kind data, all else
/// internal.
Failure failure_of(const std::exception_ptr& exception);

}  // namespace trainer
