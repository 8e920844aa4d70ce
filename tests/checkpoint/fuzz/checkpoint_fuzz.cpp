// What reads a checkpoint before HDF5 does: the first block, the size, the digest. An input is a whole file.

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "reseal.h"
#include "trainer/core/error.h"
#include "user_block.h"
#include "verified_image.h"

using namespace trainer;
using namespace trainer::checkpoint;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

// Whether `check` passes; what it throws is one line about data.
template <class Check>
bool passes(const Check& check) {
  try {
    check();
    return true;
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char c : message)
      if (static_cast<unsigned char>(c) < 0x20) std::abort();
    if (error.kind() != ErrorKind::data || !message.starts_with("input: ") || message.size() > 300)
      std::abort();
    return false;
  }
}

void check_block(std::span<const std::byte, kUserBlockBytes> block) {
  UserBlock found;
  if (passes([&] { found = parse_user_block(block, "input"); }) &&
      !std::ranges::equal(make_user_block(found), block))
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  if (size >= kUserBlockBytes) check_block(file.first<kUserBlockBytes>());
  if (passes([&] { require_intact(file, "input"); })) {
    std::vector<std::byte> again(file.begin(), file.end());
    reseal(again);
    if (!std::ranges::equal(again, file)) std::abort();  // one block alone is right
  }
  return 0;
}

/// Damage behind the block would end at the digest each time: in part of the inputs size and digest are made
/// right again, or the size alone.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned seed) {
  std::minstd_rand random(seed);
  size = LLVMFuzzerMutate(data, size, most);
  if (size <= kUserBlockBytes) return size;
  const auto file = std::as_writable_bytes(std::span(data, size));
  switch (random() % 4) {
    case 0:
      reseal(file);
      break;
    case 1:
      std::ranges::copy(
          make_user_block({std::string(32, '0'), static_cast<std::int64_t>(size - kUserBlockBytes)}),
          file.begin());
      break;
    default:
      break;
  }
  // And then damage in the first line, from where the interesting bytes are.
  if (random() % 4 == 0) LLVMFuzzerMutate(data, 100, 100);
  return size;
}
