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

void sync_folder(const std::filesystem::path& path) {
  const std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const int opened = retried([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (opened < 0) fail_writing(path, "open its folder", errno);
  // Some network file systems do not know fsync of a folder: a rename is as durable there as it gets.
  const int result = retried([&] { return ::fsync(opened); });
  const int error_number = errno;
  ::close(opened);
  if (result < 0 && error_number != EINVAL && error_number != ENOTSUP)
    fail_writing(path, "sync its folder", error_number);
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

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(temporary_path(path_)) {
  ::unlink(temporary_.c_str());  // left by a writer that was killed
  file_ = retried([&] { return ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  if (file_ < 0) fail_writing(path_, "open", errno);
  owner_ = true;
}

AtomicFile AtomicFile::join(std::filesystem::path path) {
  AtomicFile file;
  file.path_ = std::move(path);
  file.temporary_ = temporary_path(file.path_);
  file.file_ = retried([&] { return ::open(file.temporary_.c_str(), O_RDWR | O_CLOEXEC); });
  if (file.file_ < 0) fail_writing(file.path_, "open", errno);
  return file;
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) ::close(file_);
  if (owner_) ::unlink(temporary_.c_str());
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      file_(std::exchange(other.file_, -1)),
      owner_(std::exchange(other.owner_, false)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(temporary_, other.temporary_);
  std::swap(file_, other.file_);
  std::swap(owner_, other.owner_);
  return *this;
}

void AtomicFile::reserve(std::int64_t bytes) {
  if (retried([&] { return ::ftruncate(file_, bytes); }) < 0) fail_writing(path_, "make room", errno);
  if (bytes == 0) return;
  const int result = retried([&] { return ::fallocate(file_, 0, 0, bytes); });
  // Where a file system cannot do that, a lack of space shows later.
  if (result < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
    fail_writing(path_, text("making room for ", bytes, " bytes").c_str(), errno);
}

void AtomicFile::write_at(std::int64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        retried([&] { return ::pwrite(file_, bytes.data(), std::min(bytes.size(), kPieceBytes), offset); });
    if (written < 0) fail_writing(path_, "write", errno);
    if (written == 0) fail_writing(path_, "write", EIO);
    offset += written;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written =
        retried([&] { return ::write(file_, bytes.data(), std::min(bytes.size(), kPieceBytes)); });
    if (written < 0) fail_writing(path_, "write", errno);
    if (written == 0) fail_writing(path_, "write", EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::sync() {
  if (retried([&] { return ::fsync(file_); }) < 0) fail_writing(path_, "sync", errno);
}

void AtomicFile::commit() {
  require(owner_, ErrorKind::internal, path_.string(), ": commit() is for the one who made the file, once");
  sync();
  // Not tried again when interrupted: on Linux the number is free all the same.
  if (::close(std::exchange(file_, -1)) < 0) fail_writing(path_, "close", errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) < 0) fail_writing(path_, "rename", errno);
  owner_ = false;
  sync_folder(path_);
}

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.append(bytes);
  file.commit();
}

}  // namespace trainer::h5
