#include "content_rules.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string_view>

namespace trainer::checkpoint {

namespace {

class Rules {
 public:
  Rules(ErrorKind kind, const std::string& name) : kind_(kind), name_(name) {}

  template <class T>
  void attribute(const Attributes& attributes, const char* group, const char* attribute_name) const {
    const auto found = attributes.find(attribute_name);
    demand(found != attributes.end(), group, ": attribute '", attribute_name, "' is missing");
    demand(std::holds_alternative<T>(found->second), group, ": attribute '", attribute_name,
           "' is of the wrong type");
  }

  // The attribute is there and a whole number; it is at least `least`.
  void count(const Attributes& attributes, const char* group, const char* attribute_name,
             std::int64_t least) const {
    attribute<std::int64_t>(attributes, group, attribute_name);
    const std::int64_t value = std::get<std::int64_t>(attributes.at(attribute_name));
    demand(value >= least, group, ": attribute '", attribute_name, "' is ", value, ", less than ", least);
  }

  void tensors(const std::vector<Tensor>& tensors, const std::string& group) const {
    std::set<std::string_view> paths;
    for (const Tensor& tensor : tensors) {
      demand(is_path(tensor.path), group, ": '", tensor.path, "' is not a name for a data set");
      demand(paths.insert(tensor.path).second, group, '/', tensor.path, ": is there twice");
      const auto expected = elements(tensor.shape);
      demand(expected == static_cast<std::int64_t>(tensor.values.size()), group, '/', tensor.path, ": ",
             tensor.values.size(), " values where the shape asks for ", expected);
    }
  }

  // Means and deviations come in pairs of one length.
  void scaling(const std::map<std::string, std::vector<double>>& scaling) const {
    const auto length = [&](const char* name) {
      const auto found = scaling.find(name);
      return found == scaling.end() ? std::int64_t{-1} : static_cast<std::int64_t>(found->second.size());
    };
    for (const auto& [name, values] : scaling) {
      demand(name == "mean" || name == "deviation" || name == "target_mean" || name == "target_deviation",
             "/scaling: '", name, "' is none of mean, deviation, target_mean and target_deviation");
    }
    for (const auto& [mean, deviation] :
         {std::pair("mean", "deviation"), std::pair("target_mean", "target_deviation")}) {
      demand(length(mean) == length(deviation), "/scaling: ", mean, " has ", size_text(length(mean)), ", ",
             deviation, " has ", size_text(length(deviation)), "; they belong together");
    }
  }

  template <class... Parts>
  void demand(bool condition, const Parts&... parts) const {
    require(condition, kind_, name_, ": ", parts...);
  }

  static bool is_path(std::string_view path) {
    constexpr std::string_view kAllowed =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
    const bool only_allowed = path.find_first_not_of(kAllowed) == std::string_view::npos;
    if (path.empty() || !only_allowed || path.front() == '/' || path.back() == '/' ||
        path.find("//") != std::string_view::npos)
      return false;
    for (std::size_t begin = 0; begin < path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      if (path.find_first_not_of('.', begin) >= end)
        return false;  // "." and ".." would be read as something else
      begin = end + 1;
    }
    return true;
  }

 private:
  static std::string size_text(std::int64_t length) {
    return length < 0 ? "no data set" : text(length, " values");
  }

  // -1 for a shape that no memory holds.
  static std::int64_t elements(const std::vector<std::int64_t>& shape) {
    std::int64_t product = 1;
    for (const std::int64_t n : shape) {
      if (n < 0 || (n > 0 && product > std::numeric_limits<std::int64_t>::max() / 8 / n)) return -1;
      product *= n;
    }
    return product;
  }

  ErrorKind kind_;
  const std::string& name_;
};

// Whether all are finite, in a loop that the compiler vectorises: an exponent of all ones is an infinity or
// not a number.
bool all_finite(const std::vector<float>& values) {
  constexpr std::uint32_t kExponent = 0x7f800000;
  std::uint32_t found = 0;
  for (const float value : values)
    found |= (std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent ? 1u : 0u;
  return found == 0;
}

}  // namespace

void require_whole(const Checkpoint& checkpoint, ErrorKind kind, const std::string& name) {
  const Rules rules(kind, name);
  for (const char* attribute : {"command", "precision", "isa", "arithmetic", "created"}) {
    rules.attribute<std::string>(checkpoint.root, "/", attribute);
  }
  rules.attribute<std::int64_t>(checkpoint.root, "/", "seed");
  for (const char* attribute : {"model", "loss", "task"})
    rules.attribute<std::string>(checkpoint.model_attributes, "/model", attribute);
  for (const char* attribute : {"input_size", "output_size"})
    rules.count(checkpoint.model_attributes, "/model", attribute, 1);
  rules.attribute<std::vector<std::string>>(checkpoint.model_attributes, "/model", "layers");
  rules.attribute<std::string>(checkpoint.optimizer_attributes, "/optimizer", "text");
  rules.count(checkpoint.optimizer_attributes, "/optimizer", "step", 0);
  for (const char* attribute : {"epoch", "step", "row"})
    rules.count(checkpoint.progress, "/progress", attribute, 0);
  rules.tensors(checkpoint.model, "/model");
  rules.tensors(checkpoint.average, "/average");
  rules.tensors(checkpoint.optimizer, "/optimizer");
  rules.scaling(checkpoint.scaling);

  std::set<std::string_view> columns;
  for (const auto& [column, values] : checkpoint.history) {
    rules.demand(Rules::is_path(column) && column.find('/') == std::string::npos, "/history: '", column,
                 "' is not a name for a data set");
    rules.demand(columns.insert(column).second, "/history/", column, ": is there twice");
    rules.demand(values.size() == checkpoint.history.front().second.size(), "/history/", column, ": ",
                 values.size(), " rows where /history/", checkpoint.history.front().first, " has ",
                 checkpoint.history.front().second.size());
  }
}

void require_finite(const std::vector<Tensor>& tensors, const std::string& group, ErrorKind kind,
                    const std::string& name) {
  for (const Tensor& tensor : tensors) {
    if (all_finite(tensor.values)) continue;
    const auto bad = std::ranges::find_if(tensor.values, [](float value) { return !std::isfinite(value); });
    fail(kind, name, ": ", group, '/', tensor.path, ": element ", bad - tensor.values.begin(), " of ",
         tensor.values.size(), " is ", std::isnan(*bad) ? "nan" : "infinite",
         "; such a state is not used, take an earlier checkpoint");
  }
}

void require_finite(const Checkpoint& checkpoint, ErrorKind kind, const std::string& name) {
  require_finite(checkpoint.model, "/model", kind, name);
  require_finite(checkpoint.average, "/average", kind, name);
  require_finite(checkpoint.optimizer, "/optimizer", kind, name);
  for (const auto& [column, values] : checkpoint.scaling) {
    require(std::ranges::all_of(values, [](double value) { return std::isfinite(value); }), kind, name,
            ": /scaling/", column, ": holds a value that is not finite");
  }
}

}  // namespace trainer::checkpoint
