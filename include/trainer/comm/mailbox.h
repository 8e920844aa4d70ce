#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "trainer/comm/communicator.h"

namespace trainer::comm {

/// A text that came from another rank.
struct Letter {
  int from = 0;
  std::string text;
};

/// Texts between any two ranks, outside of the order that collective calls have: who hands out work and who
/// asks for it meet at no fixed moment. Texts from one rank arrive in the order in which they were sent. All
/// members but the constructor concern this rank alone.
class Mailbox {
 public:
  /// Collective. Message traffic of its own.
  explicit Mailbox(const Communicator& ranks);
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Returns at once; the text travels while this rank calls anything of MPI. `to`: another rank. At most 1
  /// GiB.
  void send(int to, std::string text);
  /// What has come, if anything has: cheap, for every step.
  std::optional<Letter> look();
  /// Waits for the next one; `meanwhile` is called again and again, and may not look(). Throws
  /// Error(communication) when the watchdog finds a rank missing.
  Letter wait(const std::function<void()>& meanwhile = {});
  /// Waits until all that was sent has left.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainer::comm
