#include "describe_advice.h"

#include <algorithm>
#include <cstdio>

#include "hdf5_encoding.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kLargeChunkBytes = 16 * kMiB;
constexpr std::int64_t kSmallChunkBytes = std::int64_t{16} << 10;
constexpr std::int64_t kManyFiles = 100;
constexpr std::int64_t kTinyFileBytes = kMiB;
constexpr std::int64_t kSlowTextBytes = 256 * kMiB;  ///< decoded
constexpr double kPoorSpread = 1.5;
constexpr std::int64_t kUneven = 10;

std::string quoted(const std::string& word) {
  const bool is_plain = !word.empty() && word.find_first_not_of(
                                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                             "_-./:,=@%+") == std::string::npos;
  if (is_plain) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string size_text(std::int64_t bytes) {
  char out[32];
  const bool small = bytes < kMiB;
  std::snprintf(out, sizeof out, "%.1f %s", static_cast<double>(bytes) / (small ? 1024.0 : 1048576.0),
                small ? "KiB" : "MiB");
  return out;
}

/// On chunks and files: what a copy by convert mends.
std::vector<std::string> on_storage(const Findings& findings) {
  std::vector<std::string> out;
  for (const StoredInputs& set : findings.stored) {
    if (set.chunk.empty()) continue;
    const std::string chunk = text("the ", set.is_compressed ? "compressed " : "", "chunks of ", set.path,
                                   " (", size_text(set.chunk_bytes), ", ", set.chunk_rows, " rows)");
    if (set.chunks_a_row > 1)
      out.push_back(text(chunk, " cut its rows: ", set.chunks_a_row, " of them are read for any row"));
    if (set.is_compressed && set.chunk_bytes > kLargeChunkBytes)
      out.push_back(chunk + " are large: any row of one costs all of it");
    else if (set.chunk_bytes < kSmallChunkBytes && findings.facts->rows > set.chunk_rows)
      out.push_back(chunk + " are small: rows come in many short reads");
  }
  const auto files = static_cast<std::int64_t>(findings.source->files.size());
  const std::int64_t bytes = decoded_bytes(*findings.facts);
  if (files >= kManyFiles && bytes / files < kTinyFileBytes)
    out.push_back(text(files, " files of about ", size_text(bytes / files), " are slow to open"));
  const std::string& encoding = findings.facts->encoding;
  if (!encoding.empty() && !is_hdf5_encoding(encoding) && bytes > kSlowTextBytes)
    out.emplace_back("text is slow to read: every run reads all of it, twice");
  if (!findings.source->any_rows && bytes > kSlowTextBytes)
    out.emplace_back("this format is read whole at every start, and held in memory");
  return out;
}

std::string on_order(const Findings& findings) {
  if (!findings.spread || *findings.spread < kPoorSpread + 4 * findings.spread_noise) return "";
  if (findings.shuffle == "none")
    return "--shuffle none: batches are not alike, rows of one kind lie together; take --shuffle rows";
  return text(
      "--shuffle ", findings.shuffle, ": batches are not alike, rows of one kind lie together and a ",
      "window does not mix them; take more blocks in chunks(window), or --shuffle rows if the rows fit "
      "in memory, or mix the rows once where they are made");
}

std::string on_classes(const Findings& findings) {
  std::int64_t least = 0, greatest = 0;
  for (const std::int64_t count : findings.class_counts) {
    if (count > 0 && (least == 0 || count < least)) least = count;
    greatest = std::max(greatest, count);
  }
  if (least == 0 || greatest / least < kUneven) return "";
  return text("classes are uneven, from ", least, " to ", greatest,
              " rows: try --class-weights balanced, and look at balanced_accuracy (--metrics)");
}

std::string on_targets(const Findings& findings) {
  if (findings.wide_targets.empty()) return "";
  return text("target_", findings.wide_targets.front(),
              findings.wide_targets.size() > 1
                  ? text(" and ", findings.wide_targets.size() - 1, " more targets are")
                  : " is",
              " above 0 and spread over decades: try --scale-targets log, whose loss is about factors");
}

}  // namespace

std::string convert_line(const Request& request) {
  std::string line = "trainer data convert " + quoted(request.data);
  const auto add = [&](const char* option, const std::string& value, const std::string& usual) {
    if (value != usual) line += text(" ", option, " ", quoted(value));
  };
  add("--inputs", request.inputs, "");
  add("--targets", request.targets, "");
  add("--row-axis", request.row_axis, "0");
  add("--targets-data", request.targets_data, "");
  add("--target-columns", request.target_columns, "");
  add("--missing", request.missing, "error");
  add("--task", request.task, "");
  add("--test", request.test, "");
  if (request.follow_links) line += " --follow-links";
  return line + " --out rows.h5";
}

std::vector<std::string> advice_on(const Findings& findings) {
  std::vector<std::string> out = on_storage(findings);
  if (!out.empty()) out.push_back("a copy in one piece is read faster: " + convert_line(*findings.request));
  for (const std::string& one : {on_order(findings), on_classes(findings), on_targets(findings)})
    if (!one.empty()) out.push_back(one);
  return out;
}

}  // namespace trainer::data
