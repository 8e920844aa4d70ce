#include "parse.h"

#include <set>
#include <string_view>

#include "trainer/h5/file.h"
#include "user_block.h"

namespace trainer::checkpoint {

namespace {

std::vector<Tensor> read_tensors(const h5::File& file, const std::string& group, bool also_doubles) {
  std::vector<Tensor> tensors;
  for (const h5::DataSet& found : file.data_sets(group)) {
    tensors.push_back({found.path.substr(group.size() + 1), found.shape,
                       also_doubles ? file.read_floats(found.path) : file.read_f32(found.path)});
  }
  return tensors;
}

std::vector<double> read_column(const h5::File& file, const std::string& path) {
  const h5::DataSet found = file.describe(path);
  require(found.shape.size() == 1, ErrorKind::data, file.name(), ": ", path, ": has ", found.shape.size(),
          " axes instead of one");
  return file.read_f64(path);
}

void require_format(const Attributes& root, const std::string& name) {
  const std::string where = name + ": /";
  require(get<std::string>(root, "format", where) == "trainer", ErrorKind::data, name,
          ": is not a checkpoint of trainer; check the path");
  const std::int64_t version = get<std::int64_t>(root, "version", where);
  require(version >= 1, ErrorKind::data, name, ": has version ", version,
          ", which there never was; use an older checkpoint");
  require(version <= kVersion, ErrorKind::data, name, ": has version ", version,
          "; this trainer reads up to version ", kVersion, "; use a newer trainer");
}

std::vector<std::string> history_columns(const h5::File& file) {
  const Attributes attributes = file.attributes("/history");
  const auto& columns = get<std::vector<std::string>>(attributes, "columns", file.name() + ": /history");
  // Asked before they are read: a name repeated without end would fill the memory.
  std::set<std::string_view> met;
  for (const std::string& column : columns)
    require(met.insert(column).second, ErrorKind::data, file.name(), ": /history/", column,
            ": is there twice");
  return columns;
}

// A data set that this version never reads would change a run's result unseen, were it there for a reason.
void require_nothing_else(const h5::File& file) {
  const std::vector<std::string> columns = history_columns(file);
  const std::set<std::string_view> known(columns.begin(), columns.end());
  for (const h5::DataSet& found : file.data_sets("/")) {
    const std::string_view path = found.path;
    const bool tensor =
        path.starts_with("/model/") || path.starts_with("/average/") || path.starts_with("/optimizer/");
    constexpr std::string_view kHistory = "/history/";
    const bool column = path.starts_with(kHistory) && known.contains(path.substr(kHistory.size()));
    require(tensor || column || path.starts_with("/scaling/"), ErrorKind::data, file.name(), ": ", path,
            ": is no part of a checkpoint of version ", kVersion, "; use an older checkpoint");
  }
}

Checkpoint parse_file(const h5::File& file) {
  Checkpoint checkpoint;
  checkpoint.root = file.attributes("/");
  require_format(checkpoint.root, file.name());
  checkpoint.model_attributes = file.attributes("/model");
  checkpoint.model = read_tensors(file, "/model", false);
  if (file.has("/average")) checkpoint.average = read_tensors(file, "/average", false);
  checkpoint.scaling_attributes = file.attributes("/scaling");
  for (const h5::DataSet& found : file.data_sets("/scaling")) {
    checkpoint.scaling.emplace(found.path.substr(std::string("/scaling/").size()),
                               read_column(file, found.path));
  }
  checkpoint.optimizer_attributes = file.attributes("/optimizer");
  checkpoint.optimizer = read_tensors(file, "/optimizer", false);
  checkpoint.progress = file.attributes("/progress");
  for (const std::string& column : history_columns(file))
    checkpoint.history.emplace_back(column, read_column(file, "/history/" + column));
  return checkpoint;
}

}  // namespace

Checkpoint parse(VerifiedImage image) {
  std::string name = image.name();
  const h5::File file = h5::File::open_image(std::move(name), std::move(image).take());
  require_format(file.attributes("/"), file.name());
  require_nothing_else(file);
  return parse_file(file);
}

Checkpoint parse_unverified(const std::filesystem::path& path) {
  return parse_file(h5::File::open_read(path));
}

std::vector<Tensor> parse_unverified_weights(const std::filesystem::path& path) {
  const h5::File file = h5::File::open_read(path);
  require(file.has("/model"), ErrorKind::data, file.name(),
          ": has no group /model; weights are read from data sets such as /model/00_dense/weight");
  std::vector<Tensor> tensors = read_tensors(file, "/model", true);
  require(!tensors.empty(), ErrorKind::data, file.name(), ": there are no data sets under /model");
  return tensors;
}

}  // namespace trainer::checkpoint
