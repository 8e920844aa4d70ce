// Drives a fuzz target without libFuzzer: the same damaged inputs every time.
//
//   NAME_fuzz EXECUTIONS [FIRST]   so many inputs, from number FIRST on (0)
//   NAME_fuzz --seeds FOLDER       writes the seeds for libFuzzer
//   NAME_fuzz --input FILE         one input, of a file
//
// Inputs run in child processes, so that a crash is counted and the next input is tried. Crashes and endless
// loops of HDF5 itself, told by the innermost library on the stack, are counted apart: they are no findings.

#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "fuzz_target.h"
#include "scratch_file.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_CLANG_ASAN
#endif
#endif

using namespace trainer;

// Read by the address sanitizer: its findings come to our handler, and memory is limited.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_abort=0:abort_on_error=1:detect_leaks=0:"
         "max_allocation_size_mb=2048:use_sigaltstack=0";
}

namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr unsigned kSeconds = 60;  ///< after which an input counts as endless
constexpr int kInHdf5 = 77;

struct Progress {
  std::uint64_t number;
  std::uint64_t accepted;
  std::size_t size;
  char input[kMostBytes];
};
Progress* progress = nullptr;

/// Where the program is: in HDF5 when that is the innermost object that is neither the C library nor a
/// sanitizer.
bool is_in_hdf5() {
  void* frames[100];
  const int count = backtrace(frames, 100);
  for (int i = 2; i < count; ++i) {  // behind this function and the handler
    Dl_info info{};
    if (dladdr(frames[i], &info) == 0 || info.dli_fname == nullptr) continue;
    const std::string object = std::filesystem::path(info.dli_fname).filename();
    if (object.find("hdf5") != std::string::npos) return true;
    const bool is_below =
        std::ranges::any_of(std::initializer_list<const char*>{"libc.", "libz.", "libm.", "libstdc++",
                                                               "libgcc_s", "asan", "ubsan", "vdso"},
                            [&object](const char* name) { return object.find(name) != std::string::npos; });
    if (!is_below) return false;
  }
  return false;
}

void end_of_input(int number) {
  const bool in_hdf5 = is_in_hdf5();
  if (!in_hdf5) {
    std::fprintf(stderr, "input %llu: %s\n", static_cast<unsigned long long>(progress->number),
                 strsignal(number));
    void* frames[100];
    backtrace_symbols_fd(frames, backtrace(frames, 100), STDERR_FILENO);
  }
  unlink(ScratchFile::path().c_str());
  _exit(in_hdf5 ? kInHdf5 : 1);
}

void watch_signals() {
  static char stack[1 << 18];
  const stack_t other{.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
  sigaltstack(&other, nullptr);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) {
    struct sigaction action {};
    action.sa_handler = end_of_input;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    sigaction(number, &action, nullptr);
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(FUZZ_CLANG_ASAN)  // whose shadow takes terabytes of addresses
  const rlimit memory{std::uint64_t{4} << 30, std::uint64_t{4} << 30};
  setrlimit(RLIMIT_AS, &memory);
#endif
}

class Mutator {
 public:
  Mutator(std::uint64_t number, const std::vector<std::string>& seeds, const std::vector<std::string>& tokens)
      : random_(number), seeds_(seeds), tokens_(tokens) {}

  std::string input() {
    std::string bytes = seeds_[below(seeds_.size())];
    for (std::size_t left = below(6); left > 0 && !bytes.empty(); --left) damage(bytes);
    if (bytes.size() > kMostBytes) bytes.resize(kMostBytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  void damage(std::string& bytes) {
    const std::size_t at = below(bytes.size());
    const std::size_t some = 1 + below(std::min<std::size_t>(bytes.size() - at, 40));
    switch (below(10)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random_());
        break;
      case 2:
        bytes.erase(at, some);
        break;
      case 3:
        bytes.insert(at, bytes.substr(below(bytes.size()), some));
        break;
      case 4:
        bytes.resize(at);
        break;
      case 5:
        bytes.insert(at, some, bytes[at]);
        break;
      case 6:
        put_number(bytes, at);
        break;
      case 7: {
        const std::string& other = seeds_[below(seeds_.size())];
        const std::size_t from = below(other.size());
        bytes.replace(at, some, other.substr(from, some));
        break;
      }
      case 8: {
        const std::string& token = tokens_[below(tokens_.size())];
        bytes.replace(at, std::min(token.size(), bytes.size() - at), token);
        break;
      }
      default:
        bytes.insert(at, tokens_[below(tokens_.size())]);
        break;
    }
  }

  /// A number at the edge of something over 1, 2, 4 or 8 bytes.
  void put_number(std::string& bytes, std::size_t at) {
    static constexpr std::uint64_t kEdges[] = {
        0,          1,          2,          3,          7,          16,         127,
        128,        255,        256,        65'535,     65'536,     0x7fffffff, 0x80000000,
        0xffffffff, 1ull << 32, 1ull << 40, ~0ull >> 1, 1ull << 63, ~0ull,      ~0ull - 1};
    const std::uint64_t value = kEdges[below(std::size(kEdges))];
    const std::size_t size = std::min(std::size_t{1} << below(4), bytes.size() - at);
    const bool is_big = below(2) == 0;
    for (std::size_t i = 0; i < size; ++i)
      bytes[at + i] = static_cast<char>(value >> 8 * (is_big ? size - 1 - i : i));
  }

  std::mt19937_64 random_;
  const std::vector<std::string>& seeds_;
  const std::vector<std::string>& tokens_;
};

void run_one(const std::string& input) {
  alarm(kSeconds);
  // Of its own size in memory, so that reading behind it is seen.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  alarm(0);
}

/// Runs inputs [first, end) until one ends the child; the exit status.
int run_child(std::uint64_t first, std::uint64_t end, const std::vector<std::string>& seeds,
              const std::vector<std::string>& tokens) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    ScratchFile::path();  // named by this process
    watch_signals();
    for (progress->number = first; progress->number < end; ++progress->number) {
      const std::string input = Mutator(progress->number, seeds, tokens).input();
      progress->size = input.size();
      std::memcpy(progress->input, input.data(), input.size());
      run_one(input);
    }
    _exit(0);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
  }
  return status;
}

int run_many(std::uint64_t executions, std::uint64_t first) {
  const std::vector<std::string> seeds = fuzz_seeds(), tokens = fuzz_tokens();
  void* const shared =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) std::abort();
  progress = static_cast<Progress*>(shared);
  int findings = 0, in_hdf5 = 0;
  const std::uint64_t end = first + executions;
  for (std::uint64_t next = first; next < end; next = progress->number + 1) {
    const int status = run_child(next, end, seeds, tokens);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    if (WIFEXITED(status) && WEXITSTATUS(status) == kInHdf5) {
      ++in_hdf5;
      continue;
    }
    ++findings;
    const std::string name = "crash-" + std::to_string(progress->number);
    std::ofstream(name, std::ios::binary)
        .write(progress->input, static_cast<std::streamsize>(progress->size));
    std::printf("finding: input %llu, kept as %s\n", static_cast<unsigned long long>(progress->number),
                name.c_str());
  }
  std::printf("%llu executions, %d findings, %d crashes inside HDF5\n",
              static_cast<unsigned long long>(executions), findings, in_hdf5);
  return findings == 0 ? 0 : 1;
}

void write_seeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  int number = 0;
  for (const std::string& seed : fuzz_seeds())
    std::ofstream(folder / ("seed-" + std::to_string(number++)), std::ios::binary)
        .write(seed.data(), static_cast<std::streamsize>(seed.size()));
}

}  // namespace

int main(int count, char** words) {
  const std::string first = count > 1 ? words[1] : "";
  if (count == 3 && first == "--seeds") {
    write_seeds(words[2]);
    return 0;
  }
  if (count == 3 && first == "--input") {
    std::ifstream file(words[2], std::ios::binary);
    fuzz_prints_refusals = true;
    run_one({std::istreambuf_iterator<char>(file), {}});
    return 0;
  }
  if (count < 2 || count > 3 || first.empty() || first.find_first_not_of("0123456789") != std::string::npos) {
    std::fprintf(stderr, "usage: %s EXECUTIONS [FIRST] | --seeds FOLDER | --input FILE\n", words[0]);
    return 2;
  }
  return run_many(std::stoull(first), count == 3 ? std::stoull(words[2]) : 0);
}
