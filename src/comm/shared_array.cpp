#include "trainer/comm/shared_array.h"

#include <mpi.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "checked.h"
#include "deadline.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/buffer.h"
#include "trainer/core/error.h"

namespace trainer::comm {

namespace {

constexpr std::int64_t kAlignment = 64;

/// Where Open MPI puts the file behind a shared window: its own setting, else /dev/shm, else the session
/// folder.
std::string backing_folder() {
  if (const char* folder = std::getenv("OMPI_MCA_osc_sm_backing_directory")) return folder;
  if (access("/dev/shm", W_OK) == 0) return "/dev/shm";
  const char* temporary = std::getenv("TMPDIR");
  return temporary != nullptr ? temporary : "/tmp";
}

}  // namespace

/// Asked before the window is made: on a file system that is too small the window is made all right, and the
/// first touch of a page that does not fit ends the process with a bus error.
SharedRoom shared_room() {
  constexpr std::int64_t kReserve = std::int64_t{8} << 20;  // for the messages of the ranks themselves
  SharedRoom room{backing_folder(), 0};
  struct statvfs facts {};
  if (statvfs(room.folder.c_str(), &facts) != 0) return room;
  const auto free_bytes =
      static_cast<std::int64_t>(facts.f_bavail) * static_cast<std::int64_t>(facts.f_frsize);
  room.bytes = std::max<std::int64_t>(0, free_bytes - kReserve);
  return room;
}

struct SharedArray::State {
  State(const Communicator& node_in, std::int64_t bytes_in) : node(node_in.duplicate()), bytes(bytes_in) {}
  ~State();
  bool share();

  Communicator node;
  std::int64_t bytes;
  MPI_Win window = MPI_WIN_NULL;
  Buffer<std::byte> private_copy;
  std::byte* data = nullptr;
};

SharedArray::State::~State() {
  if (window == MPI_WIN_NULL || !is_mpi_alive() || is_unwinding()) return;
  try {
    node.barrier();  // who is missing is named here
  } catch (const std::exception& error) {
    end_job(text("rank ", node.rank(), " of the node ", host_name(), ": ", error.what()));
  }
  const Deadline deadline(node.watchdog(), "MPI_Win_free", node.rank());
  MPI_Win_unlock_all(window);
  MPI_Win_free(&window);
}

/// Collective. True when all ranks got the window.
bool SharedArray::State::share() {
  const bool wanted = node.rank() != 0 || shared_room().bytes >= bytes;
  const std::vector<std::int64_t> answers = node.all_gather(static_cast<std::int64_t>(wanted));
  if (answers[0] == 0) return false;
  const MPI_Aint mine = node.rank() == 0 ? bytes + kAlignment : 0;
  void* base = nullptr;
  const int code = [&] {
    const Deadline deadline(node.watchdog(), "MPI_Win_allocate_shared", node.rank());
    return MPI_Win_allocate_shared(mine, 1, MPI_INFO_NULL, *static_cast<MPI_Comm*>(node.handle()),
                                   static_cast<void*>(&base), &window);
  }();
  const std::vector<std::int64_t> codes = node.all_gather(static_cast<std::int64_t>(code));
  if (std::any_of(codes.begin(), codes.end(), [](std::int64_t c) { return c != MPI_SUCCESS; })) {
    window = MPI_WIN_NULL;  // where it was made, it cannot be freed without the others
    return false;
  }
  check(MPI_Win_set_errhandler(window, MPI_ERRORS_RETURN), "MPI_Win_set_errhandler");
  MPI_Aint size = 0;
  int unit = 0;
  check(MPI_Win_shared_query(window, 0, &size, &unit, static_cast<void*>(&base)), "MPI_Win_shared_query");
  check(MPI_Win_lock_all(MPI_MODE_NOCHECK, window), "MPI_Win_lock_all");
  // Every rank maps the memory at a whole page, so this skips the same bytes everywhere.
  const auto address = reinterpret_cast<std::uintptr_t>(base);
  data = static_cast<std::byte*>(base) + (kAlignment - address % kAlignment) % kAlignment;
  return true;
}

SharedArray::SharedArray(const Communicator& node, std::int64_t bytes, bool allow_shared)
    : state_(std::make_unique<State>(node, bytes)) {
  State& s = *state_;
  if (allow_shared && node.size() > 1 && bytes > 0 && s.share()) return;
  together(s.node, [&] {
    s.private_copy = Buffer<std::byte>(bytes);
    s.data = s.private_copy.data();
  });
}

SharedArray::~SharedArray() = default;
SharedArray::SharedArray(SharedArray&&) noexcept = default;
SharedArray& SharedArray::operator=(SharedArray&&) noexcept = default;

std::byte* SharedArray::data() { return state_->data; }
const std::byte* SharedArray::data() const { return state_->data; }
std::int64_t SharedArray::bytes() const { return state_->bytes; }
bool SharedArray::is_shared() const { return state_->window != MPI_WIN_NULL; }
bool SharedArray::fills() const { return !is_shared() || state_->node.rank() == 0; }

void SharedArray::publish() {
  const State& s = *state_;
  if (!is_shared()) return;
  check(MPI_Win_sync(s.window), "MPI_Win_sync");
  s.node.barrier();
  check(MPI_Win_sync(s.window), "MPI_Win_sync");
}

}  // namespace trainer::comm
