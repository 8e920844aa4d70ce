#include "trainer/h5/file.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "state.h"
#include "trainer/h5/atomic_file.h"

namespace trainer::h5 {

namespace {

constexpr std::int64_t kGrowthBytes = 64 * 1024;

// A file in memory is told from others by its name, and the name must not be one of a file on disk: nothing
// can lie below /dev/null, and no two living objects have one address.
std::string memory_name(const void* owner) { return text("/dev/null/", owner); }

Handle access_list() {
  Handle list(checked(H5Pcreate(H5P_FILE_ACCESS), "no file access list"), H5Pclose);
  // A file is closed when it is closed: anything still open in it is a defect that shows.
  checked(H5Pset_fclose_degree(list, H5F_CLOSE_SEMI), "file access list");
  return list;
}

Handle creation_list(std::int64_t user_block_bytes) {
  Handle list(checked(H5Pcreate(H5P_FILE_CREATE), "no file creation list"), H5Pclose);
  checked(H5Pset_userblock(list, static_cast<hsize_t>(user_block_bytes)), "a user block of ",
          user_block_bytes, " bytes");
  checked(H5Pset_obj_track_times(list, false), "file creation list");
  return list;
}

// HDF5 copies an image three times on its way from the caller to the file. These callbacks hand the one
// buffer on instead.
struct Image {
  void* data;
};
void* image_allocate(std::size_t, H5FD_file_image_op_t, void* image) {
  return static_cast<Image*>(image)->data;
}
void* image_copy(void* destination, const void* source, std::size_t bytes, H5FD_file_image_op_t, void*) {
  return destination == source ? destination : std::memcpy(destination, source, bytes);
}
void* image_resize(void*, std::size_t, H5FD_file_image_op_t, void*) { return nullptr; }  // it is only read
herr_t image_free(void*, H5FD_file_image_op_t, void*) { return 0; }
void* owner_copy(void* image) { return image; }
herr_t owner_free(void*) { return 0; }

}  // namespace

File::File(std::unique_ptr<State> state) : state_(std::move(state)) {}
File::~File() = default;
File::File(File&&) noexcept = default;
File& File::operator=(File&&) noexcept = default;

const std::string& File::name() const { return state_->name; }

File File::create_in_memory(std::int64_t user_block_bytes, std::int64_t expected_bytes) {
  const Inside inside;
  auto state = std::make_unique<State>();
  state->name = "a file in memory";
  state->mode = State::Mode::writing;
  state->user_block_bytes = user_block_bytes;
  const Handle access = access_list();
  checked(H5Pset_fapl_core(access, static_cast<std::size_t>(std::max(expected_bytes, kGrowthBytes)), false),
          "file access list");
  const Handle creation = creation_list(user_block_bytes);
  state->file = Handle(checked(H5Fcreate(memory_name(state.get()).c_str(), H5F_ACC_TRUNC, creation, access),
                               "cannot make an HDF5 file of ", expected_bytes, " bytes in memory"),
                       H5Fclose);
  return File(std::move(state));
}

File File::create(const std::filesystem::path& path) {
  File file = create_in_memory(0, 0);
  file.state_->name = path.string();
  file.state_->path = path;
  return file;
}

File File::open_read(const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  state->name = path.string();
  state->file_bytes = size_of_file(path);

  const Inside inside;
  const Handle access = access_list();
#if H5_VERSION_GE(1, 10, 7)
  checked(H5Pset_file_locking(access, false, true), "file access list");
#endif
  state->file = Handle(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), state->name,
                               ": is not an HDF5 file, or a damaged one"),
                       H5Fclose);
  return File(std::move(state));
}

File File::open_image(std::string name, std::vector<std::byte> bytes) {
  const Inside inside;
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  state->bytes = std::move(bytes);
  state->file_bytes = static_cast<std::int64_t>(state->bytes.size());
  require(!state->bytes.empty(), ErrorKind::data, state->name, ": is empty");

  Image image{state->bytes.data()};
  H5FD_file_image_callbacks_t callbacks{image_allocate, image_copy, image_resize, image_free,
                                        owner_copy,     owner_free, &image};
  const Handle access = access_list();
  checked(H5Pset_fapl_core(access, kGrowthBytes, false), "file access list");
  checked(H5Pset_file_image_callbacks(access, &callbacks), "file access list");
  checked(H5Pset_file_image(access, state->bytes.data(), state->bytes.size()), "file access list");
  state->file = Handle(checked(H5Fopen(memory_name(state.get()).c_str(), H5F_ACC_RDONLY, access), state->name,
                               ": is not an HDF5 file, or a damaged one"),
                       H5Fclose);
  return File(std::move(state));
}

std::span<std::byte> File::image() {
  const Inside inside;
  require(state_->mode != State::Mode::reading, ErrorKind::internal, state_->name,
          ": image() is for files that are written");
  checked(H5Fflush(state_->file, H5F_SCOPE_GLOBAL), state_->name, ": cannot be finished");
  void** memory = nullptr;
  checked(H5Fget_vfd_handle(state_->file, H5P_DEFAULT, reinterpret_cast<void**>(&memory)), state_->name,
          ": cannot be finished");
  // What the library calls the image leaves the user block out.
  const auto bytes = state_->user_block_bytes + checked(H5Fget_file_image(state_->file, nullptr, 0),
                                                        state_->name, ": cannot be finished");
  state_->mode = State::Mode::finished;
  return {static_cast<std::byte*>(*memory), static_cast<std::size_t>(bytes)};
}

void File::close() {
  require(!state_->path.empty(), ErrorKind::internal, state_->name,
          ": close() is for files made with a path");
  write_atomically(state_->path, image());
  state_->path.clear();
}

}  // namespace trainer::h5
