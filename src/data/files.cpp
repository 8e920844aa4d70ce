#include "files.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <system_error>

#include "csv.h"
#include "hdf5_plan.h"
#include "pack.h"
#include "trainer/core/error.h"
#include "trainer/core/tree.h"
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

/// What files of one name for the system have in common; hosts may number file systems differently.
struct FileMark {
  std::uint64_t inode = 0;
  std::int64_t bytes = 0;
  auto operator<=>(const FileMark&) const = default;
};

std::vector<FileMark> marks_of(const std::vector<std::string>& paths, const ShareWork& share) {
  constexpr std::int64_t kAtOnce = 64;
  const auto count = std::ssize(paths);
  const std::int64_t parts = (count + kAtOnce - 1) / kAtOnce;
  std::vector<FileMark> marks;
  for (const std::string& bytes : share(parts, [&](std::int64_t part) {
         std::vector<FileMark> some;
         for (std::int64_t i = part * kAtOnce; i < std::min(count, (part + 1) * kAtOnce); ++i) {
           struct stat found {};
           // What cannot be seen is named by who opens it.
           if (stat(paths[static_cast<std::size_t>(i)].c_str(), &found) != 0) found = {};
           some.push_back({found.st_ino, found.st_size});
         }
         return bytes_of(some);
       }))
    for (const FileMark& mark : values_of<FileMark>(bytes)) marks.push_back(mark);
  return marks;
}

}  // namespace

std::optional<std::pair<std::string, std::string>> same_file(const std::vector<std::string>& some,
                                                             const std::vector<std::string>& others,
                                                             const ShareWork& share) {
  std::vector<std::string> all = some;
  all.insert(all.end(), others.begin(), others.end());
  const std::vector<FileMark> marks = marks_of(all, share);
  std::map<FileMark, std::vector<std::size_t>> alike;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (marks[i].inode != 0) alike[marks[i]].push_back(i);
  std::erase_if(alike, [](const auto& entry) { return entry.second.size() < 2; });
  if (alike.empty()) return std::nullopt;
  const auto look = [&](std::int64_t) -> std::string {
    for (const auto& [mark, places] : alike) {
      for (std::size_t b = 1; b < places.size(); ++b) {
        for (std::size_t a = 0; a < b; ++a) {
          const bool counts = others.empty() || (places[a] < some.size()) != (places[b] < some.size());
          std::error_code error;
          if (counts && fs::equivalent(all[places[a]], all[places[b]], error))
            return bytes_of(std::vector{places[a], places[b]});
        }
      }
    }
    return "";
  };
  const std::vector<std::size_t> found = values_of<std::size_t>(share(1, look).front());
  if (found.empty()) return std::nullopt;
  return std::pair{all[found[0]], all[found[1]]};
}

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
