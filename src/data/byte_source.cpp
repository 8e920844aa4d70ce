#include "byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kChunkBytes = 1 << 18;

std::string reason() { return std::strerror(errno); }

}  // namespace

struct ByteSource::State {
  explicit State(std::string file_path) : path(std::move(file_path)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (compressed) inflateEnd(&stream);
    if (descriptor >= 0) close(descriptor);
  }

  void open_file();
  void detect_gzip();
  std::int64_t read_stored(void* out, std::int64_t bytes);
  bool refill();
  bool begin_next_member();
  std::int64_t read_inflated(unsigned char* out, std::int64_t bytes);

  std::string path;
  std::int64_t file_bytes = 0;
  int descriptor = -1;
  bool compressed = false;
  bool ended = false;
  z_stream stream{};
  std::array<unsigned char, kChunkBytes> chunk;
};

void ByteSource::State::open_file() {
  // Asked before opening: to open a named pipe would wait for its other end.
  struct stat found {};
  const int status = stat(path.c_str(), &found);
  require(status == 0, ErrorKind::data, path, ": cannot be read: ", reason());
  require(S_ISREG(found.st_mode), ErrorKind::data, path, ": is not a regular file");
  descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  require(descriptor >= 0, ErrorKind::data, path, ": cannot be read: ", reason());
  file_bytes = found.st_size;
}

void ByteSource::State::detect_gzip() {
  std::array<unsigned char, 2> magic{};
  const ssize_t got = pread(descriptor, magic.data(), magic.size(), 0);
  require(got >= 0, ErrorKind::data, path, ": cannot be read: ", reason());
  if (got < 2 || magic[0] != 0x1f || magic[1] != 0x8b) return;
  constexpr int kGzipWindow = 15 + 16;  // zlib's way to say: gzip, and nothing else
  require(inflateInit2(&stream, kGzipWindow) == Z_OK, ErrorKind::internal, path, ": zlib cannot be started");
  compressed = true;
}

std::int64_t ByteSource::State::read_stored(void* out, std::int64_t bytes) {
  std::int64_t done = 0;
  while (done < bytes) {
    const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(bytes - done, 1 << 30));
    const ssize_t got = ::read(descriptor, static_cast<char*>(out) + done, wanted);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ErrorKind::data, path, ": reading failed at byte ", done, ": ", reason());
    if (got == 0) break;
    done += got;
  }
  return done;
}

bool ByteSource::State::refill() {
  if (stream.avail_in > 0) return true;
  const std::int64_t got = read_stored(chunk.data(), kChunkBytes);
  stream.next_in = chunk.data();
  stream.avail_in = static_cast<uInt>(got);
  return got > 0;
}

bool ByteSource::State::begin_next_member() {
  if (!refill()) return false;
  require(inflateReset(&stream) == Z_OK, ErrorKind::internal, path, ": zlib cannot be reset");
  return true;
}

std::int64_t ByteSource::State::read_inflated(unsigned char* out, std::int64_t bytes) {
  std::int64_t done = 0;
  while (done < bytes && !ended) {
    require(refill(), ErrorKind::data, path, ": is truncated: its gzip data ends early (the file has ",
            file_bytes, " bytes); fetch it again");
    const std::int64_t room = std::min<std::int64_t>(bytes - done, 1 << 30);
    stream.next_out = out + done;
    stream.avail_out = static_cast<uInt>(room);
    const int result = inflate(&stream, Z_NO_FLUSH);
    done += room - static_cast<std::int64_t>(stream.avail_out);
    require(result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR, ErrorKind::data, path,
            ": its gzip data is corrupt (", stream.msg != nullptr ? stream.msg : "no further reason",
            "); fetch it again");
    if (result == Z_STREAM_END) ended = !begin_next_member();
  }
  return done;
}

ByteSource::ByteSource(std::string path) : state_(std::make_unique<State>(std::move(path))) {
  state_->open_file();
  state_->detect_gzip();
}
ByteSource::~ByteSource() = default;
ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource& ByteSource::operator=(ByteSource&&) noexcept = default;

const std::string& ByteSource::path() const { return state_->path; }
std::int64_t ByteSource::file_bytes() const { return state_->file_bytes; }
bool ByteSource::is_compressed() const { return state_->compressed; }

std::int64_t ByteSource::read(void* out, std::int64_t bytes) {
  if (state_->compressed) return state_->read_inflated(static_cast<unsigned char*>(out), bytes);
  return state_->read_stored(out, bytes);
}

}  // namespace trainer::data
