#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/data/data_set.h"
#include "trainer/data/request.h"

namespace trainer::data {

/// What `--data` names.
struct OpenedData {
  std::unique_ptr<const DataSet> train;
  std::unique_ptr<const DataSet> test;        ///< null when there is no test split
  std::unique_ptr<const DataSet> validation;  ///< of --validation PATH, else null
  std::vector<std::string> notes;             ///< lines for the start of a run: what was taken and why
  std::vector<std::int64_t> files;            ///< first training row of each file, ascending from 0
  /// The group of every training row by a data set or column; empty where the format has none.
  std::function<std::vector<std::int64_t>(const std::string& path)> groups;
};

/// Memory that data may take on a node.
struct MemoryLimit {
  std::int64_t bytes = 0;
  std::string text;  ///< as asked for, for messages
};

/// Reads `--memory-limit`: `60 %` of what this node (or the process's cgroup) has, `8G`, `500 MiB`. The least
/// over all ranks; **collective**. Throws Error(usage).
MemoryLimit memory_limit(const comm::Communicator& world, const std::string& option);

/// Opens data as `request` asks: `fashion-mnist`, `mnist` (looked for in $TRAINER_DATA/<name>,
/// datasets/<name>, /usr/share/datasets/<name>), a folder of IDX files (train-images*, train-labels*,
/// optional t10k-images* and t10k-labels*, each plain or .gz), HDF5 or CSV files (a path, a glob, a folder, a
/// .list), or `generate:NAME(...)` (generate.h). An autoencoder has no targets: labels are neither needed nor
/// looked at.
/// **Collective** over `world`; `node` holds the ranks of this node (Communicator::node()). Up to three
/// quarters of `limit`, the rows are in memory once per node; beyond, they stay in their files, and what
/// results is the same. `--test` and `--validation` may name files of their own (`request.test`,
/// `request.validation`). Must be destroyed before MPI is finalised, and before the communicators. Throws, on
/// all ranks alike: Error(data) for what is missing, malformed, truncated, or not finite (naming rank and
/// host when only some ranks are hit), Error(usage) for a bad spec or a task that does not fit,
/// Error(communication) when ranks see different data.
OpenedData open_data(const comm::Communicator& world, const comm::Communicator& node, const Request& request,
                     const MemoryLimit& limit);

class EpochOrder;

/// **Collective** over `world`. A line for the start of a run on data that stay in their files, when a node
/// has no room for windows that its ranks share and each of them reads its own; else empty.
std::string windows_note(const comm::Communicator& world, const comm::Communicator& node, const DataSet& data,
                         const EpochOrder& order, std::int64_t batch);

/// Throws Error(usage) when `out`, a file to be written, is one of the files that `specs` name (as --data
/// takes them; empty ones are left out). Not collective.
void require_no_data_file(const std::string& out, const std::vector<std::string>& specs);

/// Whether a text that may be something else (a fraction, a keyword) is meant to name files: it has a slash,
/// a `*`, or the ending of a data file.
bool names_files(const std::string& text);

/// What open_data would find.
struct PeekedData {
  DataFacts train;  ///< without a fingerprint
  std::optional<DataFacts> test;
  std::vector<std::string> notes;
};

/// The facts of data for a look without MPI (data describe): files are found and their headers checked as by
/// open_data and labels are read, but no inputs. Not collective. Throws as open_data does.
PeekedData peek_data(const Request& request);

}  // namespace trainer::data
