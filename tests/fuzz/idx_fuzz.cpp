// IDX files, plain and compressed. An input is a file; its last byte says what is read.

#include <zlib.h>

#include <cmath>

#include "fuzz_target.h"
#include "scratch_file.h"
#include "trainer/data/idx.h"

using namespace trainer;

namespace {

std::string header(char type, std::initializer_list<unsigned> sizes) {
  std::string out{'\0', '\0', type, static_cast<char>(sizes.size())};
  for (const unsigned size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift);
  return out;
}

std::string zipped(const std::string& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) std::abort();
  std::string out(bytes.size() + 100, '\0');
  std::string in = bytes;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

template <class Value>
void read(const std::string& path) {
  accepted([&] {
    data::IdxFile file(path);
    must(file.elements() > 0, "an IDX file has values");
    if (file.elements() > (1 << 22)) return;
    std::vector<Value> values(static_cast<std::size_t>(file.elements()));
    file.read(values.data());
    for (const Value value : values) must(std::isfinite(static_cast<double>(value)), "values are finite");
  });
}

}  // namespace

std::vector<std::string> trainer::fuzz_seeds() {
  std::vector<std::string> seeds;
  const auto add = [&](const std::string& file, char way) {
    seeds.push_back(file + way);
    seeds.push_back(zipped(file) + way);
  };
  std::string values(5 * 4 * 3 * 8, '\x11');
  add(header(0x08, {5, 4, 3}) + values.substr(0, 60), 0);
  add(header(0x09, {5, 4, 3}) + values.substr(0, 60), 2);
  add(header(0x0B, {5, 4}) + values.substr(0, 40), 1);
  add(header(0x0C, {5}) + values.substr(0, 20), 1);
  add(header(0x0D, {5, 2}) + values.substr(0, 40), 2);
  add(header(0x0E, {5, 2, 2}) + values.substr(0, 160), 2);
  return seeds;
}
std::vector<std::string> trainer::fuzz_tokens() {
  return {std::string("\0\0\x08\x03", 4), std::string("\0\0\x0d\x01", 4), "\x1f\x8b\x08", "\xff\xff\xff\xff",
          "\x7f\xc0\x00\x01"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ScratchFile file({reinterpret_cast<const char*>(data), size - 1});
  switch (data[size - 1] % 3) {
    case 0:
      read<std::uint8_t>(file.path());
      break;
    case 1:
      read<std::int32_t>(file.path());
      break;
    default:
      read<float>(file.path());
      break;
  }
  return 0;
}
