#pragma once

#include <string>

#include "trainer/data/request.h"

namespace trainer::data {

/// DataFacts::encoding of HDF5: the options that say where inputs and targets lie; empty when none was given.
std::string hdf5_encoding(const Request& request);
bool is_hdf5_encoding(const std::string& encoding);
/// Puts the options that `encoding` holds into `request`.
void take_hdf5_encoding(const std::string& encoding, Request& request);

}  // namespace trainer::data
