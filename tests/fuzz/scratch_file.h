#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace trainer {

/// The one file that this process gives to a parser, gone with this object. (HDF5 wants a real path: no file
/// of memfd_create() has one.)
class ScratchFile {
 public:
  explicit ScratchFile(std::string_view bytes) {
    std::ofstream file(path(), std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) std::abort();
  }
  ~ScratchFile() { ::unlink(path().c_str()); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  /// In memory, where there is such a folder.
  static const std::string& path() {
    static const std::string name = [] {
      namespace fs = std::filesystem;
      const fs::path folder = fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
      return (folder / ("trainer-fuzz-" + std::to_string(getpid()))).string();
    }();
    return name;
  }
};

}  // namespace trainer
