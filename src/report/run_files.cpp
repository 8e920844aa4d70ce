#include "run_files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "file_system.h"
#include "trainer/core/error.h"
#include "trainer/core/failure.h"
#include "trainer/h5/file.h"
#include "trainer/report/run_report.h"

namespace trainer::report {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostElements = 16'000'000;

bool is_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// The last bytes of a file.
std::string tail_of(const std::string& path) {
  constexpr std::streamoff kBytes = 64 << 10;
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file.tellg();
  if (size <= 0) return "";
  std::string bytes(static_cast<std::size_t>(std::min(size, kBytes)), '\0');
  file.seekg(-static_cast<std::streamoff>(bytes.size()), std::ios::end);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

std::string done_line(const std::string& log) {
  std::istringstream lines(log);
  std::string found;
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("done: ") || line.starts_with("stopped: ")) found = line;
  return found;
}

/// The members of an object as JsonObject writes it that are one word: no lists, no objects.
std::vector<std::pair<std::string, std::string>> plain_members(const std::string& json) {
  std::vector<std::pair<std::string, std::string>> members;
  std::istringstream lines(json);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find("\": ");
    if (!line.starts_with("  \"") || colon == std::string::npos) continue;
    std::string value = line.substr(colon + 3);
    if (value.ends_with(',')) value.pop_back();
    if (value.empty() || value.front() == '[' || value.front() == '{') continue;
    if (value.size() > 1 && value.front() == '"') value = value.substr(1, value.size() - 2);
    members.emplace_back(line.substr(3, colon - 3), value);
  }
  return members;
}

void require_size(const h5::File& file, const std::string& path, const std::vector<std::int64_t>& shape) {
  require(file.describe(path).shape == shape, ErrorKind::data, file.name(), ": ", path,
          " does not have the shape that the others ask for");
}

/// The shape of a data set, which is not larger than a report can show.
std::vector<std::int64_t> bounded_shape(const h5::File& file, const std::string& path, std::size_t axes) {
  const h5::DataSet set = file.describe(path);
  require(set.shape.size() == axes && set.elements > 0 && set.elements <= kMostElements, ErrorKind::data,
          file.name(), ": ", path, " has ", set.shape.size(), " axes and ", set.elements,
          " values; expected ", axes, " axes and 1 to ", kMostElements, " values");
  return set.shape;
}

Examples read_examples(const std::string& path) {
  const h5::File file = h5::File::open_read(path);
  const std::vector<std::int64_t> shape = bounded_shape(file, "/inputs", 2);
  for (const char* name : {"/row", "/target", "/predicted", "/probability", "/loss"})
    require_size(file, name, {shape[0]});
  Examples examples{.features = shape[1],
                    .shape = {},
                    .inputs = file.read_floats("/inputs"),
                    .row = file.read_i64("/row"),
                    .target = file.read_i64("/target"),
                    .predicted = file.read_i64("/predicted"),
                    .probability = file.read_floats("/probability"),
                    .loss = file.read_floats("/loss")};
  const h5::Attributes attributes = file.attributes("/inputs");
  if (attributes.contains("shape"))
    examples.shape = checkpoint::get<std::vector<std::int64_t>>(attributes, "shape", path);
  return examples;
}

void require_ascending(const std::vector<double>& values, const std::string& what) {
  bool good = values.size() > 1;
  for (std::size_t i = 0; i < values.size(); ++i)
    good = good && std::isfinite(values[i]) && (i == 0 || values[i] > values[i - 1]);
  require(good, ErrorKind::data, what, " does not ascend");
}

std::vector<double> as_doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

Surface read_surface(const std::string& path) {
  const h5::File file = h5::File::open_read(path);
  const std::vector<std::int64_t> shape = bounded_shape(file, "/output", 3);
  require_size(file, "/y", {shape[0]});
  require_size(file, "/x", {shape[1]});
  Surface surface{.x = as_doubles(file.read_floats("/x")),
                  .y = as_doubles(file.read_floats("/y")),
                  .outputs = shape[2],
                  .output = file.read_floats("/output"),
                  .points = {},
                  .classes = {}};
  require_ascending(surface.x, path + ": /x");
  require_ascending(surface.y, path + ": /y");
  if (!file.has("/points") || !file.has("/classes")) return surface;
  const std::vector<std::int64_t> points = bounded_shape(file, "/points", 2);
  require_size(file, "/points", {points[0], 2});
  require_size(file, "/classes", {points[0]});
  surface.points = as_doubles(file.read_floats("/points"));
  surface.classes = file.read_i64("/classes");
  return surface;
}

std::vector<double> sorted_places(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

Landscape read_landscape(const std::string& path) {
  const CsvTable table = CsvTable::read(path);
  const std::vector<double> alpha = table.numbers("alpha"), beta = table.numbers("beta"),
                            loss = table.numbers("loss");
  for (const auto* values : {&alpha, &beta})
    require(std::all_of(values->begin(), values->end(), [](double v) { return std::isfinite(v); }),
            ErrorKind::data, path, " holds a place that is no number");
  Landscape landscape{sorted_places(alpha), sorted_places(beta), {}};
  const std::size_t columns = landscape.alpha.size(), rows = landscape.beta.size();
  require(columns > 1 && rows > 1 && columns * rows <= 2 * alpha.size(), ErrorKind::data, path,
          " holds no grid of ", "alpha and beta");
  landscape.loss.assign(columns * rows, NAN);
  const auto place = [](const std::vector<double>& places, double value) {
    return static_cast<std::size_t>(std::lower_bound(places.begin(), places.end(), value) - places.begin());
  };
  for (std::size_t i = 0; i < loss.size(); ++i)
    landscape.loss[place(landscape.beta, beta[i]) * columns + place(landscape.alpha, alpha[i])] = loss[i];
  return landscape;
}

/// Weights of the dense layer that sees the inputs, and the names of the classes.
void read_model(const std::string& path, RunFiles& run) {
  checkpoint::Checkpoint best = checkpoint::read(path);
  const auto names = best.model_attributes.find("class_names");
  if (names != best.model_attributes.end())
    if (const auto* list = std::get_if<std::vector<std::string>>(&names->second)) run.class_names = *list;
  const auto inputs = checkpoint::get<std::int64_t>(best.model_attributes, "input_size", path);
  for (checkpoint::Tensor& tensor : best.model) {
    if (!tensor.path.ends_with("_dense/weight")) continue;
    if (tensor.shape.size() == 2 && tensor.shape[1] == inputs) run.first_weights = std::move(tensor);
    return;
  }
}

}  // namespace

std::string RunFiles::class_name(std::int64_t index) const {
  const bool named = index >= 0 && index < std::ssize(class_names);
  return named ? class_names[static_cast<std::size_t>(index)] : std::to_string(index);
}

std::string text_of(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  return is_file(path) ? read_whole_file(path) : "";
}

void require_run(const std::string& folder) {
  std::error_code ignored;
  require(fs::exists(folder, ignored), ErrorKind::data, "there is no folder ", folder,
          ": `trainer report RUN` takes the folder of a run");
  require(fs::is_directory(folder, ignored), ErrorKind::data, folder,
          " is a file; give the folder of its run");
  for (const char* name : {"status", "config.ini", "metrics.csv", "best.h5"})
    if (is_file(folder + "/" + name)) return;
  fail(ErrorKind::data, folder,
       " holds no run: there is no status, config.ini, metrics.csv or best.h5 in it");
}

RunFiles read_run(const std::string& folder, const std::string& name) {
  require_run(folder);
  RunFiles run;
  run.folder = folder;
  run.name = name;
  const auto take = [&](const char* file, const std::function<void(const std::string&)>& read) {
    const std::string path = folder + "/" + file;
    if (!is_file(path)) return;
    try {
      read(path);
    } catch (...) {
      run.troubles.push_back(failure_of(std::current_exception()).message);
    }
  };
  take("status", [&](const std::string& path) {
    const std::string line = read_whole_file(path);
    run.status = parse_status_line(line.substr(0, line.find('\n')));
  });
  take("result.json", [&](const std::string& path) { run.result = plain_members(read_whole_file(path)); });
  take("log.txt", [&](const std::string& path) { run.done = done_line(tail_of(path)); });
  take("config.ini", [&](const std::string& path) { run.settings = read_whole_file(path); });
  take("environment.txt", [&](const std::string& path) { run.environment = read_whole_file(path); });
  const std::pair<const char*, std::optional<CsvTable> RunFiles::*> tables[] = {
      {"metrics.csv", &RunFiles::metrics},
      {"timing.csv", &RunFiles::timing},
      {"steps.csv", &RunFiles::steps},
      {"gradients.csv", &RunFiles::gradients},
      {"confusion.csv", &RunFiles::confusion}};
  for (const auto& [file, table] : tables)
    take(file, [&](const std::string& path) { run.*table = CsvTable::read(path); });
  take("best.h5", [&](const std::string& path) { read_model(path, run); });
  take("examples.h5", [&](const std::string& path) { run.examples = read_examples(path); });
  take("surface.h5", [&](const std::string& path) { run.surface = read_surface(path); });
  take("landscape.csv", [&](const std::string& path) { run.landscape = read_landscape(path); });
  return run;
}

}  // namespace trainer::report
