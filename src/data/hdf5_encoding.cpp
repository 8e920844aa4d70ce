#include "hdf5_encoding.h"

#include <sstream>
#include <string_view>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::string_view kHead = "hdf5\n";

}  // namespace

std::string hdf5_encoding(const Request& request) {
  if (request.inputs.empty() && request.targets.empty() && request.row_axis == "0") return "";
  return text(kHead, request.inputs, "\n", request.targets, "\n", request.row_axis);
}

bool is_hdf5_encoding(const std::string& encoding) { return encoding.starts_with(kHead); }

void take_hdf5_encoding(const std::string& encoding, Request& request) {
  std::istringstream lines(encoding.substr(kHead.size()));
  std::getline(lines, request.inputs);
  std::getline(lines, request.targets);
  std::getline(lines, request.row_axis);
}

}  // namespace trainer::data
