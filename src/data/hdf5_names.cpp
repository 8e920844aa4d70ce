#include "hdf5_names.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "hdf5_selection.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::data {
namespace {

constexpr std::size_t kMostListed = 12;

struct Pair {
  std::string inputs;
  std::string targets;
};

/// Of the training rows, in the order they are looked for.
std::vector<Pair> usual_pairs() {
  const std::vector<Pair> plain{{"inputs", "targets"},
                                {"x", "y"},
                                {"X", "Y"},
                                {"X", "y"},
                                {"data", "label"},
                                {"data", "labels"},
                                {"features", "labels"},
                                {"images", "labels"}};
  std::vector<Pair> all = plain;
  all.insert(all.end(), {{"x_train", "y_train"}, {"X_train", "y_train"}, {"X_train", "Y_train"}});
  for (const Pair& pair : plain) all.push_back({"train/" + pair.inputs, "train/" + pair.targets});
  return all;
}

/// "x_test" for "x_train", "test/x" for "train/x"; empty for other names.
std::string test_name(const std::string& name) {
  if (name.starts_with("train/")) return "test/" + name.substr(6);
  if (name.ends_with("_train")) return name.substr(0, name.size() - 5) + "test";
  return "";
}

std::string without_slash(const std::string& name) { return name.starts_with('/') ? name.substr(1) : name; }

std::string line_of(const h5::TableFacts& facts) {
  std::string shape;
  for (const std::int64_t n : facts.shape) shape += text(shape.empty() ? "" : ", ", n);
  return text("\n  ", without_slash(facts.path), "  ", facts.type, " [", shape, "]");
}

bool has_rows(const h5::TableFacts& facts) {
  return !facts.shape.empty() && facts.kind != h5::TableKind::other;
}

double size_of(const h5::TableFacts& facts) {
  double size = 1;
  for (const std::int64_t n : facts.shape) size *= static_cast<double>(n);
  return size;
}

/// `said`, or else the greatest data set, as inputs and another with as many rows as targets.
std::string line_to_try(const std::vector<h5::TableFacts>& held, bool with_targets, const std::string& said) {
  const h5::TableFacts* inputs = nullptr;
  for (const h5::TableFacts& facts : held) {
    if (has_rows(facts) && facts.kind != h5::TableKind::text &&
        (inputs == nullptr || size_of(facts) > size_of(*inputs)))
      inputs = &facts;
  }
  for (const h5::TableFacts& facts : held)  // unless the user has said which
    if (without_slash(facts.path) == said) inputs = &facts;
  if (inputs == nullptr) return "";
  const std::string begin = text("\ntry: --inputs \"", without_slash(inputs->path), "\"");
  if (!with_targets) return begin;
  const h5::TableFacts* targets = nullptr;
  for (const h5::TableFacts& facts : held) {
    if (&facts != inputs && has_rows(facts) && facts.shape[0] == inputs->shape[0] &&
        (targets == nullptr || size_of(facts) < size_of(*targets)))
      targets = &facts;
  }
  return targets == nullptr ? begin + " --task autoencoder"
                            : text(begin, " --targets \"", without_slash(targets->path), "\"");
}

/// " (did you mean a or b?)": the names of the file that are nearest to one that is not there.
std::string nearest_names(const std::vector<h5::TableFacts>& held, const std::string& wrong) {
  if (wrong.empty()) return "";
  std::vector<std::string> names, found;
  for (const h5::TableFacts& facts : held) names.push_back(without_slash(facts.path));
  for (std::string near; found.size() < 3 && !(near = nearest_name(without_slash(wrong), names)).empty();) {
    found.push_back(near);
    std::erase(names, near);
  }
  std::string list;
  for (const std::string& name : found) list += (list.empty() ? "" : " or ") + name;
  return list.empty() ? "" : text(" (did you mean ", list, "?)");
}

/// What the user has said of the names.
struct Said {
  std::string wrong;   ///< a name that is not there
  std::string inputs;  ///< --inputs
};

[[noreturn]] void fail_listing(const h5::TableFile& file, const std::string& lacking, bool with_targets,
                               const Said& said) {
  std::vector<h5::TableFacts> held = file.list(1000);
  std::string lines;
  for (std::size_t i = 0; i < std::min(held.size(), kMostListed); ++i) lines += line_of(held[i]);
  if (held.size() > kMostListed)
    lines +=
        text("\n  ... and ", held.size() - kMostListed, held.size() == 1000 ? " or more" : "", " others");
  require(!held.empty(), ErrorKind::data, file.name(), ": holds no data sets");
  fail(ErrorKind::usage, lacking, nearest_names(held, said.wrong), "; it holds", lines,
       said.wrong.empty() ? line_to_try(held, with_targets, without_slash(said.inputs)) : "");
}

[[noreturn]] void fail_finding(const h5::TableFile& file, const std::string& option, bool with_targets,
                               const std::string& inputs = "") {
  fail_listing(file,
               text(option, ": ", file.name(),
                    " has none of the usual names (inputs/targets, x/y, data/label, features/labels, "
                    "images/labels, x_train/y_train)"),
               with_targets, {.wrong = "", .inputs = inputs});
}

void require_all(const h5::TableFile& file, const std::string& option, const std::string& names) {
  if (names.empty()) return;
  for (const Hdf5Selection& selection : parse_hdf5_selections(option, names)) {
    if (!file.has(selection.path))
      fail_listing(file, text(option, ": ", file.name(), " has no data set ", selection.path), true,
                   {.wrong = selection.path, .inputs = ""});
  }
}

struct Files {
  h5::TableFile inputs;
  h5::TableFile targets;
  bool with_targets;
  bool has_pair(const Pair& pair) const {
    return inputs.has(pair.inputs) && (!with_targets || targets.has(pair.targets));
  }
};

/// The first usual pair that is there and agrees with what was said.
std::optional<Pair> find_pair(const Files& files, const Request& request) {
  const std::string inputs = without_slash(request.inputs), targets = without_slash(request.targets);
  for (const Pair& pair : usual_pairs()) {
    if ((inputs.empty() || inputs == pair.inputs) &&
        (targets.empty() || !files.with_targets || targets == pair.targets) && files.has_pair(pair))
      return pair;
  }
  return std::nullopt;
}

Hdf5Names with_test(const Files& files, const Pair& pair) {
  Hdf5Names names{pair.inputs, files.with_targets ? pair.targets : "", "", ""};
  const Pair test{test_name(pair.inputs), test_name(pair.targets)};
  if (test.inputs.empty() || !files.has_pair(test)) return names;
  names.test_inputs = test.inputs;
  names.test_targets = files.with_targets ? test.targets : "";
  return names;
}

/// The usual name of one side when the other was said and is none of them.
std::string find_side(const h5::TableFile& file, std::string Pair::*side) {
  for (const Pair& pair : usual_pairs()) {
    if (file.has(pair.*side)) return pair.*side;
  }
  return "";
}

Hdf5Names find_names(const Files& files, const Request& request) {
  require_all(files.inputs, "--inputs", request.inputs);
  if (files.with_targets) require_all(files.targets, "--targets", request.targets);
  if (const std::optional<Pair> pair = find_pair(files, request)) return with_test(files, *pair);
  Hdf5Names names{request.inputs, files.with_targets ? request.targets : "", "", ""};
  if (names.inputs.empty()) {
    const std::vector<h5::TableFacts> held = files.inputs.list(2);
    const bool is_only_one = held.size() == 1 && !files.with_targets && has_rows(held[0]);
    names.inputs = is_only_one               ? held[0].path
                   : request.targets.empty() ? ""
                                             : find_side(files.inputs, &Pair::inputs);
    if (names.inputs.empty()) fail_finding(files.inputs, "--inputs", files.with_targets);
  }
  if (files.with_targets && names.targets.empty()) {
    names.targets = find_side(files.targets, &Pair::targets);
    if (names.targets == without_slash(names.inputs)) names.targets.clear();  // what goes in is no target
    if (names.targets.empty()) fail_finding(files.targets, "--targets", true, names.inputs);
  }
  return names;
}

}  // namespace

Hdf5Names find_hdf5_names(const std::string& path, const std::string& targets_path, const Request& request,
                          bool with_targets, const ShareWork& share) {
  const std::vector<std::string> results = share(1, [&](std::int64_t) {
    const h5::Links links = request.follow_links ? h5::Links::anywhere : h5::Links::inside;
    const h5::TableFile inputs = h5::TableFile::open(path, links);
    const Files files{inputs, path == targets_path ? inputs : h5::TableFile::open(targets_path, links),
                      with_targets};
    const Hdf5Names names = find_names(files, request);
    return text(names.inputs, '\n', names.targets, '\n', names.test_inputs, '\n', names.test_targets, '\n');
  });
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < results.at(0).size();) {
    const std::size_t end = results[0].find('\n', begin);
    lines.push_back(results[0].substr(begin, end - begin));
    begin = end + 1;
  }
  require(lines.size() == 4, ErrorKind::internal, "the names of HDF5 data sets are malformed");
  return {lines[0], lines[1], lines[2], lines[3]};
}

}  // namespace trainer::data
