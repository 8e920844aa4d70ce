#include "trainer/data/open.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "idx_folder.h"
#include "resident.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/data/generate.h"
#include "trainer/data/idx.h"

namespace trainer::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostGuessedClasses = 1000;
constexpr std::int64_t kMostClasses = 1'000'000;
constexpr const char* kGenerate = "generate:";

/// What is to be read, before any row is.
struct Plan {
  std::vector<Source> splits;            ///< training, then the test split if there is one
  std::string visible;                   ///< what every rank must see alike: files and sizes, without folders
  std::string origin;                    ///< for the notes
  std::vector<std::string> class_names;  ///< when known
};

enum class Task { unsaid, classification, regression };

Task task_of(const std::string& task) {
  if (task.empty()) return Task::unsaid;
  if (task == "classification") return Task::classification;
  if (task == "regression") return Task::regression;
  require(task != "autoencoder", ErrorKind::usage, "--task: autoencoder is not available yet");
  fail(ErrorKind::usage, "--task: '", task, "' is not known; expected classification or regression");
}

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

/// The name that a file and its compressed form share.
std::string plain_name(const std::string& path) {
  std::string name = file_name(path);
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  return name;
}

/// --- IDX
/// -------------------------------------------------------------------------------------------------------------------

struct OpenPair {
  IdxFile images;
  IdxFile labels;
};

bool is_whole(IdxType type) { return type != IdxType::float32 && type != IdxType::float64; }

void check_pair(const OpenPair& pair, Task task) {
  const IdxFile& labels = pair.labels;
  require(pair.images.shape().front() == labels.shape().front(), ErrorKind::data, pair.images.path(),
          " holds ", pair.images.shape().front(), " rows but ", labels.path(), " holds ",
          labels.shape().front(), "; they do not belong together");
  if (task == Task::regression) return;
  require(labels.shape().size() == 1, ErrorKind::data, labels.path(),
          ": class labels must have one dimension, found ", labels.shape().size(),
          "; for targets that are numbers say --task regression");
  require(is_whole(labels.type()), ErrorKind::data, labels.path(), ": holds ", name_of(labels.type()),
          ", which are no class labels; for targets that are numbers say --task regression");
}

DataFacts facts_of(const OpenPair& pair, const std::string& name, Task task) {
  DataFacts facts;
  const std::vector<std::int64_t>& shape = pair.images.shape();
  facts.name = name;
  facts.rows = shape.front();
  facts.feature_shape.assign(shape.begin() + 1, shape.end());
  if (facts.feature_shape.empty()) facts.feature_shape.push_back(1);
  facts.features = pair.images.elements() / facts.rows;
  facts.element_type = name_of(pair.images.type());
  facts.kind = task == Task::regression ? TargetKind::values : TargetKind::classes;
  if (task == Task::regression) facts.targets = pair.labels.elements() / facts.rows;
  return facts;
}

/// What all ranks must see alike of a file.
std::string seen(const IdxFile& file) {
  std::string out = text(file_name(file.path()), ": ", name_of(file.type()));
  for (const std::int64_t size : file.shape()) out += text(" ", size);
  return text(out, ", ", fs::file_size(file.path()), " bytes\n");
}

/// Opens the files, checks what can be checked without reading them through, and keeps them open to be read.
Source idx_source(const IdxPair& paths, const std::string& name, Task task, std::string& visible) {
  auto pair = std::make_shared<OpenPair>(OpenPair{IdxFile(paths.images), IdxFile(paths.labels)});
  check_pair(*pair, task);
  visible += seen(pair->images) + seen(pair->labels);
  Source source;
  source.facts = facts_of(*pair, name, task);
  source.identity = plain_name(paths.images) + "\n" + plain_name(paths.labels);
  source.fill = [pair](const RowStore& store) {
    if (store.classes != nullptr) {
      pair->labels.read(store.classes);
    } else {
      pair->labels.read(store.values);
    }
    if (store.bytes != nullptr) {
      pair->images.read(store.bytes);
    } else {
      pair->images.read(store.floats);
    }
  };
  return source;
}

Plan idx_plan(const IdxFolder& folder, const std::string& name, Task task) {
  Plan plan;
  plan.origin = folder.folder;
  plan.class_names = class_names_of(name);
  plan.splits.push_back(idx_source(folder.train, name, task, plan.visible));
  if (!folder.test) return plan;
  plan.splits.push_back(idx_source(*folder.test, name, task, plan.visible));
  const DataFacts& train = plan.splits[0].facts;
  const DataFacts& test = plan.splits[1].facts;
  require(train.feature_shape == test.feature_shape && train.element_type == test.element_type &&
              train.targets == test.targets,
          ErrorKind::data, folder.test->images, ": its rows differ in shape or type from those of ",
          folder.train.images);
  return plan;
}

/// --- generate:
/// -------------------------------------------------------------------------------------------------------------

Plan generated_plan(const std::string& spec, Task task) {
  auto generator = std::make_shared<Generator>(spec.substr(std::string(kGenerate).size()));
  const bool classes = generator->kind() == TargetKind::classes;
  require(classes || task != Task::classification, ErrorKind::usage,
          "--task: classification does not fit --data ", spec, ", whose targets are numbers");
  require(!classes || task != Task::regression, ErrorKind::usage, "--task: regression does not fit --data ",
          spec, ", whose targets are classes");
  Source source;
  source.facts = {.name = kGenerate + generator->name(),
                  .rows = generator->rows(),
                  .features = generator->features(),
                  .feature_shape = {generator->features()},
                  .kind = generator->kind(),
                  .targets = generator->targets(),
                  .class_names = {},
                  .element_type = "float32",
                  .fingerprint = ""};
  source.identity = source.facts.name;
  source.fill = [generator](const RowStore& store) {
    generator->fill(0, generator->rows(), store.floats, store.classes, store.values);
  };
  Plan plan;
  plan.origin = spec;
  plan.splits.push_back(std::move(source));
  return plan;
}

/// ---------------------------------------------------------------------------------------------------------------------------

Plan folder_plan(const std::string& spec, Task task) {
  std::error_code error;
  const fs::file_status status = fs::status(spec, error);
  if (!fs::exists(status)) {
    const std::string near = nearest_name(spec, built_in_names());
    fail(ErrorKind::data, "--data: ", fs::absolute(spec).string(), " does not exist, and '", spec,
         "' is no built-in name ",
         near.empty() ? "(fashion-mnist, mnist, generate:NAME)" : "(did you mean " + near + "?)");
  }
  require(fs::is_directory(status), ErrorKind::data, "--data: ", spec,
          " is not a folder; only folders of IDX files can be read so far");
  const std::optional<IdxFolder> folder = find_idx_files(spec);
  require(folder.has_value(), ErrorKind::data, "--data: ", fs::absolute(spec).string(),
          " holds no train-images-idx3-ubyte[.gz] and train-labels-idx1-ubyte[.gz]");
  fs::path path = fs::absolute(spec).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();  // written with a slash at its end
  return idx_plan(*folder, path.filename().string(), task);
}

Plan plan_of(const std::string& spec, Task task) {
  if (spec.starts_with(kGenerate)) return generated_plan(spec, task);
  const auto& names = built_in_names();
  if (std::find(names.begin(), names.end(), spec) != names.end())
    return idx_plan(find_built_in(spec), spec, task);
  require(!spec.empty(), ErrorKind::usage,
          "--data: is empty; expected fashion-mnist, mnist, a folder or generate:NAME");
  return folder_plan(spec, task);
}

/// Least and greatest class of a split.
std::pair<std::int32_t, std::int32_t> bounds(const ResidentData& split) {
  const auto [least, greatest] = std::minmax_element(split.classes().begin(), split.classes().end());
  return {*least, *greatest};
}

/// How many classes the labels of all splits speak of.
std::int64_t count_classes(const std::vector<ResidentData*>& splits, Task task) {
  std::int64_t count = 0;
  for (const ResidentData* split : splits) {
    const auto [least, greatest] = bounds(*split);
    require(least >= 0, ErrorKind::data, "--data: ", split->facts().name, " has the label ", least,
            "; classes are counted from 0 (for targets that are numbers say --task regression)");
    count = std::max<std::int64_t>(count, std::int64_t{greatest} + 1);
  }
  require(count <= kMostClasses, ErrorKind::data, "--data: a label of ", count - 1, " would mean ", count,
          " classes; the limit is ", kMostClasses);
  require(count <= kMostGuessedClasses || task == Task::classification, ErrorKind::data,
          "--data: labels up to ", count - 1,
          " may be classes or numbers; say --task classification or --task regression");
  return count;
}

std::string shape_text(const DataFacts& facts) {
  std::string out;
  for (const std::int64_t size : facts.feature_shape) out += text(out.empty() ? "" : " x ", size);
  return out;
}

/// Classes that no training row has.
std::string absent_classes(const ResidentData& train) {
  std::vector<bool> present(static_cast<std::size_t>(train.facts().targets), false);
  for (const std::int32_t c : train.classes()) present[static_cast<std::size_t>(c)] = true;
  std::string out;
  int named = 0;
  for (std::size_t c = 0; c < present.size() && named < 10; ++c) {
    if (present[c]) continue;
    out += text(out.empty() ? "" : ", ", c);
    ++named;
  }
  return out;
}

std::vector<std::string> notes_on(const ResidentData& train, const ResidentData* test,
                                  const std::string& origin, Task task) {
  const DataFacts& facts = train.facts();
  std::vector<std::string> notes;
  const bool classes = facts.kind == TargetKind::classes;
  notes.push_back(text("data: ", facts.name, " from ", origin, ": ", facts.rows, " rows of ",
                       shape_text(facts), " ", facts.element_type,
                       test != nullptr ? text(", ", test->facts().rows, " test rows") : ""));
  notes.push_back(text("task: ", classes ? "classification" : "regression", ", ", facts.targets,
                       classes ? " classes" : " target columns",
                       task == Task::unsaid ? " (from the data; --task says otherwise)" : ""));
  const std::string absent = classes ? absent_classes(train) : "";
  if (!absent.empty()) notes.push_back("note: no training row has class " + absent);
  return notes;
}

}  // namespace

OpenedData open_data(const comm::Communicator& world, const comm::Communicator& node, const std::string& spec,
                     const std::string& task) {
  Plan plan;
  Task asked = Task::unsaid;
  // Every rank opens the files, although one per node will read them: a rank that cannot see them is an error
  // here, by name.
  comm::together(world, [&] {
    asked = task_of(task);
    plan = plan_of(spec, asked);
  });
  comm::require_same(world, "the files of --data", plan.visible);

  std::vector<std::unique_ptr<ResidentData>> splits;
  for (const Source& source : plan.splits)
    splits.push_back(std::make_unique<ResidentData>(world, node, source));
  plan.splits.clear();  // closes the files

  comm::together(world, [&] {
    if (splits[0]->facts().kind != TargetKind::classes) return;
    std::vector<ResidentData*> all;
    for (const auto& split : splits) all.push_back(split.get());
    std::int64_t count = splits[0]->facts().targets;
    if (count == 0) count = count_classes(all, asked);
    if (static_cast<std::int64_t>(plan.class_names.size()) != count) plan.class_names.clear();
    for (ResidentData* split : all) split->set_classes(count, plan.class_names);
  });

  OpenedData opened;
  opened.notes = notes_on(*splits[0], splits.size() > 1 ? splits[1].get() : nullptr, plan.origin, asked);
  opened.train = std::move(splits[0]);
  if (splits.size() > 1) opened.test = std::move(splits[1]);
  return opened;
}

}  // namespace trainer::data
