#include "verified_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "trainer/core/digest.h"
#include "trainer/core/error.h"
#include "user_block.h"

namespace trainer::checkpoint {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{64} << 20;

std::string system_reason() { return std::generic_category().message(errno); }

// A file on disk, open for reading from its beginning.
class Source {
 public:
  explicit Source(const std::filesystem::path& path) : name_(path.string()) {
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    require(file_ >= 0, ErrorKind::data, name_, ": ", system_reason(), "; check the path");
  }
  ~Source() { ::close(file_); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  std::int64_t bytes() const {
    struct stat status;
    const bool known = ::fstat(file_, &status) == 0;
    require(known, ErrorKind::data, name_, ": ", system_reason());
    require(S_ISREG(status.st_mode), ErrorKind::data, name_,
            ": is not a file; name the checkpoint file itself");
    return status.st_size;
  }

  void read(std::span<std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t got = ::read(file_, bytes.data(), std::min(bytes.size(), kPieceBytes));
      if (got < 0 && errno == EINTR) continue;
      require(got >= 0, ErrorKind::data, name_, ": cannot be read: ", system_reason(),
              "; check the file system");
      require(got > 0, ErrorKind::data, name_, ": became shorter while it was read");
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
  }

 private:
  std::string name_;
  int file_ = -1;
};

std::vector<std::byte> allocate(std::int64_t bytes, const std::string& name) {
  try {
    return std::vector<std::byte>(static_cast<std::size_t>(bytes));
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::data, name, ": its ", bytes >> 20, " MiB do not fit in memory; use a machine with more");
  }
}

void require_more_than_the_block(std::int64_t file_bytes, const std::string& name) {
  require(file_bytes > kUserBlockBytes, ErrorKind::data, name, ": has ", file_bytes,
          " bytes, too few for a checkpoint; use an older one");
}

// What the first block of a file of this size says.
UserBlock checked_block(std::span<const std::byte, kUserBlockBytes> first, std::int64_t file_bytes,
                        const std::string& name) {
  UserBlock block = parse_user_block(first, name);
  require(block.bytes == file_bytes - kUserBlockBytes, ErrorKind::data, name, ": has ",
          file_bytes - kUserBlockBytes, " bytes after its first block where ", block.bytes,
          " were written; copy it again or use an older checkpoint");
  return block;
}

}  // namespace

void require_intact(std::span<const std::byte> file, const std::string& name) {
  const auto file_bytes = static_cast<std::int64_t>(file.size());
  require_more_than_the_block(file_bytes, name);
  const UserBlock block = checked_block(file.first<kUserBlockBytes>(), file_bytes, name);
  const auto content = file.subspan(kUserBlockBytes);
  const std::string digest = digest_of(content.data(), content.size());
  require(digest == block.digest, ErrorKind::data, name, ": is damaged or was changed: its digest is ",
          digest, " where ", block.digest, " was written; use an older checkpoint");
}

VerifiedImage::VerifiedImage(std::string name, std::vector<std::byte> bytes)
    : name_(std::move(name)), bytes_(std::move(bytes)) {
  require_intact(bytes_, name_);
}

VerifiedImage VerifiedImage::read(const std::filesystem::path& path) {
  const std::string name = path.string();
  const Source source(path);
  const std::int64_t file_bytes = source.bytes();
  require_more_than_the_block(file_bytes, name);
  std::array<std::byte, kUserBlockBytes> first;
  source.read(first);
  checked_block(first, file_bytes, name);
  std::vector<std::byte> bytes = allocate(file_bytes, name);
  std::ranges::copy(first, bytes.begin());
  source.read(std::span(bytes).subspan(kUserBlockBytes));
  return {name, std::move(bytes)};
}

}  // namespace trainer::checkpoint
