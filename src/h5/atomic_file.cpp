#include "trainer/h5/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "trainer/core/error.h"

namespace trainer::h5 {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{64} << 20;

[[noreturn]] void fail_writing(const std::filesystem::path& path, const char* doing, int error_number) {
  fail(ErrorKind::data, path.string(), ": cannot be written (", doing,
       "): ", reason_and_remedy(error_number));
}

template <class Call>
auto retried(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  // Not tried again when interrupted: on Linux the number is free all the same.
  int close() { return ::close(std::exchange(number_, -1)); }

 private:
  int number_;
};

// Removes the file unless told that it is no longer there.
class Temporary {
 public:
  explicit Temporary(std::filesystem::path path) : path_(std::move(path)) {}
  ~Temporary() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  const char* c_str() const { return path_.c_str(); }
  void release() { path_.clear(); }

 private:
  std::filesystem::path path_;
};

void write_all(int file, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        retried([&] { return ::write(file, bytes.data(), std::min(bytes.size(), kPieceBytes)); });
    if (written < 0) fail_writing(path, "write", errno);
    if (written == 0) fail_writing(path, "write", EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void sync_folder(const std::filesystem::path& path) {
  const std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  Descriptor opened(retried([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (opened.number() < 0) fail_writing(path, "open its folder", errno);
  // Some network file systems do not know fsync of a folder: a rename is as durable there as it gets.
  const int result = retried([&] { return ::fsync(opened.number()); });
  if (result < 0 && errno != EINVAL && errno != ENOTSUP) fail_writing(path, "sync its folder", errno);
}

}  // namespace

std::filesystem::path temporary_path(const std::filesystem::path& path) {
  return path.parent_path() / (".tmp-" + path.filename().string());
}

std::string reason_and_remedy(int error_number) {
  const char* remedy = "check the file system";
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      remedy = "free some space or raise the limit there, or choose another folder";
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      remedy = "make the folder writable or choose another one";
      break;
    case ENOENT:
    case ENOTDIR:
      remedy = "check the path: its folder must exist";
      break;
    default:
      break;
  }
  return text(std::generic_category().message(error_number), "; ", remedy);
}

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  Temporary temporary(temporary_path(path));
  ::unlink(temporary.c_str());  // left by a writer that was killed
  Descriptor file(
      retried([&] { return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); }));
  if (file.number() < 0) {
    const int error_number = errno;
    temporary.release();
    fail_writing(path, "open", error_number);
  }
  write_all(file.number(), bytes, path);
  if (retried([&] { return ::fsync(file.number()); }) < 0) fail_writing(path, "sync", errno);
  if (file.close() < 0) fail_writing(path, "close", errno);
  if (std::rename(temporary.c_str(), path.c_str()) < 0) fail_writing(path, "rename", errno);
  temporary.release();
  sync_folder(path);
}

}  // namespace trainer::h5
