#include "requests.h"

#include <sched.h>

#include <algorithm>
#include <exception>
#include <new>
#include <string>

#include "checked.h"
#include "trainer/core/error.h"
#include "watch.h"

namespace trainer::comm {

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  char characters[MPI_MAX_ERROR_STRING] = "unknown error";
  int length = 0;
  if (MPI_Error_string(code, characters, &length) != MPI_SUCCESS) length = 0;
  std::string message = length > 0 ? std::string(characters, static_cast<std::size_t>(length))
                                   : "error " + std::to_string(code);
  std::replace(message.begin(), message.end(), '\n', ' ');
  fail(ErrorKind::communication, call, " failed: ", message,
       "; see the first message of the job for its cause");
}

bool is_mpi_alive() {
  int initialized = 0;
  int finalized = 0;
  if (MPI_Initialized(&initialized) != MPI_SUCCESS || MPI_Finalized(&finalized) != MPI_SUCCESS) return false;
  return initialized != 0 && finalized == 0;
}

bool is_unwinding() { return std::uncaught_exceptions() > 0; }

RequestSet::~RequestSet() {
  if (!is_active()) return;
  // Deliberately leaked: MPI may still read or write these buffers.
  for (std::shared_ptr<void>& buffer : pinned_)
    static_cast<void>(new (std::nothrow) std::shared_ptr<void>(std::move(buffer)));
}

MPI_Request* RequestSet::add(std::int64_t expected_bytes) {
  entries_.push_back({MPI_REQUEST_NULL, expected_bytes});
  return &entries_.back().request;
}

bool RequestSet::complete_next() {
  Entry& entry = entries_[completed_];
  MPI_Status status;
  int done = 0;
  check(MPI_Test(&entry.request, &done, &status), "MPI_Test");
  if (done == 0) return false;
  ++completed_;
  if (entry.expected_bytes < 0) return true;
  int bytes = 0;
  check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
  require(bytes == entry.expected_bytes, ErrorKind::communication, "rank ", status.MPI_SOURCE,
          " sent a message of ", bytes, " bytes where ", entry.expected_bytes,
          " were expected: the ranks disagree about the step; start all with the same program");
  return true;
}

void RequestSet::clear() {
  entries_.clear();
  pinned_.clear();
  completed_ = 0;
}

void wait(RequestSet& requests, Watchdog& watchdog) {
  Patience patience(watchdog);
  // One request after the other: testing any one of them lets all advance, and a completed one is never
  // looked at again.
  constexpr int kPollsBeforeYield = 50;
  int polls = 0;
  while (!requests.is_complete()) {
    if (requests.complete_next()) {
      patience.progressed();
      continue;
    }
    if (++polls > kPollsBeforeYield) sched_yield();
    patience.poll();
  }
  requests.clear();
}

bool test(RequestSet& requests) {
  while (!requests.is_complete())
    if (!requests.complete_next()) return false;
  requests.clear();
  return true;
}

void send(RequestSet& requests, MPI_Comm ranks, const void* data, std::int64_t bytes, int destination,
          int tag, std::int64_t largest) {
  const auto* from = static_cast<const std::byte*>(data);
  for (std::int64_t done = 0; done < bytes; done += largest) {
    const int size = static_cast<int>(std::min(largest, bytes - done));
    check(MPI_Isend(from + done, size, MPI_BYTE, destination, tag, ranks, requests.add()), "MPI_Isend");
  }
}

void receive(RequestSet& requests, MPI_Comm ranks, void* data, std::int64_t bytes, int source, int tag,
             std::int64_t largest) {
  auto* to = static_cast<std::byte*>(data);
  for (std::int64_t done = 0; done < bytes; done += largest) {
    const int size = static_cast<int>(std::min(largest, bytes - done));
    check(MPI_Irecv(to + done, size, MPI_BYTE, source, tag, ranks, requests.add(size)), "MPI_Irecv");
  }
}

}  // namespace trainer::comm
