#include "file_system.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "trainer/core/error.h"
#include "trainer/h5/atomic_file.h"

namespace trainer::report {
namespace {

constexpr std::int64_t kLargestText = std::int64_t{64} << 20;

/// An open file that is closed at the end of its block.
class OpenFile {
 public:
  OpenFile(const std::string& path, int flags, const std::string& doing)
      : handle_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    require(handle_ >= 0, ErrorKind::data, with_reason(doing + " " + path));
  }
  ~OpenFile() {
    if (handle_ >= 0) ::close(handle_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int handle() const { return handle_; }
  /// Some file systems report a failed write only here.
  void close(const std::string& path) {
    const int result = ::close(handle_);
    handle_ = -1;
    require(result == 0, ErrorKind::data, with_reason("cannot write " + path));
  }

 private:
  int handle_;
};

/// The folder's own entry for a renamed file must reach the disk too.
void sync_folder_of(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  const int handle = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (handle < 0) return;
  ::fsync(handle);  // not every file system can; the rename itself stands
  ::close(handle);
}

}  // namespace

std::string with_reason(const std::string& what) { return what + ": " + h5::reason_and_remedy(errno); }

std::size_t write_some(int file, std::string_view bytes, const std::string& path) {
  while (true) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = EIO;  // bytes were given and none was taken
    require(written > 0, ErrorKind::data, with_reason("cannot write " + path));
    return static_cast<std::size_t>(written);
  }
}

void write_all(int file, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) bytes.remove_prefix(write_some(file, bytes, path));
}

void sync_file(int file, const std::string& path) {
  int result = 0;
  do {
    result = ::fsync(file);
  } while (result != 0 && errno == EINTR);
  // Pipes and the like cannot be synced and need not be.
  require(result == 0 || errno == EINVAL || errno == EROFS, ErrorKind::data,
          with_reason("cannot write " + path));
}

void replace_file(const std::string& path, const std::string& content, const std::string& suffix) {
  const std::string beside = path + suffix;
  {
    OpenFile file(beside, O_WRONLY | O_CREAT | O_TRUNC, "cannot create");
    write_all(file.handle(), content, beside);
    sync_file(file.handle(), beside);
    file.close(beside);
  }
  const bool renamed = ::rename(beside.c_str(), path.c_str()) == 0;
  require(renamed, ErrorKind::data, with_reason("cannot replace " + path));
  sync_folder_of(path);
}

void overwrite_file(const std::string& path, const std::string& content) {
  OpenFile file(path, O_WRONLY, "cannot open");
  write_all(file.handle(), content, path);
  const bool cut = ::ftruncate(file.handle(), static_cast<off_t>(content.size())) == 0;
  require(cut, ErrorKind::data, with_reason("cannot cut " + path));
  file.close(path);
}

void append_line(const std::string& path, const std::string& line) {
  OpenFile file(path, O_WRONLY | O_CREAT | O_APPEND, "cannot append to");
  write_all(file.handle(), line + "\n", path);
  file.close(path);
}

std::string read_whole_file(const std::string& path) {
  OpenFile file(path, O_RDONLY, "cannot open");
  struct stat facts {};
  const bool known = ::fstat(file.handle(), &facts) == 0;
  require(known, ErrorKind::data, with_reason("cannot read " + path));
  require(S_ISREG(facts.st_mode), ErrorKind::data, "cannot read ", path, ": it is not a plain file");
  require(facts.st_size <= kLargestText, ErrorKind::data, "cannot read ", path, ": it has ", facts.st_size,
          " bytes, at most ", kLargestText, " are expected");
  std::string content(static_cast<std::size_t>(facts.st_size), '\0');
  std::size_t have = 0;
  while (have < content.size()) {
    const ssize_t got = ::read(file.handle(), content.data() + have, content.size() - have);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ErrorKind::data, with_reason("cannot read " + path));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  content.resize(have);
  return content;
}

}  // namespace trainer::report
