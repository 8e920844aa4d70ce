#include "memory.h"

#include <cmath>
#include <map>

#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::data {

std::int64_t memory_bytes(const std::string& option, const std::string& value) {
  static const std::map<std::string, double> units{{"", 1},
                                                   {"B", 1},
                                                   {"K", 1024.0},
                                                   {"KB", 1e3},
                                                   {"KiB", 1024.0},
                                                   {"M", 1048576.0},
                                                   {"MB", 1e6},
                                                   {"MiB", 1048576.0},
                                                   {"G", 1073741824.0},
                                                   {"GB", 1e9},
                                                   {"GiB", 1073741824.0},
                                                   {"T", 1099511627776.0},
                                                   {"TB", 1e12},
                                                   {"TiB", 1099511627776.0}};
  const std::size_t end = value.find_last_of("0123456789.");
  const std::optional<double> number =
      end == std::string::npos ? std::nullopt : parse_number(value.substr(0, end + 1));
  std::string unit = end == std::string::npos ? "" : value.substr(end + 1);
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  const bool is_share = unit == "%";
  require(number && *number > 0 && (is_share ? *number <= 100 : units.contains(unit)), ErrorKind::usage,
          option, " ", value, ": expected memory as in 8G, 500 MiB or `60 %` of what a node has");
  const double bytes = is_share ? static_cast<double>(comm::available_memory_bytes()) * *number / 100
                                : *number * units.at(unit);
  require(bytes >= 1 && bytes < 9e18, ErrorKind::usage, option, " ", value, ": is no amount of memory");
  return static_cast<std::int64_t>(bytes);
}

}  // namespace trainer::data
