// What lies behind the digest: HDF5 and our reading of what it finds, on any bytes. The digest keeps such
// bytes from it in the program, and HDF5 1.10 is known to crash on some of them: what this finds in HDF5 is
// no defect of the program; what it finds in our own code, a huge allocation, or an error of another kind is.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "content_rules.h"
#include "parse.h"
#include "reseal.h"
#include "trainer/core/error.h"

using namespace trainer;
using namespace trainer::checkpoint;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size <= kUserBlockBytes) return 0;
  const auto file = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(file.begin(), file.end());
  reseal(bytes);
  try {
    const Checkpoint content = parse(VerifiedImage("input", std::move(bytes)));
    require_whole(content, ErrorKind::data, "input");
    require_finite(content, ErrorKind::data, "input");
    weights_digest(content.model);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data || !std::string(error.what()).starts_with("input")) std::abort();
  }
  return 0;
}
