#include "memory_room.h"

#include <algorithm>

#include "trainer/core/error.h"
#include "window_reader.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

std::int64_t mebibytes(std::int64_t bytes) { return (bytes + kMiB - 1) / kMiB; }
std::int64_t mebibytes_to_hold(std::int64_t bytes) { return (bytes + kMiB / 4 * 3 - 1) / (kMiB / 4 * 3); }
std::int64_t mebibytes_for_windows(std::int64_t bytes) { return (bytes + kMiB / 2 - 1) / (kMiB / 2); }

std::int64_t window_bytes(const DataFacts& facts, const EpochOrder& order, std::int64_t batch) {
  return WindowReader::memory_bytes(WindowReader::windows_for(order, batch), order.window_blocks(), facts);
}

/// The --shuffle whose windows fit, the usual one if it does, else that with the largest; "" when none does.
std::string shuffle_that_fits(const DataFacts& facts, const RowSet& rows, std::int64_t batch,
                              std::int64_t most_bytes) {
  const auto fits = [&](const std::string& shuffle) {
    return window_bytes(facts, EpochOrder(0, rows, shuffle, facts.blocks), batch) <= most_bytes;
  };
  if (fits(resolved_shuffle("chunks", facts))) return "chunks";
  // Fewer blocks may ask for more windows, by a batch that lies in many of them: all numbers are tried.
  const std::int64_t most = std::min<std::int64_t>(std::ssize(facts.blocks), most_bytes / kMiB + 1);
  for (std::int64_t blocks = most; blocks > 0; blocks -= std::max<std::int64_t>(1, blocks / 64))
    if (const std::string shuffle = text("chunks(", blocks, ")"); fits(shuffle)) return shuffle;
  return "";
}

}  // namespace

std::int64_t bytes_of_rows(const std::vector<Source>& splits) {
  std::int64_t bytes = 0;
  for (const Source& source : splits) bytes += decoded_bytes(source.facts);
  return bytes;
}

bool holds_rows(const MemoryLimit& limit, std::int64_t bytes) { return bytes <= limit.bytes / 4 * 3; }

std::string limit_to_hold(std::int64_t bytes) { return text(mebibytes_to_hold(bytes), "M"); }

void require_window_room(const DataFacts& facts, const EpochOrder& order, std::int64_t batch,
                         std::int64_t all_bytes, const MemoryLimit& limit) {
  const std::string held =
      text("--memory-limit ", limit.text, ": the rows need ", mebibytes(all_bytes),
           " MiB, and three quarters of the limit, ", limit.bytes / 4 * 3 / kMiB, " MiB, may hold them; ");
  const std::string shuffle = shuffle_that_fits(facts, order.rows(), batch, limit.bytes / 2);
  const std::string smaller = shuffle.empty() ? "" : text(", or take --shuffle \"", shuffle, "\"");
  const std::int64_t to_hold = mebibytes_to_hold(all_bytes);
  require(order.has_windows(), ErrorKind::usage, held,
          "--shuffle rows takes them in any order, which cannot be read from files; say --memory-limit ",
          to_hold, "M or more", smaller);
  const std::int64_t bytes = window_bytes(facts, order, batch);
  require(bytes <= limit.bytes / 2, ErrorKind::usage, held, "read from their files, they need ",
          WindowReader::windows_for(order, batch), " windows of ", order.window_blocks(), " blocks, ",
          mebibytes(bytes), " MiB, in half of the limit; say --memory-limit ",
          std::min(to_hold, mebibytes_for_windows(bytes)), "M or more", smaller);
}

}  // namespace trainer::data
