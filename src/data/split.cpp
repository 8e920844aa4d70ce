#include "trainer/data/split.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

constexpr const char* kExpected =
    "expected a fraction below 1, a number of rows (`5000 rows`), tail(0.1), files(0.1), groups(PATH), test, "
    "the path of a file, or 0";

/// How many validation rows are meant, and how they are found.
struct Request {
  enum class Kind { drawn, tail, files, groups, test };
  Kind kind = Kind::drawn;
  std::int64_t rows = 0;
  std::string path;  ///< of groups
};

/// The nearest whole number, but not none of them.
std::int64_t part_of(std::int64_t rows, double fraction) {
  return std::max<std::int64_t>(1, std::llround(fraction * static_cast<double>(rows)));
}

std::int64_t fraction_of(const ParsedText& text, const Term& term, std::int64_t rows) {
  const std::optional<double> fraction = parse_number(term.name);
  if (!fraction || term.has_parentheses) text.fail_at(term.offset, kExpected);
  if (*fraction < 0) text.fail_at(term.offset, "a fraction of the rows cannot be negative");
  if (*fraction >= 1) {
    text.fail_at(term.offset,
                 "a fraction of the rows must be below 1, or no row is left for training (a number of rows "
                 "is written `5000 rows`)");
  }
  return *fraction == 0 ? 0 : part_of(rows, *fraction);
}

/// `groups(PATH, 0.1)`, whose path is no word of the grammar.
std::optional<Request> parse_groups(const std::string& validation, std::int64_t rows) {
  constexpr std::string_view kHead = "groups(";
  if (!validation.starts_with(kHead) || !validation.ends_with(")")) return std::nullopt;
  std::string path = validation.substr(kHead.size(), validation.size() - kHead.size() - 1);
  double fraction = 0.1;
  if (const std::size_t comma = path.rfind(','); comma != std::string::npos) {
    const std::size_t begin = std::min(path.find_first_not_of(' ', comma + 1), path.size());
    const std::optional<double> number = parse_number(path.substr(begin));
    require(number && *number > 0 && *number < 1, ErrorKind::usage, "--validation ", validation,
            ": expected groups(PATH, 0.1) with a fraction between 0 and 1");
    fraction = *number;
    path.resize(comma);
  }
  require(!path.empty(), ErrorKind::usage, "--validation ", validation, ": expected groups(PATH)");
  return Request{Request::Kind::groups, part_of(rows, fraction), path};
}

Request parse(const std::string& validation, const ParsedText& text, const Splittable& data) {
  if (const auto groups = parse_groups(validation, data.rows)) return *groups;
  const std::vector<Term>& terms = text.sequence();
  if (terms.empty()) text.fail_at(0, kExpected);
  const Term& first = terms.front();
  if (terms.size() == 2 && terms[1].name == "rows" && !terms[1].has_parentheses && !first.has_parentheses) {
    const std::optional<std::int64_t> count = parse_integer(first.name);
    if (!count || *count < 0) text.fail_at(first.offset, "expected a whole number of rows, 0 or more");
    return {.rows = *count, .path = ""};
  }
  if (terms.size() != 1) text.fail_at(terms[1].offset, kExpected);
  if (first.name == "test" && !first.has_parentheses)
    return {.kind = Request::Kind::test, .rows = 0, .path = ""};
  if (first.name == "tail" || first.name == "files") {
    ArgumentReader arguments(text, first);
    const double fraction = arguments.number("fraction", 0, 1, std::nullopt, true, true);
    arguments.finish();
    return {.kind = first.name == "tail" ? Request::Kind::tail : Request::Kind::files,
            .rows = part_of(data.rows, fraction),
            .path = ""};
  }
  return {.rows = fraction_of(text, first, data.rows), .path = ""};
}

/// The rows of [0, rows) that are not in `validation`.
RowSet rest_of(std::int64_t rows, const RowSet& validation) {
  std::vector<Range> runs;
  std::int64_t row = 0;
  for (const Range& run : validation.runs()) {
    runs.push_back({row, run.begin});
    row = run.end;
  }
  runs.push_back({row, rows});
  return RowSet(runs);
}

RowSet drawn_rows(std::uint64_t split_seed, std::int64_t rows, std::int64_t wanted) {
  const Permutation permutation(RandomKey(split_seed, Purpose::split), rows);
  std::vector<bool> drawn(static_cast<std::size_t>(rows), false);
  for (std::int64_t i = 0; i < wanted; ++i) drawn[static_cast<std::size_t>(permutation(i))] = true;
  std::vector<Range> runs;
  for (std::int64_t row = 0; row < rows; ++row)
    if (drawn[static_cast<std::size_t>(row)]) runs.push_back({row, row + 1});
  return RowSet(runs);
}

/// Parts of the data, given by their first rows, drawn until there are `wanted` rows; whole parts, or the
/// last of them cut.
RowSet drawn_parts(std::uint64_t split_seed, std::int64_t rows, const std::vector<std::int64_t>& parts,
                   std::int64_t wanted, bool whole) {
  const auto count = static_cast<std::int64_t>(parts.size());
  const Permutation permutation(RandomKey(split_seed, Purpose::split), count);
  std::vector<Range> runs;
  std::int64_t taken = 0;
  for (std::int64_t i = 0; i < count && taken < wanted; ++i) {
    const auto part = static_cast<std::size_t>(permutation(i));
    Range run{parts[part], part + 1 < parts.size() ? parts[part + 1] : rows};
    if (whole && taken > 0 && taken + run.size() - wanted > wanted - taken) break;  // nearer without it
    if (!whole) run.end = std::min(run.end, run.begin + wanted - taken);
    taken += run.size();
    runs.push_back(run);
  }
  std::sort(runs.begin(), runs.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  return RowSet(runs);
}

RowSet drawn_groups(std::uint64_t split_seed, const std::vector<std::int64_t>& group_of_row,
                    std::int64_t wanted) {
  std::map<std::int64_t, std::int64_t> sizes;
  for (const std::int64_t group : group_of_row) ++sizes[group];
  const std::vector<std::pair<std::int64_t, std::int64_t>> groups(sizes.begin(), sizes.end());
  const Permutation permutation(RandomKey(split_seed, Purpose::split),
                                static_cast<std::int64_t>(groups.size()));
  std::set<std::int64_t> drawn;
  std::int64_t taken = 0;
  for (std::int64_t i = 0; i < permutation.size() && taken < wanted; ++i) {
    const auto& [group, size] = groups[static_cast<std::size_t>(permutation(i))];
    if (taken > 0 && taken + size - wanted > wanted - taken) break;  // nearer without it
    drawn.insert(group);
    taken += size;
  }
  std::vector<Range> runs;
  for (std::size_t row = 0; row < group_of_row.size(); ++row)
    if (drawn.contains(group_of_row[row]))
      runs.push_back({static_cast<std::int64_t>(row), static_cast<std::int64_t>(row) + 1});
  return RowSet(runs);
}

RowSet validation_of(const Request& request, std::uint64_t split_seed, const Splittable& data,
                     const std::string& validation) {
  switch (request.kind) {
    case Request::Kind::tail:
      return RowSet({{data.rows - request.rows, data.rows}});
    case Request::Kind::files:
      require(data.files.size() > 1, ErrorKind::usage, "--validation ", validation,
              ": the data is one file; take a fraction");
      return drawn_parts(split_seed, data.rows, data.files, request.rows, true);
    case Request::Kind::groups: {
      require(static_cast<bool>(data.groups), ErrorKind::usage, "--validation ", validation,
              ": --data has no groups; they are a data set of HDF5 or a column of CSV");
      const std::vector<std::int64_t> groups = data.groups(request.path);
      require(static_cast<std::int64_t>(groups.size()) == data.rows, ErrorKind::data, "--validation ",
              validation, ": names ", groups.size(), " rows, the data has ", data.rows);
      return drawn_groups(split_seed, groups, request.rows);
    }
    default:
      if (request.rows == 0) return {};
      return data.blocks.empty() ? drawn_rows(split_seed, data.rows, request.rows)
                                 : drawn_parts(split_seed, data.rows, data.blocks, request.rows, false);
  }
}

}  // namespace

Split split_rows(const std::string& validation, std::uint64_t split_seed, const Splittable& data) {
  require(data.rows >= 1, ErrorKind::data, "--data: there are no training rows");
  if (data.own_rows > 0) return {RowSet::all(data.rows), RowSet::all(data.own_rows), Split::Of::own};
  const std::string words = validation.starts_with("groups(") ? "groups" : validation;
  const ParsedText text("--validation", words);
  const Request request = parse(validation, text, data);
  if (request.kind == Request::Kind::test) {
    if (data.test_rows == 0) text.fail_at(0, "the data has no test split of its own");
    return {RowSet::all(data.rows), RowSet::all(data.test_rows), Split::Of::test};
  }
  Split split;
  if (request.rows < data.rows) {
    split.validation = validation_of(request, split_seed, data, validation);
    split.training = rest_of(data.rows, split.validation);
  }
  if (split.training.empty()) {
    text.fail_at(0, trainer::text(std::max(request.rows, split.validation.size()), " of the data's ",
                                  data.rows, " rows would validate and none be left for training"));
  }
  return split;
}

std::string groups_path(const std::string& validation) {
  try {
    const auto groups = parse_groups(validation, 1);
    return groups ? groups->path : "";
  } catch (const Error&) {
    return "";  // told by split_rows()
  }
}

RowSet spread(const RowSet& rows, std::int64_t most) {
  if (rows.size() <= most) return rows;
  std::vector<std::int64_t> some;
  for (std::int64_t i = 0; i < most; ++i) some.push_back(rows[cut(rows.size(), most, i).begin]);
  return RowSet::of(some);
}

}  // namespace trainer::data
