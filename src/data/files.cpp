#include "files.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "csv.h"
#include "hdf5_plan.h"
#include "trainer/core/error.h"
#include "trainer/data/open.h"

namespace trainer::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 10'000'000;

bool has_pattern(const std::string& spec) { return spec.find_first_of("*?[") != std::string::npos; }

std::vector<std::string> matches(const std::string& option, const std::string& pattern) {
  glob_t found{};
  const int code = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  require(code == 0 || code == GLOB_NOMATCH, ErrorKind::data, option, ": ", pattern,
          ": the folder could not be read");
  require(!paths.empty(), ErrorKind::data, option, ": no file matches ", pattern,
          " (in quotes, so that the shell leaves it alone)");
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> listed(const std::string& option, const std::string& list) {
  std::ifstream in(list);
  require(in.good(), ErrorKind::data, option, ": ", list, " cannot be read");
  std::vector<std::string> paths;
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    require(line.find('\0') == std::string::npos && line.size() < 4096 && paths.size() < kMostFiles,
            ErrorKind::data, option, ": ", list, ": line ", paths.size() + 1, " is no path");
    paths.push_back((fs::path(list).parent_path() / line).string());
  }
  require(!in.bad() && !paths.empty(), ErrorKind::data, option, ": ", list, " names no files");
  return paths;
}

std::vector<std::string> in_folder(const std::string& option, const std::string& folder) {
  std::vector<std::string> hdf5, csv;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (entry.path().filename().string().front() == '.' || !entry.is_regular_file()) continue;
    if (is_csv(path))
      csv.push_back(path);
    else if (is_hdf5(path))
      hdf5.push_back(path);
  }
  require(hdf5.empty() || csv.empty(), ErrorKind::data, option, ": ", folder, " holds ", hdf5.size(),
          " HDF5 and ", csv.size(), " CSV files; say which, as in ", option, " '", folder, "/*.h5'");
  std::vector<std::string>& paths = csv.empty() ? hdf5 : csv;
  require(!paths.empty(), ErrorKind::data, option, ": ", fs::absolute(folder).string(),
          " holds no data: no train-images-idx3-ubyte[.gz] with its labels, no .h5, .nc or .csv files");
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> look(const std::string& option, const std::string& spec) {
  std::error_code error;
  const fs::file_status status = fs::status(spec, error);
  if (!fs::exists(status)) {
    require(has_pattern(spec), ErrorKind::data, option, ": ", fs::absolute(spec).string(), " does not exist");
    return matches(option, spec);
  }
  if (fs::is_directory(status)) return in_folder(option, spec);
  if (fs::path(spec).extension() == ".list") return listed(option, spec);
  return {spec};
}

}  // namespace

std::vector<std::string> files_of(const std::string& option, const std::string& spec,
                                  const ShareWork& share) {
  const std::string joined = share(1, [&](std::int64_t) {
                               std::string all;
                               try {
                                 for (const std::string& path : look(option, spec)) all += path + '\0';
                               } catch (const fs::filesystem_error& error) {
                                 fail(ErrorKind::data, option, ": ", error.what());
                               }
                               return all;
                             }).front();
  std::vector<std::string> paths;
  for (std::size_t begin = 0; begin < joined.size();) {
    const std::size_t end = joined.find('\0', begin);
    paths.push_back(joined.substr(begin, end - begin));
    begin = end + 1;
  }
  return paths;
}

std::string plain_name(const std::string& path) {
  std::string name = fs::path(path).filename().string();
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return name;
}

void require_no_data_file(const std::string& out, const std::vector<std::string>& specs) {
  for (const std::string& spec : specs) {
    std::vector<std::string> files;
    try {
      if (!spec.empty()) files = look("--data", spec);
    } catch (const std::exception&) {
      continue;  // no files: a built-in name, a folder of another kind
    }
    for (const std::string& file : files) {
      std::error_code error;  // a file that is not there is no other's
      require(!fs::equivalent(out, file, error), ErrorKind::usage, "--out ", out,
              " is one of the files of the data; choose another file");
    }
  }
}

bool names_files(const std::string& text) {
  static const std::vector<std::string> endings{".h5", ".hdf5", ".hdf", ".he5", ".nc", ".nc4", ".list"};
  if (text.find('(') != std::string::npos) return false;
  return text.find('/') != std::string::npos || has_pattern(text) || is_csv(text) ||
         std::any_of(endings.begin(), endings.end(),
                     [&](const auto& ending) { return text.ends_with(ending); });
}

}  // namespace trainer::data
