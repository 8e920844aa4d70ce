#pragma once

#include <filesystem>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"
#include "verified_image.h"

namespace trainer::checkpoint {

/// The content of a checkpoint whose bytes are proven, read by HDF5 from memory. Refuses data sets that are
/// no part of a checkpoint. Throws Error(data), as both below.
Checkpoint parse(VerifiedImage image);

/// The content of a file that was changed on purpose after it was written: HDF5 reads what nobody has
/// checked. Takes no notice of data sets that are no part of a checkpoint.
Checkpoint parse_unverified(const std::filesystem::path& path);

/// The tensors under /model of any file: HDF5 reads what nobody has checked.
std::vector<Tensor> parse_unverified_weights(const std::filesystem::path& path);

}  // namespace trainer::checkpoint
