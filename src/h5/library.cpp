#include "library.h"

#include <algorithm>

namespace trainer::h5 {

namespace {

// HDF5 keeps global tables, and whether it locks them itself is an option of its build (Debian's serial one
// does).
std::recursive_mutex& library_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

herr_t take_innermost(unsigned n, const H5E_error2_t* error, void* reason) {
  if (n == 0 && error != nullptr && error->desc != nullptr) {
    try {
      *static_cast<std::string*>(reason) = error->desc;
    } catch (...) {  // nothing may be thrown through C
      return -1;
    }
  }
  return 0;
}

}  // namespace

Inside::Inside() : lock_(library_mutex()) {
  H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Inside::~Inside() { H5Eset_auto2(H5E_DEFAULT, print_, print_data_); }

std::string innermost_reason() {
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &reason);
  H5Eclear2(H5E_DEFAULT);
  return reason.empty() ? "no reason given" : reason;
}

void require_printable(const std::vector<std::string>& names, const std::string& place) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  for (const std::string& name : names) {
    require(std::ranges::none_of(name, is_control), ErrorKind::data, place,
            ": there is a name with a control character in it; rename it");
  }
}

std::int64_t size_of_file(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  require(status.type() != std::filesystem::file_type::not_found, ErrorKind::data, name,
          ": there is no such file; check the path");
  require(!error, ErrorKind::data, name, ": ", error.message(), "; check the path");
  require(std::filesystem::is_regular_file(status), ErrorKind::data, name,
          ": is not a file; name the file itself");
  const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(path, error));
  require(!error, ErrorKind::data, name, ": ", error.message());
  return bytes;
}

}  // namespace trainer::h5
