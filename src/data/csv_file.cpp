#include "csv_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

std::int64_t nanoseconds(const struct stat& facts) {
  return std::int64_t{facts.st_mtim.tv_sec} * 1'000'000'000 + facts.st_mtim.tv_nsec;
}

/// The bytes of `source` after the first `skip`.
CsvRowReader::Read bytes_after(std::shared_ptr<ByteSource> source, std::int64_t skip) {
  return [source = std::move(source), skip](char* out, std::int64_t bytes) mutable {
    while (skip > 0) {
      const std::int64_t got = source->read(out, std::min(bytes, skip));
      if (got == 0) return got;
      skip -= got;
    }
    return source->read(out, bytes);
  };
}

}  // namespace

CsvFile::CsvFile(std::string path) : path_(std::move(path)) {
  struct stat facts {};
  // Asked before opening: to open a named pipe would wait for its other end.
  require(stat(path_.c_str(), &facts) == 0, ErrorKind::data, path_,
          ": cannot be read: ", std::strerror(errno));
  require(S_ISREG(facts.st_mode), ErrorKind::data, path_, ": is not a regular file");
  descriptor_.value = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  require(descriptor_.value >= 0 && fstat(descriptor_.value, &facts) == 0, ErrorKind::data, path_,
          ": cannot be read: ", std::strerror(errno));
  bytes_ = facts.st_size;
  modified_ = nanoseconds(facts);
  std::array<char, 2> magic{};
  compressed_ = read_at(0, magic.data(), 2) == 2 && magic[0] == '\x1f' && magic[1] == '\x8b';
}

CsvFile::Descriptor::~Descriptor() {
  if (value >= 0) close(value);
}

std::int64_t CsvFile::read_at(std::int64_t offset, char* out, std::int64_t bytes) const {
  std::int64_t done = 0;
  while (done < bytes) {
    const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(bytes - done, 1 << 30));
    const ssize_t got = pread(descriptor_.value, out + done, wanted, offset + done);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ErrorKind::data, path_, ": reading failed at byte ", offset + done, ": ",
            std::strerror(errno));
    if (got == 0) break;
    done += got;
  }
  return done;
}

CsvRowReader CsvFile::rows_from(std::int64_t offset, std::int64_t line) const {
  if (compressed_) return {bytes_after(std::make_shared<ByteSource>(path_), offset), offset, line};
  const auto read = [this, place = offset](char* out, std::int64_t bytes) mutable {
    const std::int64_t got = read_at(place, out, bytes);
    place += got;
    return got;
  };
  return {read, offset, line};
}

void CsvFile::require_unchanged() const {
  struct stat facts {};
  require(fstat(descriptor_.value, &facts) == 0 && facts.st_size == bytes_ && nanoseconds(facts) == modified_,
          ErrorKind::data, path_, ": changed while it was read; leave data alone while it is used");
}

}  // namespace trainer::data
