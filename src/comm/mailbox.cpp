#include "trainer/comm/mailbox.h"

#include <mpi.h>
#include <sched.h>

#include <chrono>
#include <thread>
#include <utility>

#include "checked.h"
#include "requests.h"
#include "trainer/core/error.h"
#include "watch.h"

namespace trainer::comm {

struct Mailbox::State {
  explicit State(const Communicator& ranks) : own(ranks.duplicate()) {}
  MPI_Comm handle() const { return *static_cast<MPI_Comm*>(own.handle()); }

  Communicator own;
  RequestSet sent;
};

Mailbox::Mailbox(const Communicator& ranks) : state_(std::make_unique<State>(ranks)) {}
Mailbox::~Mailbox() = default;

void Mailbox::send(int to, std::string text) {
  require(static_cast<std::int64_t>(text.size()) <= kLargestMessage, ErrorKind::internal, "a letter of ",
          text.size(), " bytes is too long");
  auto kept = std::make_shared<std::string>(std::move(text));
  check(MPI_Isend(kept->data(), static_cast<int>(kept->size()), MPI_BYTE, to, 0, state_->handle(),
                  state_->sent.add()),
        "MPI_Isend");
  state_->sent.pin(std::move(kept));
}

std::optional<Letter> Mailbox::look() {
  if (state_->own.is_alone() || state_->own.size() == 1) return std::nullopt;
  int found = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  check(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, state_->handle(), &found, &message, &status), "MPI_Improbe");
  if (found == 0) return std::nullopt;
  int bytes = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
  Letter letter{status.MPI_SOURCE, std::string(static_cast<std::size_t>(bytes), '\0')};
  RequestSet arrival;
  check(MPI_Imrecv(letter.text.data(), bytes, MPI_BYTE, &message, arrival.add(bytes)), "MPI_Imrecv");
  comm::wait(arrival, state_->own.watchdog());
  return letter;
}

Letter Mailbox::wait(const std::function<void()>& meanwhile) {
  constexpr int kLooksBeforeRest = 100;
  constexpr std::chrono::microseconds kRest{200};
  int looks = 0;
  Patience patience(state_->own.watchdog());
  while (true) {
    if (std::optional<Letter> letter = look()) return std::move(*letter);
    if (meanwhile) meanwhile();
    // Others may want the processor, and a moment more matters to no letter.
    if (++looks < kLooksBeforeRest)
      sched_yield();
    else
      std::this_thread::sleep_for(kRest);
    patience.poll();
  }
}

void Mailbox::finish() { comm::wait(state_->sent, state_->own.watchdog()); }

}  // namespace trainer::comm
