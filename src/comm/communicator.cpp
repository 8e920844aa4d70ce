#include "trainer/comm/communicator.h"

#include <mpi.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "checked.h"
#include "deadline.h"
#include "requests.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "watch.h"

namespace trainer::comm {

namespace {

/// What the launcher says about the number of ranks of the job: its variable's name and value.
struct Announced {
  const char* variable = nullptr;
  std::int64_t ranks = 1;
};

Announced announced_ranks() {
  // The variable of the nearest launcher counts: mpirun -np 1 inside a Slurm job of many tasks is a job of
  // one rank.
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS"}) {
    const char* value = std::getenv(variable);
    if (value != nullptr) return {variable, parse_integer(value).value_or(1)};
  }
  return {};
}

void check_thread_level() {
  int provided = MPI_THREAD_SINGLE;
  check(MPI_Query_thread(&provided), "MPI_Query_thread");
  require(provided >= MPI_THREAD_FUNNELED, ErrorKind::communication,
          "this MPI library provides thread level ", provided,
          " only, but MPI_THREAD_FUNNELED is needed: use an MPI library that was built with thread support");
}

void check_not_alone(const Announced& announced) {
  int size = 1;
  check(MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size");
  require(size > 1 || announced.ranks <= 1, ErrorKind::communication,
          "this process is alone (MPI has 1 rank), but ", announced.variable, " says ", announced.ranks,
          ": the launcher and the MPI library do not know each other; start with `mpirun -np ",
          announced.ranks, " trainer ...`, or with `srun --mpi=pmix -n ", announced.ranks,
          " trainer ...` where Slurm has it (`srun --mpi=list`); for one process alone, `mpirun -np 1 "
          "trainer ...`");
}

/// Throws unless `total` bytes can be gathered in one call, whose offsets are int.
void require_small(std::int64_t total) {
  require(total <= kLargestMessage, ErrorKind::internal, "texts of ", total,
          " bytes in all were to be gathered; the limit is ", kLargestMessage);
}

template <class T>
std::vector<T> gather_values(const Communicator& ranks, T mine) {
  std::vector<T> all(static_cast<std::size_t>(ranks.size()));
  RequestSet requests;
  check(MPI_Iallgather(&mine, sizeof(T), MPI_BYTE, all.data(), sizeof(T), MPI_BYTE,
                       *static_cast<MPI_Comm*>(ranks.handle()), requests.add()),
        "MPI_Iallgather");
  wait(requests, ranks.watchdog());
  return all;
}

void finalize(const Watchdog& watchdog, int rank) {
  const Deadline deadline(watchdog, "MPI_Finalize", rank);
  MPI_Finalize();
}

}  // namespace

Environment::Environment(int* argc, char*** argv, double stall_limit_seconds)
    : watchdog_(std::make_shared<Watchdog>(stall_limit_seconds)) {
  const Announced announced = announced_ranks();  // before MPI_Init, which may set such variables itself
  // Copying through shared memory: the kernel-assisted single copy of Open MPI 4 is forbidden in many
  // containers, and where it is allowed it made a step of 5 ms 20 % slower. The user's own setting stays.
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
  int initialized = 0;
  check(MPI_Initialized(&initialized), "MPI_Initialized");
  owned_ = initialized == 0;
  if (owned_) {
    const Deadline deadline(*watchdog_, "MPI_Init_thread", rank_from_environment());
    int provided = 0;
    check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  }
  check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check(MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  try {
    check_thread_level();
    check_not_alone(announced);
  } catch (...) {
    if (owned_) finalize(*watchdog_, rank_from_environment());  // every rank finds the same
    throw;
  }
  watchdog_->state().start(*watchdog_);
}

Environment::~Environment() {
  if (!is_mpi_alive() || is_unwinding()) return;
  Watchdog::State& state = watchdog_->state();
  try {
    state.stop(*watchdog_);
  } catch (const std::exception& error) {
    end_job(text("rank ", state.rank, " on ", host_name(), ": ", error.what()));
  }
  if (owned_) finalize(*watchdog_, state.rank);
}

struct Communicator::State {
  MPI_Comm handle = MPI_COMM_NULL;
  bool owned = false;
  int rank = 0;
  int size = 1;
  std::shared_ptr<Watchdog> watchdog;

  State() : watchdog(std::make_shared<Watchdog>()) {}  // alone
  State(MPI_Comm handle_in, bool owned_in, std::shared_ptr<Watchdog> watchdog_in)
      : handle(handle_in), owned(owned_in), watchdog(std::move(watchdog_in)) {
    check(MPI_Comm_set_errhandler(handle, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(handle, &rank), "MPI_Comm_rank");
    check(MPI_Comm_size(handle, &size), "MPI_Comm_size");
  }
  ~State() {
    if (!owned || !is_mpi_alive() || is_unwinding()) return;
    const Deadline deadline(*watchdog, "MPI_Comm_free", rank);
    MPI_Comm_free(&handle);
  }
};

Communicator::Communicator(std::unique_ptr<State> state) : state_(std::move(state)) {}
Communicator::~Communicator() = default;
Communicator::Communicator(Communicator&&) noexcept = default;
Communicator& Communicator::operator=(Communicator&&) noexcept = default;

Communicator Communicator::world(const Environment& environment) {
  return Communicator(std::make_unique<State>(MPI_COMM_WORLD, false, environment.watchdog_));
}

Communicator Communicator::alone() { return Communicator(std::make_unique<State>()); }

bool Communicator::is_alone() const { return state_->handle == MPI_COMM_NULL; }

int Communicator::rank() const { return state_->rank; }
int Communicator::size() const { return state_->size; }
Watchdog& Communicator::watchdog() const { return *state_->watchdog; }
void* Communicator::handle() const { return &state_->handle; }

Communicator Communicator::split(int colour) const {
  if (is_alone()) return alone();
  MPI_Comm group = MPI_COMM_NULL;
  barrier();  // who is missing is named here
  {
    const Deadline deadline(watchdog(), "MPI_Comm_split", rank());
    check(MPI_Comm_split(state_->handle, colour, state_->rank, &group), "MPI_Comm_split");
  }
  return Communicator(std::make_unique<State>(group, true, state_->watchdog));
}

Communicator Communicator::duplicate() const {
  if (is_alone()) return alone();
  MPI_Comm group = MPI_COMM_NULL;
  RequestSet requests;
  check(MPI_Comm_idup(state_->handle, &group, requests.add()), "MPI_Comm_idup");
  wait(requests, watchdog());
  return Communicator(std::make_unique<State>(group, true, state_->watchdog));
}

Communicator Communicator::node() const {
  if (is_alone()) return alone();
  MPI_Comm group = MPI_COMM_NULL;
  barrier();  // who is missing is named here
  {
    const Deadline deadline(watchdog(), "MPI_Comm_split_type", rank());
    check(MPI_Comm_split_type(state_->handle, MPI_COMM_TYPE_SHARED, state_->rank, MPI_INFO_NULL, &group),
          "MPI_Comm_split_type");
  }
  return Communicator(std::make_unique<State>(group, true, state_->watchdog));
}

void Communicator::barrier() const {
  if (is_alone()) return;
  RequestSet requests;
  check(MPI_Ibarrier(state_->handle, requests.add()), "MPI_Ibarrier");
  wait(requests, watchdog());
}

void Communicator::broadcast(void* data, std::int64_t bytes, int root) const {
  if (is_alone()) return;
  auto* piece = static_cast<std::byte*>(data);
  for (std::int64_t left = bytes; left > 0; left -= kLargestMessage, piece += kLargestMessage) {
    RequestSet requests;
    const int size = static_cast<int>(std::min(left, kLargestMessage));
    check(MPI_Ibcast(piece, size, MPI_BYTE, root, state_->handle, requests.add()), "MPI_Ibcast");
    wait(requests, watchdog());
  }
}

std::string Communicator::broadcast(std::string characters, int root) const {
  auto size = static_cast<std::int64_t>(characters.size());
  broadcast(&size, sizeof(size), root);
  characters.resize(static_cast<std::size_t>(size));
  broadcast(characters.data(), size, root);
  return characters;
}

std::vector<std::string> Communicator::all_gather(const std::string& mine) const {
  if (is_alone()) return {mine};
  const std::vector<std::int64_t> sizes = all_gather(static_cast<std::int64_t>(mine.size()));
  const std::int64_t total = std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0});
  require_small(total);
  const std::vector<int> counts(sizes.begin(), sizes.end());
  std::vector<int> offsets(sizes.size(), 0);
  std::partial_sum(counts.begin(), counts.end() - 1, offsets.begin() + 1);
  std::string joined(static_cast<std::size_t>(total), '\0');
  RequestSet requests;
  check(MPI_Iallgatherv(mine.data(), counts[static_cast<std::size_t>(rank())], MPI_BYTE, joined.data(),
                        counts.data(), offsets.data(), MPI_BYTE, state_->handle, requests.add()),
        "MPI_Iallgatherv");
  wait(requests, watchdog());
  std::vector<std::string> all;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    all.push_back(joined.substr(static_cast<std::size_t>(offsets[k]), static_cast<std::size_t>(counts[k])));
  }
  return all;
}

std::vector<double> Communicator::all_gather(double mine) const {
  if (is_alone()) return {mine};
  return gather_values(*this, mine);
}
std::vector<std::int64_t> Communicator::all_gather(std::int64_t mine) const {
  if (is_alone()) return {mine};
  return gather_values(*this, mine);
}

std::vector<float> Communicator::gather(const float* mine, std::int64_t count, int root) const {
  if (is_alone()) return {mine, mine + count};
  // Messages instead of MPI_Gatherv, whose offsets are int. Nothing else sends messages on this communicator,
  // and messages from one rank arrive in the order they were sent.
  constexpr int kTag = 1;
  constexpr auto kFloat = static_cast<std::int64_t>(sizeof(float));
  const std::vector<std::int64_t> counts = all_gather(count);
  std::vector<float> all;
  RequestSet requests;
  if (rank() != root) {
    send(requests, state_->handle, mine, count * kFloat, root, kTag, kLargestMessage);
  } else {
    all.resize(static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})));
    float* place = all.data();
    for (int source = 0; source < size(); ++source) {
      const std::int64_t floats = counts[static_cast<std::size_t>(source)];
      if (source == root) {
        std::copy_n(mine, floats, place);
      } else {
        receive(requests, state_->handle, place, floats * kFloat, source, kTag, kLargestMessage);
      }
      place += floats;
    }
  }
  wait(requests, watchdog());
  return all;
}

void Communicator::sum(std::span<std::int64_t> values) const {
  if (is_alone()) return;
  constexpr auto kLargest = static_cast<std::size_t>(kLargestMessage) / sizeof(std::int64_t);
  for (; !values.empty(); values = values.subspan(std::min(values.size(), kLargest))) {
    RequestSet requests;
    check(MPI_Iallreduce(MPI_IN_PLACE, values.data(), static_cast<int>(std::min(values.size(), kLargest)),
                         MPI_INT64_T, MPI_SUM, state_->handle, requests.add()),
          "MPI_Iallreduce");
    wait(requests, watchdog());
  }
}

void Communicator::poll() const {
  if (is_alone()) return;
  int found = 0;
  check(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, state_->handle, &found, MPI_STATUS_IGNORE), "MPI_Iprobe");
  state_->watchdog->state().pass();
}

void Communicator::abort(int exit_code) const {
  const int code = std::clamp(exit_code, 1, 125);
  constexpr double kSecondsToAbort = 10;
  end_process_within(kSecondsToAbort, "", code);
  if (!is_alone()) MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace trainer::comm
