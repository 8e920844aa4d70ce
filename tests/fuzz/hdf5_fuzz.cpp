// HDF5 files, what HDF5 says of them and the rows in them. An input is a file; its last byte says what is
// asked for.

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "hdf5_plan.h"
#include "read_plan.h"
#include "scratch_file.h"
#include "share_over.h"
#include "trainer/h5/file.h"
#include "trainer/h5/table.h"

using namespace trainer;
using namespace trainer::data;

namespace {

constexpr const char* kInputs[] = {"",         "x",    "x, y",    "g/x[:,0:2], table:a",
                                   "x[:,::2]", "text", "table:a", "z"};
constexpr const char* kTargets[] = {"", "y", "label", "text"};

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Each data set that is listed is looked at, too.
void look(const std::string& path) {
  accepted([&] {
    const h5::TableFile file = h5::TableFile::open(path);
    for (const h5::TableFacts& facts : file.list(100)) {
      accepted([&] {
        must(file.has(facts.path), "what is listed is there");
        const h5::Table table = file.table(facts.path);
        const std::size_t axes = table.facts().shape.size();
        const h5::Slab first{std::vector<std::int64_t>(axes, 0), std::vector<std::int64_t>(axes, 1),
                             std::vector<std::int64_t>(axes, 1)};
        table.trouble(first);
        float value = 0;
        if (facts.kind == h5::TableKind::text) table.read_texts(first);
        if (facts.kind == h5::TableKind::integer || facts.kind == h5::TableKind::floating)
          table.read(first, &value);
      });
    }
  });
}

}  // namespace

/// Written by hdf5_seeds.py where there is h5py, and else one file of ours.
std::vector<std::string> trainer::fuzz_seeds() {
  namespace fs = std::filesystem;
  std::string folder = (fs::temp_directory_path() / "trainer-fuzz.XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) std::abort();
  const std::string command =
      "/usr/bin/python3 '" FUZZ_FOLDER "/hdf5_seeds.py' '" + folder + "' 2> /dev/null";
  if (std::system(command.c_str()) != 0) std::fprintf(stderr, "no h5py: one seed alone\n");
  h5::File own = h5::File::create(folder + "/00_own.h5");
  own.write("/x", std::vector<std::int64_t>{8, 3}, std::vector<float>(24, 0.5f));
  own.write("/y", std::vector<std::int64_t>{8}, std::vector<double>(8, 0.25));
  own.close();
  std::vector<std::string> paths, seeds;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const std::string bytes = bytes_of(path);
    for (const char way : {'\x00', '\x09', '\x4a', '\x13'}) seeds.push_back(bytes + way);
  }
  fs::remove_all(folder);
  return seeds;
}
std::vector<std::string> trainer::fuzz_tokens() {
  return {"TREE",
          "HEAP",
          "SNOD",
          "GCOL",
          "OHDR",
          "_FillValue",
          "scale_factor",
          std::string(8, '\xff'),
          "x",
          "y",
          std::string("\x01\0\0\0\0\0\0\0", 8),
          std::string(8, '\0')};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const unsigned way = data[size - 1];
  const ScratchFile file({reinterpret_cast<const char*>(data), size - 1});
  Request request;
  request.data = file.path();
  request.inputs = kInputs[way & 7];
  request.targets = kTargets[way >> 3 & 3];
  request.missing = (way & 32) != 0 ? "mean" : "error";
  request.row_axis = (way & 64) != 0 ? "-1" : "0";
  request.task = (way & 128) != 0 ? "autoencoder" : "";
  look(file.path());
  accepted([&] {
    const Plan plan = hdf5_plan({file.path()}, request, share_alone());
    read_plan(plan, request.missing == "mean");
    const Source& source = plan.splits.front();
    if (source.groups && source.facts.rows <= (1 << 20)) accepted([&] { source.groups("label"); });
  });
  return 0;
}
