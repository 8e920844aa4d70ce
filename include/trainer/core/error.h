#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace trainer {

/// What went wrong, by who has to act; the value is the exit code of the program.
enum class ErrorKind : int {
  internal = 1,       ///< a defect of the program itself
  usage = 2,          ///< a bad option, a bad model text
  data = 3,           ///< a file that is missing, malformed, truncated or does not fit
  communication = 4,  ///< ranks that disagree or are gone
  numeric = 5,        ///< a loss or gradient that is not finite
  stopped = 75        ///< stopped on request, checkpoint saved
};

/// The one exception of the project. what() is a sentence for a person who has not read the code: it names
/// the place, the value found, the limit and what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }
  int exit_code() const noexcept { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// The parts written one after the other, as by `std::ostream << part`; bool prints as true or false.
template <class... Parts>
std::string text(Parts&&... parts) {
  std::ostringstream out;
  out << std::boolalpha;
  (out << ... << std::forward<Parts>(parts));
  return out.str();
}

/// Throws Error(kind, text(parts...)).
template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, Parts&&... parts) {
  throw Error(kind, text(std::forward<Parts>(parts)...));
}

/// Throws Error(kind, text(parts...)) unless `condition` holds. Always on; the parts are only formatted on
/// failure.
template <class... Parts>
void require(bool condition, ErrorKind kind, Parts&&... parts) {
  if (!condition) [[unlikely]] {
    fail(kind, std::forward<Parts>(parts)...);
  }
}

}  // namespace trainer
