#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>
#include <system_error>

#include "content_rules.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/core/digest.h"
#include "trainer/h5/file.h"
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

// The whole file, once its size and digest have been found right.
std::vector<std::byte> read_verified(const std::filesystem::path& path) {
  const std::string name = path.string();
  const Source source(path);
  const std::int64_t file_bytes = source.bytes();
  require(file_bytes > kUserBlockBytes, ErrorKind::data, name, ": has ", file_bytes,
          " bytes, too few for a checkpoint; use an older one");
  std::array<std::byte, kUserBlockBytes> first;
  source.read(first);
  const UserBlock block = parse_user_block(first, name);
  require(block.bytes == file_bytes - kUserBlockBytes, ErrorKind::data, name, ": has ",
          file_bytes - kUserBlockBytes, " bytes after its first block where ", block.bytes,
          " were written; copy it again or use an older checkpoint");

  std::vector<std::byte> bytes = allocate(file_bytes, name);
  std::ranges::copy(first, bytes.begin());
  const auto content = std::span(bytes).subspan(kUserBlockBytes);
  source.read(content);
  const std::string digest = digest_of(content.data(), content.size());
  require(digest == block.digest, ErrorKind::data, name, ": is damaged or was changed: its digest is ",
          digest, " where ", block.digest, " was written; use an older checkpoint");
  return bytes;
}

std::vector<Tensor> read_tensors(const h5::File& file, const std::string& group, bool also_doubles) {
  std::vector<Tensor> tensors;
  for (const h5::DataSet& found : file.data_sets(group)) {
    tensors.push_back({found.path.substr(group.size() + 1), found.shape,
                       also_doubles ? file.read_floats(found.path) : file.read_f32(found.path)});
  }
  return tensors;
}

std::vector<double> read_column(const h5::File& file, const std::string& path) {
  const h5::DataSet found = file.describe(path);
  require(found.shape.size() == 1, ErrorKind::data, file.name(), ": ", path, ": has ", found.shape.size(),
          " axes instead of one");
  return file.read_f64(path);
}

void require_format(const Attributes& root, const std::string& name) {
  const std::string where = name + ": /";
  require(get<std::string>(root, "format", where) == "trainer", ErrorKind::data, name,
          ": is not a checkpoint of trainer; check the path");
  const std::int64_t version = get<std::int64_t>(root, "version", where);
  require(version >= 1 && version <= kVersion, ErrorKind::data, name, ": has version ", version,
          "; this trainer reads up to version ", kVersion, "; use a newer trainer");
}

Checkpoint parse(const h5::File& file) {
  Checkpoint checkpoint;
  checkpoint.root = file.attributes("/");
  require_format(checkpoint.root, file.name());
  checkpoint.model_attributes = file.attributes("/model");
  checkpoint.model = read_tensors(file, "/model", false);
  checkpoint.scaling_attributes = file.attributes("/scaling");
  for (const h5::DataSet& found : file.data_sets("/scaling")) {
    checkpoint.scaling.emplace(found.path.substr(std::string("/scaling/").size()),
                               read_column(file, found.path));
  }
  checkpoint.optimizer_attributes = file.attributes("/optimizer");
  checkpoint.optimizer = read_tensors(file, "/optimizer", false);
  checkpoint.progress = file.attributes("/progress");
  const Attributes history = file.attributes("/history");
  for (const auto& column : get<std::vector<std::string>>(history, "columns", file.name() + ": /history")) {
    checkpoint.history.emplace_back(column, read_column(file, "/history/" + column));
  }
  return checkpoint;
}

}  // namespace

Checkpoint read(const std::filesystem::path& path, Check check) {
  const std::string name = path.string();
  const bool verified = check == Check::everything;
  const h5::File file =
      verified ? h5::File::open_image(name, read_verified(path)) : h5::File::open_read(path);
  Checkpoint checkpoint = parse(file);
  require_whole(checkpoint, ErrorKind::data, name);
  require_finite(checkpoint, ErrorKind::data, name);
  if (verified) {
    const std::string& recorded = get<std::string>(checkpoint.root, "weights", name + ": /");
    const std::string digest = weights_digest(checkpoint.model);
    require(digest == recorded, ErrorKind::data, name, ": the weights have the digest ", digest, " where ",
            recorded, " was written; use an older checkpoint");
  }
  return checkpoint;
}

Verdict verify(const std::filesystem::path& path) {
  try {
    read(path);
    return {true, ""};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

std::vector<Tensor> read_weights(const std::filesystem::path& path) {
  const std::string name = path.string();
  const h5::File file = h5::File::open_read(path);
  require(file.has("/model"), ErrorKind::data, name,
          ": has no group /model; weights are read from data sets such as /model/00_dense/weight");
  std::vector<Tensor> tensors = read_tensors(file, "/model", true);
  require(!tensors.empty(), ErrorKind::data, name, ": there are no data sets under /model");
  require_finite(tensors, "/model", ErrorKind::data, name);
  return tensors;
}

}  // namespace trainer::checkpoint
