#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "trainer/core/error.h"

/// One parser under attack: must come back with 0, whatever the bytes are. Driven by libFuzzer, or by
/// fuzz_main.cpp.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace trainer {

/// Valid inputs to begin with, and words of the language.
std::vector<std::string> fuzz_seeds();
std::vector<std::string> fuzz_tokens();

/// Whether each message of a refusal is shown.
inline bool fuzz_prints_refusals = false;

/// Runs `work`, which may throw Error about usage or data and nothing else: true when it threw nothing.
template <class Work>
bool accepted(const Work& work) {
  try {
    work();
    return true;
  } catch (const Error& error) {
    if (fuzz_prints_refusals) std::fprintf(stderr, "refused: %s\n", error.what());
    if (error.kind() == ErrorKind::usage || error.kind() == ErrorKind::data) return false;
    std::fprintf(stderr, "an error of kind %d: %s\n", error.exit_code(), error.what());
  }
  std::abort();
}

/// A rule that must hold for what was accepted.
inline void must(bool holds, const char* rule) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", rule);
  std::abort();
}

}  // namespace trainer
