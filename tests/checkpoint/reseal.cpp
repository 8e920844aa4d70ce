// For tests of files that are whole but wrong:
//   reseal FILE             makes size and digest in the first block right again after h5py changed the file
//   reseal --weights FILE   prints the `weights` digest of what is under /model
#include "reseal.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/h5/file.h"

namespace trainer::checkpoint {

namespace {

void print_weights(const std::string& path) {
  const h5::File file = h5::File::open_read(path);
  std::vector<Tensor> tensors;
  for (const h5::DataSet& found : file.data_sets("/model"))
    tensors.push_back({found.path.substr(7), found.shape, file.read_f32(found.path)});
  std::puts(weights_digest(tensors).c_str());
}

void reseal_file(const std::string& path) {
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  require(bytes.size() > kUserBlockBytes, ErrorKind::usage, path, ": is too short");
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  reseal(bytes);
  file.seekp(0);
  file.write(reinterpret_cast<const char*>(bytes.data()), kUserBlockBytes);
  require(file.good(), ErrorKind::data, path, ": cannot be read or written");
}

}  // namespace

}  // namespace trainer::checkpoint

int main(int count, char** words) {
  try {
    if (count == 3 && std::string(words[1]) == "--weights") {
      trainer::checkpoint::print_weights(words[2]);
    } else {
      trainer::require(count == 2, trainer::ErrorKind::usage, "usage: reseal [--weights] FILE");
      trainer::checkpoint::reseal_file(words[1]);
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "reseal: %s\n", error.what());
    return 1;
  }
}
