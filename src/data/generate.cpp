#include "trainer/data/generate.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "recipes.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kMostRows = 1'000'000'000'000;
constexpr std::int64_t kMostColumns = 1'000'000;
constexpr std::int64_t kMostWeights = 1 << 28;

struct Family {
  RecipePointer (*make)(ArgumentReader&, std::uint64_t seed);
  std::int64_t rows = 1000;  ///< by default
  double noise = 0;          ///< by default
};

RecipePointer make_blobs(ArgumentReader& arguments, std::uint64_t seed) {
  const std::int64_t features = arguments.integer("features", 1, kMostColumns, 2);
  const std::int64_t classes = arguments.integer("classes", 2, kMostColumns, 3);
  require(features * classes <= kMostWeights, ErrorKind::usage,
          "--data: blobs: features * classes = ", features * classes, " is above the limit of ",
          kMostWeights);
  return blobs_recipe(features, classes, seed);
}

RecipePointer make_teacher(ArgumentReader& arguments, std::uint64_t seed) {
  const std::int64_t features = arguments.integer("features", 1, kMostColumns, 16);
  const std::int64_t hidden = arguments.integer("hidden", 1, kMostColumns, 32);
  const std::int64_t outputs = arguments.integer("outputs", 0, kMostColumns, 0);
  const std::int64_t classes = arguments.integer("classes", 0, kMostColumns, 0);
  require(
      outputs == 0 || classes == 0, ErrorKind::usage,
      "--data: teacher: outputs= makes a regression and classes= a classification; give only one of them");
  require(classes != 1, ErrorKind::usage,
          "--data: teacher: classes=1 leaves nothing to tell apart; the least is 2");
  const std::int64_t targets = outputs > 0 ? outputs : classes > 0 ? classes : 10;
  require(hidden * std::max(features, targets) <= kMostWeights, ErrorKind::usage,
          "--data: teacher: a layer of ", hidden * std::max(features, targets),
          " weights is above the limit of ", kMostWeights);
  return teacher_recipe(features, hidden, outputs > 0 ? TargetKind::values : TargetKind::classes, targets,
                        seed);
}

const std::map<std::string, Family>& families() {
  static const std::map<std::string, Family> table{
      {"circle", {[](ArgumentReader&, std::uint64_t) { return circle_recipe(); }}},
      {"xor", {[](ArgumentReader&, std::uint64_t) { return xor_recipe(); }}},
      {"gauss", {[](ArgumentReader&, std::uint64_t) { return gauss_recipe(); }, 1000, 1.0}},
      {"spiral", {[](ArgumentReader& arguments, std::uint64_t) {
         return spiral_recipe(arguments.integer("classes", 2, 1000, 2));
       }}},
      {"plane", {[](ArgumentReader&, std::uint64_t) { return plane_recipe(); }}},
      {"gaussian", {[](ArgumentReader&, std::uint64_t) { return gaussian_recipe(); }}},
      {"sine", {[](ArgumentReader&, std::uint64_t) { return sine_recipe(); }}},
      {"blobs", {make_blobs, 1000, 1.0}},
      {"teacher", {make_teacher}},
      {"table",
       {[](ArgumentReader& arguments, std::uint64_t) {
          return table_recipe(arguments.word("operation", {"xor", "and", "or"}));
        },
        4}},
  };
  return table;
}

const Term& only_term(const ParsedText& text) {
  if (text.sequence().empty()) text.fail_at(0, "expected the name of a made-up data set, such as circle");
  if (text.sequence().size() > 1) text.fail_at(text.sequence()[1].offset, "expected only one name");
  return text.sequence().front();
}

const Family& family_of(const ParsedText& text, const Term& term) {
  const auto found = families().find(term.name);
  if (found != families().end()) return found->second;
  std::vector<std::string> names;
  std::string list;
  for (const auto& [name, family] : families()) {
    names.push_back(name);
    list += (list.empty() ? "" : ", ") + name;
  }
  const std::string near = nearest_name(term.name, names);
  text.fail_at(term.offset, near.empty() ? "'" + term.name + "' is not known; expected one of " + list
                                         : "'" + term.name + "' is not known; did you mean " + near + "?");
}

}  // namespace

Generator::Generator(const std::string& source) {
  const ParsedText text("--data generate", source);
  const Term& term = only_term(text);
  const Family& family = family_of(text, term);
  name_ = term.name;
  ArgumentReader arguments(text, term);
  // The table's own argument comes first when it is positional.
  seed_ = 0;
  if (name_ == "table") recipe_ = family.make(arguments, seed_);
  rows_ = arguments.integer("rows", 1, kMostRows, family.rows);
  noise_ = arguments.number("noise", 0, 1e6, family.noise);
  seed_ = static_cast<std::uint64_t>(arguments.integer("seed", 0, INT64_MAX, 0));
  if (recipe_ == nullptr) recipe_ = family.make(arguments, seed_);
  arguments.finish();
}

std::int64_t Generator::features() const { return recipe_->features; }
TargetKind Generator::kind() const { return recipe_->kind; }
std::int64_t Generator::targets() const { return recipe_->targets; }

void Generator::fill(std::int64_t begin, std::int64_t count, float* inputs, std::int32_t* classes,
                     float* values) const {
  const std::int64_t columns = features();
  const bool regression = kind() == TargetKind::values;
  std::vector<double> x(static_cast<std::size_t>(columns));
  std::vector<double> y(static_cast<std::size_t>(targets()));
  for (std::int64_t i = 0; i < count; ++i) {
    RandomStream draws(RandomKey(seed_, Purpose::generate), static_cast<std::uint64_t>(begin + i));
    recipe_->make(begin + i, draws, x.data(), y.data());
    if (noise_ > 0) {
      for (double& value : regression ? y : x) value += noise_ * draws.normal();
    }
    if (inputs != nullptr) std::copy(x.begin(), x.end(), inputs + i * columns);
    if (regression) {
      if (values != nullptr) std::copy(y.begin(), y.end(), values + i * targets());
    } else if (classes != nullptr) {
      classes[i] = static_cast<std::int32_t>(y[0]);
    }
  }
}

}  // namespace trainer::data
