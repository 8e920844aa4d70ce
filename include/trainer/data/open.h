#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/data/data_set.h"

namespace trainer::data {

/// What `--data` names.
struct OpenedData {
  std::unique_ptr<const DataSet> train;
  std::unique_ptr<const DataSet> test;  ///< null when the data has no test split of its own
  std::vector<std::string> notes;       ///< lines for the start of a run: what was taken and why
};

/// Opens `--data` (`spec`): `fashion-mnist`, `mnist` (looked for in $TRAINER_DATA/<name>, datasets/<name>,
/// /usr/share/datasets/<name>), a folder of IDX files (train-images*, train-labels*, optional t10k-images*
/// and t10k-labels*, each plain or .gz), or `generate:NAME(...)` (generate.h). `task` as in --task; empty:
/// guessed only where it is plain. An autoencoder has no targets: labels are neither needed nor looked at.
/// **Collective** over `world`; `node` holds the ranks of this node (Communicator::node()): the data is in
/// memory once per node, read by one of its ranks, after every rank has seen that it could read the files
/// itself. Must be destroyed before MPI is finalised. Throws, on all ranks alike: Error(data) for what is
/// missing, malformed, truncated, or not finite (naming rank and host when only some ranks are hit),
/// Error(usage) for a bad spec or a task that does not fit, Error(communication) when ranks see different
/// data.
OpenedData open_data(const comm::Communicator& world, const comm::Communicator& node, const std::string& spec,
                     const std::string& task);

/// What open_data would find.
struct PeekedData {
  DataFacts train;  ///< without a fingerprint
  std::optional<DataFacts> test;
  std::vector<std::string> notes;
};

/// The facts of `--data` for a look without MPI (--dry-run, data describe): files are found and their headers
/// checked as by open_data and labels are read, but no inputs. Not collective. Throws as open_data does.
PeekedData peek_data(const std::string& spec, const std::string& task);

}  // namespace trainer::data
