#pragma once

#include <string>

namespace trainer::nn {

/// The oneDNN library that runs: "2.6.3".
std::string onednn_version();
/// The instruction set that oneDNN uses on this machine, after its limit ONEDNN_MAX_CPU_ISA:
/// "AVX512_CORE_BF16".
std::string onednn_isa();
/// Whether products in bf16 are computed by instructions for bf16 here, after the same limit; oneDNN would
/// emulate them otherwise.
bool has_bf16();

}  // namespace trainer::nn
