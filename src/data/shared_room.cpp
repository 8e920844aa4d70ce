#include "shared_room.h"

#include <cmath>
#include <cstdio>

#include "trainer/comm/host.h"
#include "trainer/comm/shared_array.h"
#include "trainer/core/error.h"
#include "trainer/data/open.h"
#include "window_reader.h"

namespace trainer::data {
namespace {

std::string mebibytes(std::int64_t bytes) {
  return text(std::llround(static_cast<double>(bytes) / (1 << 20)), " MiB");
}

}  // namespace

std::string shared_room_note(const comm::Communicator& world, const comm::Communicator& node,
                             std::int64_t bytes, const std::string& what, const std::string& costs,
                             bool shares) {
  std::string mine;
  if (node.size() > 1 && node.rank() == 0) {
    const comm::SharedRoom room = comm::shared_room();
    if (!shares || room.bytes < bytes)
      mine =
          text("note: ", room.folder, " of ", comm::host_name(), " has room for ", mebibytes(room.bytes),
               ", and ", what, " need ", mebibytes(bytes), ": each of its ", node.size(),
               " ranks holds them by itself, ", mebibytes(bytes * node.size()), " in all", costs,
               "; give it more room (docker run --shm-size), ", "or start fewer ranks with more --threads");
  }
  for (std::string& line : world.all_gather(mine))
    if (!line.empty()) return std::move(line);
  return "";
}

std::string windows_note(const comm::Communicator& world, const comm::Communicator& node, const DataSet& data,
                         const EpochOrder& order, std::int64_t batch) {
  if (data.has_all_rows() || !order.has_windows()) return "";
  const std::int64_t windows = WindowReader::windows_for(order, batch);
  const std::int64_t bytes = WindowReader::memory_bytes(windows, order.window_blocks(), data.facts());
  return shared_room_note(world, node, bytes, text("the ", windows, " windows of rows (--shuffle chunks)"),
                          ", and reads all rows, not a part of them");
}

}  // namespace trainer::data
