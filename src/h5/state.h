#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "library.h"
#include "trainer/h5/file.h"

namespace trainer::h5 {

struct File::State {
  enum class Mode { reading, writing, finished };

  std::string name;  // for messages
  Mode mode = Mode::reading;
  std::filesystem::path path;  // writing: where the file goes at close()
  std::int64_t user_block_bytes = 0;
  std::int64_t file_bytes = 0;  // reading: the size of the file, the bound of all that it can hold
  std::vector<std::byte>
      bytes;  // of an image; declared before `file`, which reads from it until it is closed
  Handle file{-1, H5Fclose};

  ~State() {
    const Inside inside;
    if (file >= 0) file.close();
  }
  /// Throws Error(internal) unless the file is in this mode.
  void require_mode(Mode wanted) const {
    require(mode == wanted, ErrorKind::internal, name,
            wanted == Mode::reading ? ": is not open for reading" : ": is not open for writing");
  }
};

/// Opens a group or data set, component by component, over plain (hard) links only. Throws Error(data).
Handle open_object(const File::State& state, const std::string& path);
/// As open_object; throws unless it is a group.
Handle open_group(const File::State& state, const std::string& path);

}  // namespace trainer::h5
