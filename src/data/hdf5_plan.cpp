#include "hdf5_plan.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "files.h"
#include "hdf5_look.h"
#include "hdf5_names.h"
#include "hdf5_reader.h"
#include "hdf5_targets.h"
#include "missing.h"
#include "trainer/core/digest.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostFeatures = std::int64_t{1} << 31;

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

/// The files of the targets: those of the inputs unless --targets-data says others.
std::vector<std::string> targets_paths(const std::vector<std::string>& paths, const Request& request,
                                       const ShareWork& share) {
  if (request.targets_data.empty()) return paths;
  std::vector<std::string> found = files_of("--targets-data", request.targets_data, share);
  require(found.size() == paths.size(), ErrorKind::data, "--targets-data: ", request.targets_data, " names ",
          found.size(), " files, but --data names ", paths.size(),
          "; each file of inputs needs one of targets, in the same order");
  return found;
}

Hdf5Rows rows_of(const std::vector<std::string>& paths, const std::vector<std::string>& of_targets,
                 const std::string& inputs, const std::string& targets, const Request& request) {
  Hdf5Rows rows;
  rows.inputs = {"--inputs", paths, parse_hdf5_selections("--inputs", inputs)};
  rows.targets.option = "--targets";
  if (!targets.empty()) rows.targets = {"--targets", of_targets, parse_hdf5_selections("--targets", targets)};
  rows.row_axes = parse_row_axes(request.row_axis);
  rows.missing_inputs = {request.missing != "error", missing_remedy(request, false)};
  rows.missing_targets = {request.missing == "drop", missing_remedy(request, true)};
  rows.links = request.follow_links ? h5::Links::anywhere : h5::Links::inside;
  return rows;
}

/// Of the inputs; "uint8" alone means that rows are bytes.
std::string element_type(const std::vector<Hdf5Part>& inputs) {
  const std::string& type = inputs.front().type;
  if (type == "uint8") return inputs.size() == 1 && inputs.front().is_plain ? type : "float32";
  const bool all_alike =
      std::ranges::all_of(inputs, [&type](const Hdf5Part& part) { return part.type == type; });
  return all_alike ? type : "float32";
}

std::int64_t features_of(const std::vector<Hdf5Part>& inputs) {
  std::int64_t features = 0;
  for (const Hdf5Part& part : inputs) {
    require(part.kind != h5::TableKind::text, ErrorKind::data, "--inputs: ", part.path,
            " holds texts; inputs are numbers");
    features += part.columns;
    require(features <= kMostFeatures, ErrorKind::data, "--inputs: more than ", kMostFeatures,
            " values a row");
  }
  return features;
}

DataFacts facts_of(const Hdf5Look& look, const Hdf5Targets& targets, const std::string& name) {
  const std::vector<Hdf5Part>& inputs = look.parts.inputs;
  DataFacts facts;
  facts.name = name;
  facts.rows = look.firsts.back();
  facts.features = features_of(inputs);
  facts.feature_shape =
      inputs.size() == 1 ? inputs.front().row_shape : std::vector<std::int64_t>{facts.features};
  facts.kind = targets.form == Hdf5Form::none     ? TargetKind::none
               : targets.form == Hdf5Form::values ? TargetKind::values
                                                  : TargetKind::classes;
  facts.targets = targets.count;
  facts.class_names = targets.names;
  facts.element_type = element_type(inputs);
  return facts;
}

std::string identity_of(const Hdf5Rows& rows) {
  std::string out;
  for (const Hdf5Side* side : {&rows.inputs, &rows.targets}) {
    for (const Hdf5Selection& selection : side->selections) out += selection.written + '\n';
    for (const std::string& path : side->paths) out += file_name(path) + '\n';
  }
  return out;
}

/// What was found, as all ranks have it from the tasks.
std::string visible_of(const Hdf5Rows& rows, const Hdf5Look& look) {
  const std::string identity = identity_of(rows);
  return text(rows.inputs.paths.size(), " files, ", look.firsts.back(), " rows, names ", digest_of(identity),
              ", rows of files ", digest_of(look.firsts.data(), look.firsts.size() * sizeof(look.firsts[0])),
              '\n');
}

Source source_of(const Hdf5Rows& rows, const Hdf5Look& look, const Hdf5Targets& targets,
                 const std::string& name) {
  Source source;
  source.facts = facts_of(look, targets, name);
  source.identity = identity_of(rows);
  source.any_rows = true;
  source.pieces = look.pieces;
  if (rows.inputs.paths.size() > 1) source.files.assign(look.firsts.begin(), look.firsts.end() - 1);
  const auto reader = std::make_shared<Hdf5Reader>(rows, look, targets);
  source.read = [reader](Range range, const RowStore& store) { reader->read(range, store); };
  source.place = [files = rows.inputs.paths, firsts = look.firsts](std::int64_t row) {
    const auto file = std::upper_bound(firsts.begin(), firsts.end(), row) - firsts.begin() - 1;
    return text(files[static_cast<std::size_t>(file)], ": row ",
                row - firsts[static_cast<std::size_t>(file)]);
  };
  source.groups = [reader](const std::string& path) { return reader->groups(path); };
  return source;
}

std::string name_of(const std::vector<std::string>& paths, const Request& request) {
  if (paths.size() == 1) return file_name(paths[0]);
  const std::string last = file_name(request.data);
  return last.empty() ? file_name(paths[0]) : last;
}

void require_fitting_test(const Hdf5Look& train, const Hdf5Look& test, const Hdf5Names& names) {
  const auto alike = [](const std::vector<Hdf5Part>& a, const std::vector<Hdf5Part>& b) {
    return std::ranges::equal(a, b, [](const Hdf5Part& x, const Hdf5Part& y) {
      return x.kind == y.kind && x.type == y.type && x.is_plain == y.is_plain && x.row_shape == y.row_shape;
    });
  };
  require(alike(train.parts.inputs, test.parts.inputs) && alike(train.parts.targets, test.parts.targets),
          ErrorKind::data, "--data: the rows of ", names.test_inputs, " and ", names.test_targets,
          " differ in shape or type from those of ", names.inputs, " and ", names.targets);
}

}  // namespace

bool is_hdf5(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  for (const char* known : {".h5", ".hdf5", ".hdf", ".he5", ".nc", ".nc4"}) {
    if (extension == known) return true;
  }
  constexpr std::array<char, 8> kSignature{'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  std::ifstream file(path, std::ios::binary);
  for (const int offset : {0, 512, 1024, 2048}) {  // behind a user block
    std::array<char, 8> found{};
    file.seekg(offset);
    file.read(found.data(), found.size());
    if (!file) return false;
    if (found == kSignature) return true;
  }
  return false;
}

Plan hdf5_plan(const std::vector<std::string>& paths, const Request& request, const ShareWork& share) {
  require(!paths.empty(), ErrorKind::data, "--data: ", request.data, " names no files");
  require(request.missing == "error" || request.missing == "drop" || request.missing == "mean",
          ErrorKind::usage, "--missing: '", request.missing, "' is not known; expected error, drop or mean");
  // Before a file is opened: what is written badly is the same error everywhere.
  if (!request.inputs.empty()) parse_hdf5_selections("--inputs", request.inputs);
  if (!request.targets.empty()) parse_hdf5_selections("--targets", request.targets);
  parse_row_axes(request.row_axis);

  Plan plan;
  plan.task = task_of(request.task);
  plan.origin = request.data;
  const bool with_targets = plan.task != Task::autoencoder && !request.without_targets;
  const std::vector<std::string> of_targets = with_targets ? targets_paths(paths, request, share) : paths;
  const Hdf5Names names = find_hdf5_names(paths[0], of_targets[0], request, with_targets, share);

  std::vector<Hdf5Rows> splits{rows_of(paths, of_targets, names.inputs, names.targets, request)};
  if (!names.test_inputs.empty())
    splits.push_back(rows_of(paths, of_targets, names.test_inputs, names.test_targets, request));
  std::vector<Hdf5Look> looks;
  for (const Hdf5Rows& rows : splits) {
    looks.push_back(look_at(rows, share));
    plan.visible += visible_of(rows, looks.back());
  }
  if (looks.size() > 1) require_fitting_test(looks[0], looks[1], names);
  features_of(looks[0].parts.inputs);  // before the targets are read

  const Hdf5Targets targets = decide_targets(splits, looks[0].parts.targets, plan.task, request, share);
  plan.class_names = targets.form == Hdf5Form::values || targets.form == Hdf5Form::none
                         ? std::vector<std::string>{}
                     : targets.names.empty() ? request.class_names
                                             : targets.names;
  for (std::size_t i = 0; i < splits.size(); ++i)
    plan.splits.push_back(source_of(splits[i], looks[i], targets, name_of(paths, request)));
  if (request.missing == "drop")
    for (Source& source : plan.splits) source = without_missing(std::move(source), share, plan.origin);
  return plan;
}

}  // namespace trainer::data
