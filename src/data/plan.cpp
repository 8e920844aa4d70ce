#include "plan.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "csv.h"
#include "files.h"
#include "hdf5_encoding.h"
#include "hdf5_plan.h"
#include "idx_folder.h"
#include "share_over.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/data/generate.h"
#include "trainer/data/idx.h"
#include "trainer/data/open.h"

namespace trainer::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGenerate = "generate:";

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

struct OpenPair {
  IdxFile images;
  std::optional<IdxFile> labels;  ///< none for an autoencoder
};

bool is_whole(IdxType type) { return type != IdxType::float32 && type != IdxType::float64; }

void check_labels(const IdxFile& labels, const IdxFile& images, Task task) {
  require(images.shape().front() == labels.shape().front(), ErrorKind::data, images.path(), " holds ",
          images.shape().front(), " rows but ", labels.path(), " holds ", labels.shape().front(),
          "; they do not belong together");
  if (task == Task::regression) return;
  require(labels.shape().size() == 1, ErrorKind::data, labels.path(),
          ": class labels must have one dimension, found ", labels.shape().size(),
          "; for targets that are numbers say --task regression");
  require(is_whole(labels.type()), ErrorKind::data, labels.path(), ": holds ", name_of(labels.type()),
          ", which are no class labels; for targets that are numbers say --task regression");
}

TargetKind kind_of(Task task) {
  if (task == Task::autoencoder) return TargetKind::none;
  return task == Task::regression ? TargetKind::values : TargetKind::classes;
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
  facts.kind = kind_of(task);
  if (facts.kind == TargetKind::values) facts.targets = pair.labels->elements() / facts.rows;
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
  auto pair = std::make_shared<OpenPair>(OpenPair{IdxFile(paths.images), std::nullopt});
  visible += seen(pair->images);
  Source source;
  source.identity = plain_name(paths.images);
  if (!paths.labels.empty()) {
    pair->labels.emplace(paths.labels);
    check_labels(*pair->labels, pair->images, task);
    visible += seen(*pair->labels);
    source.identity += "\n" + plain_name(paths.labels);
  }
  source.facts = facts_of(*pair, name, task);
  source.read = [pair](Range, const RowStore& store) {
    if (store.classes != nullptr) pair->labels->read(store.classes);
    if (store.values != nullptr) pair->labels->read(store.values);
    if (store.bytes != nullptr) pair->images.read(store.bytes);
    if (store.floats != nullptr) pair->images.read(store.floats);
  };
  return source;
}

Plan idx_plan(const IdxFolder& folder, const std::string& name, Task task) {
  Plan plan;
  plan.origin = folder.folder;
  plan.class_names = class_names_of(name);
  plan.splits.push_back(idx_source(folder.train, name, task, plan.visible));
  plan.paths = {folder.train.images};
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

Plan generated_plan(const std::string& spec, Task task) {
  auto generator = std::make_shared<Generator>(spec.substr(std::string(kGenerate).size()));
  const bool classes = generator->kind() == TargetKind::classes;
  require(classes || task != Task::classification, ErrorKind::usage,
          "--task: classification does not fit --data ", spec, ", whose targets are numbers");
  require(!classes || task != Task::regression, ErrorKind::usage, "--task: regression does not fit --data ",
          spec, ", whose targets are classes");
  const bool reconstructs = task == Task::autoencoder;
  Source source;
  source.facts = {.name = kGenerate + generator->name(),
                  .rows = generator->rows(),
                  .features = generator->features(),
                  .feature_shape = {generator->features()},
                  .kind = reconstructs ? TargetKind::none : generator->kind(),
                  .targets = reconstructs ? 0 : generator->targets(),
                  .class_names = {},
                  .element_type = "float32",
                  .blocks = {},
                  .encoding = "",
                  .fingerprint = ""};
  source.identity = source.facts.name;
  source.any_rows = true;
  source.read = [generator](Range rows, const RowStore& store) {
    generator->fill(rows.begin, rows.size(), store.floats, store.classes, store.values);
  };
  Plan plan;
  plan.origin = spec;
  plan.splits.push_back(std::move(source));
  return plan;
}

Plan idx_folder_plan(const std::string& spec, const IdxFolder& folder, Task task) {
  fs::path path = fs::absolute(spec).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();  // written with a slash at its end
  return idx_plan(folder, path.filename().string(), task);
}

void refuse(const Request& request, const std::string& option, const std::string& value,
            const std::string& format) {
  require(value.empty(), ErrorKind::usage, option, " ", value, ": is for ", format, ", and --data ",
          request.data, " is none; leave the option out");
}

void refuse_file_options(const Request& request) {
  const auto refuse = [&](const std::string& option, const std::string& value) {
    require(value.empty(), ErrorKind::usage, option, " ", value, ": --data ", request.data,
            " has its inputs and targets by its format; leave the option out");
  };
  refuse("--inputs", request.inputs);
  refuse("--targets", request.targets);
  refuse("--targets-data", request.targets_data);
  refuse("--target-columns", request.target_columns);
}

/// What the first rank sees at `spec`: "idx", "" (nothing), or "other".
std::string kind_of_place(const std::string& spec, Task task, const ShareWork& share) {
  return share(1,
               [&](std::int64_t) -> std::string {
                 std::error_code error;
                 const fs::file_status status = fs::status(spec, error);
                 if (!fs::exists(status)) return "";
                 if (!fs::is_directory(status)) return "other";
                 return find_idx_files(spec, kind_of(task) != TargetKind::none) ? "idx" : "other";
               })
      .front();
}

/// Where the options are not given, they are those of the data that the model was trained on.
Request hdf5_request(Request request) {
  if (is_hdf5_encoding(request.encoding) && hdf5_encoding(request).empty())
    take_hdf5_encoding(std::string(request.encoding), request);
  request.encoding.clear();
  return request;
}

Request csv_request(Request request) {
  if (is_hdf5_encoding(request.encoding)) request.encoding.clear();
  return request;
}

/// A file that is listed twice would count twice.
void require_once(const std::vector<std::string>& paths, const ShareWork& share) {
  if (paths.size() < 2) return;
  const auto twice = same_file(paths, {}, share);
  if (!twice) return;
  fail(ErrorKind::usage, "--data: ", twice->first,
       twice->first == twice->second ? " is named twice" : text(" and ", twice->second, " are the same file"),
       ", so its rows would count twice; name it once");
}

Plan place_plan(const Request& request, Task task, const ShareWork& share) {
  const std::string& spec = request.data;
  const std::string kind = kind_of_place(spec, task, share);
  if (kind == "idx") {
    refuse_file_options(request);
    const std::optional<IdxFolder> folder = find_idx_files(spec, kind_of(task) != TargetKind::none);
    require(folder.has_value(), ErrorKind::data, "--data: ", fs::absolute(spec).string(),
            " holds no IDX files here");
    return idx_folder_plan(spec, *folder, task);
  }
  if (kind.empty() && !names_files(spec)) {
    const std::string near = nearest_name(spec, built_in_names());
    fail(ErrorKind::data, "--data: ", fs::absolute(spec).string(), " does not exist, and '", spec,
         "' is no built-in name ",
         near.empty() ? "(fashion-mnist, mnist, generate:NAME)" : "(did you mean " + near + "?)");
  }
  const std::vector<std::string> paths = files_of("--data", spec, share);
  require_once(paths, share);
  if (is_csv(paths.front())) {
    refuse(request, "--targets", request.targets, "HDF5 (--target-columns is for tables)");
    refuse(request, "--targets-data", request.targets_data, "HDF5");
    refuse(request, "--row-axis", request.row_axis == "0" ? "" : request.row_axis, "HDF5");
  }
  if (is_csv(paths.front())) {
    Plan plan = csv_plan(paths, csv_request(request), share);
    plan.paths = paths;
    return plan;
  }
  const bool hdf5 = share(1, [&](std::int64_t) {
                      return std::string(is_hdf5(paths.front()) ? "yes" : "");
                    }).front() == "yes";
  require(hdf5, ErrorKind::data, "--data: ", paths.front(),
          " is neither HDF5 nor CSV: no file of that name or signature");
  refuse(request, "--target-columns", request.target_columns, "CSV (--targets is for HDF5)");
  const Request asked = hdf5_request(request);
  Plan plan = hdf5_plan(paths, asked, share);
  plan.paths = paths;
  for (Source& source : plan.splits) source.facts.encoding = hdf5_encoding(asked);
  return plan;
}

Plan plan_for(const Request& request, Task task, const ShareWork& share) {
  const std::string& spec = request.data;
  const Task wanted = request.without_targets ? Task::autoencoder : task;
  if (spec.starts_with(kGenerate)) {
    refuse_file_options(request);
    return generated_plan(spec, wanted);
  }
  const auto& names = built_in_names();
  if (std::find(names.begin(), names.end(), spec) != names.end()) {
    refuse_file_options(request);
    return idx_plan(find_built_in(spec, kind_of(wanted) != TargetKind::none), spec, wanted);
  }
  require(!spec.empty(), ErrorKind::usage,
          "--data: is empty; expected fashion-mnist, mnist, a folder, files or generate:NAME");
  return place_plan(request, wanted, share);
}

/// Rows that train must not be those that tell how good the training was.
void require_other_files(const std::string& option, const std::string& files, const Plan& training,
                         const Plan& other, const ShareWork& share) {
  if (training.paths.empty() || other.paths.empty()) return;
  const auto both = same_file(training.paths, other.paths, share);
  if (!both) return;
  fail(ErrorKind::usage, option, " ", files, ": ", both->second,
       both->first == both->second ? " is a file of --data, too"
                                   : text(" is the same file as ", both->first, " of --data"),
       ": what is trained on measures nothing; name files that --data does not, or take rows of --data with ",
       "--validation 0.1 or --validation \"files(0.1)\"");
}

}  // namespace

Task task_of(const std::string& task) {
  if (task.empty()) return Task::unsaid;
  if (task == "classification") return Task::classification;
  if (task == "regression") return Task::regression;
  if (task == "autoencoder") return Task::autoencoder;
  fail(ErrorKind::usage, "--task: '", task,
       "' is not known; expected classification, regression or autoencoder");
}

Plan plan_of(const Request& request, const ShareWork& share) {
  const Task asked = task_of(request.task);
  Plan plan = plan_for(request, asked, share);
  plan.task = asked;
  return plan;
}

Plan whole_plan(const comm::Communicator& world, const Request& request, std::vector<SplitRole>& roles) {
  const ShareWork share = share_over(world);
  Plan plan;
  comm::together(world, [&] { plan = plan_of(request, share); });
  roles.assign({SplitRole::train});
  if (plan.splits.size() > 1) roles.push_back(SplitRole::test);
  const auto add = [&](const std::string& option, const std::string& files, SplitRole role) {
    if (files.empty()) return;
    Request other = request;
    other.data = files;
    other.targets_data.clear();
    other.groups.clear();
    if (other.class_names.empty()) other.class_names = plan.class_names;
    if (other.encoding.empty()) other.encoding = plan.splits[0].facts.encoding;
    if (!is_hdf5_encoding(other.encoding)) other.inputs.clear();  // the encoding names the columns
    Plan more;
    comm::together(world, [&] {
      try {
        more = plan_of(other, share);
      } catch (const Error& error) {
        fail(error.kind(), option, " ", files, ": ", error.what());
      }
      if (request.trains) require_other_files(option, files, plan, more, share);
      const DataFacts &a = plan.splits[0].facts, &b = more.splits[0].facts;
      require(a.feature_shape == b.feature_shape && a.kind == b.kind &&
                  (a.kind != TargetKind::values || a.targets == b.targets),
              ErrorKind::data, option, " ", files, ": its rows are ", shape_text(b), " with ", b.targets,
              " targets, those of --data ", request.data, " ", shape_text(a), " with ", a.targets);
    });
    if (role == SplitRole::test && roles.size() > 1) {  // instead of the data's own
      plan.splits.resize(1);
      roles.resize(1);
    }
    plan.splits.push_back(std::move(more.splits[0]));
    plan.visible += more.visible;
    roles.push_back(role);
  };
  add("--test", request.test, SplitRole::test);
  add("--validation", request.validation, SplitRole::validation);
  return plan;
}

}  // namespace trainer::data
