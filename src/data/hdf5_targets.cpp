#include "hdf5_targets.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kMostGuessedClasses = 1000;
constexpr std::size_t kMostClasses = 1'000'000;
constexpr std::int64_t kRowsAtOnce = std::int64_t{1} << 16;

/// Files of all splits as one list.
struct Place {
  std::size_t split;
  std::size_t file;
};

std::vector<Place> places_of(const std::vector<Hdf5Rows>& splits) {
  std::vector<Place> places;
  for (std::size_t split = 0; split < splits.size(); ++split) {
    for (std::size_t file = 0; file < splits[split].targets.paths.size(); ++file)
      places.push_back({split, file});
  }
  return places;
}

/// The results of `work(columns, out)` over the targets of each file of `places`, one line or more a file.
std::vector<std::string> survey(const std::vector<Hdf5Rows>& splits, const std::vector<Place>& places,
                                const ShareWork& share,
                                const std::function<std::string(const std::vector<Hdf5Column>&)>& work) {
  const std::vector<Range> batches = runs_of({0, static_cast<std::int64_t>(places.size())}, kFilesPerTask);
  return share(static_cast<std::int64_t>(batches.size()), [&](std::int64_t task) {
    std::string out;
    const Range batch = batches[static_cast<std::size_t>(task)];
    for (std::int64_t i = batch.begin; i < batch.end; ++i) {
      const Place place = places[static_cast<std::size_t>(i)];
      const Hdf5Rows& rows = splits[place.split];
      const h5::TableFile file = h5::TableFile::open(rows.targets.paths[place.file], rows.links);
      out += work(open_side(file, rows.targets, rows));
    }
    return out;
  });
}

/// Least and greatest of a file's integers: "0 9".
std::string integer_range(const std::vector<Hdf5Column>& columns) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max(),
               greatest = std::numeric_limits<std::int64_t>::min();
  for (const Range run : runs_of({0, columns[0].layout.rows}, kRowsAtOnce)) {
    const std::vector<std::int64_t> values = read_integers(columns[0], run);
    const auto [low, high] = std::ranges::minmax(values);
    least = std::min(least, low);
    greatest = std::max(greatest, high);
  }
  return text(least, ' ', greatest, '\n');
}

/// "fraction" when one is found, else nothing.
std::string find_fraction(const std::vector<Hdf5Column>& columns) {
  for (const Hdf5Column& column : columns) {
    if (column.table.facts().kind != h5::TableKind::floating) continue;
    const std::int64_t at_once = std::max<std::int64_t>(1, kRowsAtOnce / column.layout.columns);
    for (const Range run : runs_of({0, column.layout.rows}, at_once)) {
      std::vector<float> values(static_cast<std::size_t>(run.size() * column.layout.columns));
      read_floats(column, run, values.data(), column.layout.columns,
                  {.is_kept = true});  // reading rows tells of missing ones
      if (std::ranges::any_of(values,
                              [](float value) { return value == value && value != std::floor(value); }))
        return "fraction\n";
    }
  }
  return "";
}

void require_name(const std::string& name, const Hdf5Column& column, std::int64_t row) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  require(std::ranges::none_of(name, is_control), ErrorKind::data, column.table.place(), ": row ", row,
          " holds a text with a control character in it, which can be no name of a class");
}

std::string distinct_texts(const std::vector<Hdf5Column>& columns) {
  std::set<std::string> names;
  for (const Range run : runs_of({0, columns[0].layout.rows}, kRowsAtOnce)) {
    std::int64_t row = run.begin;
    for (std::string& name : read_texts(columns[0], run)) {
      require_name(name, columns[0], row++);
      names.insert(std::move(name));
    }
    require(names.size() <= kMostClasses, ErrorKind::data, columns[0].table.place(), ": holds more than ",
            kMostClasses, " different texts, the limit for classes");
  }
  std::string out;
  for (const std::string& name : names) out += name + '\n';
  return out;
}

std::vector<std::string> lines_of(const std::vector<std::string>& results) {
  std::vector<std::string> lines;
  for (const std::string& result : results) {
    std::istringstream in(result);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
  }
  return lines;
}

std::string place_text(const Hdf5Rows& rows) {
  std::string names;
  for (const Hdf5Selection& selection : rows.targets.selections)
    names += text(names.empty() ? "" : ", ", selection.written);
  return text("the targets ", names, " of ", rows.targets.paths[0],
              rows.targets.paths.size() > 1 ? " and the other files" : "");
}

class Decision {
 public:
  Decision(const std::vector<Hdf5Rows>& splits, const std::vector<Hdf5Part>& parts, const Request& request,
           const ShareWork& share)
      : splits_(splits), parts_(parts), request_(request), share_(share) {
    for (const Hdf5Part& part : parts) columns_ += part.columns;
  }

  Hdf5Targets by_task(Task task) const {
    if (has(h5::TableKind::text)) return texts(task);
    if (task == Task::regression) return values();
    if (task == Task::classification) {
      if (columns_ > 1) return values();
      return classes(has(h5::TableKind::floating) ? Hdf5Form::whole_floats : Hdf5Form::integers);
    }
    if (has(h5::TableKind::floating)) return guessed_floats();
    require(columns_ == 1, ErrorKind::usage, "--task: ", place_text(splits_[0]), " are ", columns_,
            " columns of integers; say classification (a distribution over classes) or regression");
    if (has(h5::TableKind::integer)) require_plain_classes();
    return classes(Hdf5Form::integers);
  }

 private:
  bool has(h5::TableKind kind) const {
    return std::ranges::any_of(parts_, [kind](const Hdf5Part& part) { return part.kind == kind; });
  }

  Hdf5Targets values() const { return {Hdf5Form::values, columns_, {}}; }

  Hdf5Targets classes(Hdf5Form form) const {
    const auto known = static_cast<std::int64_t>(request_.class_names.size());
    return {form, known == 0 && has(h5::TableKind::boolean) ? 2 : known, {}};
  }

  Hdf5Targets texts(Task task) const {
    require(task != Task::regression, ErrorKind::usage, "--task: ", place_text(splits_[0]),
            " are texts, which classification alone can take");
    require(columns_ == 1, ErrorKind::data, "--targets: ", place_text(splits_[0]), " are ", columns_,
            " columns with texts; classes are one column");
    std::vector<std::string> names = request_.class_names;
    if (names.empty()) {
      names = lines_of(survey(splits_, places_of(splits_), share_, distinct_texts));
      std::ranges::sort(names);
      names.erase(std::unique(names.begin(), names.end()), names.end());
      const auto count = static_cast<std::int64_t>(names.size());
      require(count <= kMostGuessedClasses || task == Task::classification, ErrorKind::usage,
              "--task: ", place_text(splits_[0]), " are ", count,
              " different texts; say classification if these are classes");
      require(names.size() <= kMostClasses, ErrorKind::data, "--targets: ", place_text(splits_[0]), " are ",
              count, " different texts; the limit for classes is ", kMostClasses);
    }
    const auto count = static_cast<std::int64_t>(names.size());
    return {Hdf5Form::texts, count, std::move(names)};
  }

  /// Floats with a fraction regress; most often the first file shows one.
  Hdf5Targets guessed_floats() const {
    const std::vector<Place> places = places_of(splits_);
    const bool found = !lines_of(survey(splits_, {places[0]}, share_, find_fraction)).empty() ||
                       !lines_of(survey(splits_, places, share_, find_fraction)).empty();
    require(found, ErrorKind::usage, "--task: ", place_text(splits_[0]),
            " are floats, but whole numbers all; say classification or regression");
    return values();
  }

  void require_plain_classes() const {
    std::int64_t least = 0, greatest = 0;
    for (const std::string& line : lines_of(survey(splits_, places_of(splits_), share_, integer_range))) {
      const std::size_t space = line.find(' ');
      least = std::min(least, parse_integer(line.substr(0, space)).value());
      greatest = std::max(greatest, parse_integer(line.substr(space + 1)).value());
    }
    require(least >= 0 && greatest < kMostGuessedClasses, ErrorKind::usage,
            "--task: ", place_text(splits_[0]), " are integers from ", least, " to ", greatest,
            ", which may be classes or numbers; say classification (classes count from 0) or regression");
  }

  const std::vector<Hdf5Rows>& splits_;
  const std::vector<Hdf5Part>& parts_;
  const Request& request_;
  const ShareWork& share_;
  std::int64_t columns_ = 0;
};

}  // namespace

Hdf5Targets decide_targets(const std::vector<Hdf5Rows>& splits, const std::vector<Hdf5Part>& parts, Task task,
                           const Request& request, const ShareWork& share) {
  if (parts.empty()) return {};
  return Decision(splits, parts, request, share).by_task(task);
}

}  // namespace trainer::data
