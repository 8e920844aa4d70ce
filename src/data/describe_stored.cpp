#include "describe_stored.h"

#include <algorithm>
#include <filesystem>

#include "files.h"
#include "hdf5_layout.h"
#include "hdf5_names.h"
#include "hdf5_plan.h"
#include "hdf5_selection.h"
#include "plan.h"
#include "share_over.h"
#include "trainer/core/error.h"
#include "trainer/data/open.h"

namespace trainer::data {
namespace {

/// The data's files, when there are any of that kind of data.
std::vector<std::string> hdf5_files(const std::string& option, const std::string& spec) {
  std::error_code error;
  const bool may_be_files = names_files(spec) || std::filesystem::exists(spec, error);
  if (!may_be_files) return {};
  try {
    std::vector<std::string> files = files_of(option, spec, share_alone());
    if (is_hdf5(files.front())) return files;
  } catch (const Error&) {  // a folder of another kind; the plan has said what is wrong
  }
  return {};
}

StoredInputs stored(const Hdf5Column& column) {
  const h5::TableFacts& facts = column.table.facts();
  StoredInputs out{.path = facts.path,
                   .shape = facts.shape,
                   .chunk = facts.chunk,
                   .is_compressed = facts.is_filtered,
                   .chunk_bytes = facts.element_bytes,
                   .chunk_rows = column.layout.piece};
  for (const std::int64_t size : facts.chunk) out.chunk_bytes *= size;
  if (!facts.chunk.empty())
    for (const std::size_t axis : column.layout.column_axes)
      out.chunks_a_row *= (facts.shape[axis] + facts.chunk[axis] - 1) / facts.chunk[axis];
  return out;
}

}  // namespace

std::vector<StoredInputs> stored_inputs(const Request& request) {
  const std::vector<std::string> files = hdf5_files("--data", request.data);
  if (files.empty()) return {};
  const bool with_targets = task_of(request.task) != Task::autoencoder;
  const std::string targets = request.targets_data.empty()
                                  ? files.front()
                                  : files_of("--targets-data", request.targets_data, share_alone()).front();
  const Hdf5Names names = find_hdf5_names(files.front(), targets, request, with_targets, share_alone());
  const h5::TableFile file =
      h5::TableFile::open(files.front(), request.follow_links ? h5::Links::anywhere : h5::Links::inside);
  std::vector<StoredInputs> out;
  for (const Hdf5Selection& selection : parse_hdf5_selections("--inputs", names.inputs)) {
    h5::Table table = file.table(selection.path);
    const Hdf5Layout layout = hdf5_layout(table, selection, parse_row_axes(request.row_axis), "--inputs");
    out.push_back(stored({std::move(table), layout}));
  }
  return out;
}

}  // namespace trainer::data
