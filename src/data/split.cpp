#include "trainer/data/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

constexpr const char* kExpected =
    "expected a fraction below 1, a number of rows (`5000 rows`), tail(0.1), test or 0";

/// How many validation rows are meant, and whether they are the last ones.
struct Request {
  std::int64_t rows = 0;
  bool tail = false;
  bool test = false;
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

Request parse(const ParsedText& text, std::int64_t rows) {
  const std::vector<Term>& terms = text.sequence();
  if (terms.empty()) text.fail_at(0, kExpected);
  const Term& first = terms.front();
  if (terms.size() == 2 && terms[1].name == "rows" && !terms[1].has_parentheses && !first.has_parentheses) {
    const std::optional<std::int64_t> count = parse_integer(first.name);
    if (!count || *count < 0) text.fail_at(first.offset, "expected a whole number of rows, 0 or more");
    return {.rows = *count};
  }
  if (terms.size() != 1) text.fail_at(terms[1].offset, kExpected);
  if (first.name == "test" && !first.has_parentheses) return {.test = true};
  if (first.name == "tail") {
    ArgumentReader arguments(text, first);
    const double fraction = arguments.number("fraction", 0, 1, std::nullopt, true, true);
    arguments.finish();
    return {.rows = part_of(rows, fraction), .tail = true};
  }
  return {.rows = fraction_of(text, first, rows)};
}

std::vector<std::int64_t> counting(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(end - begin));
  std::iota(out.begin(), out.end(), begin);
  return out;
}

Split draw(std::uint64_t split_seed, std::int64_t rows, std::int64_t validation_rows) {
  const Permutation permutation(RandomKey(split_seed, Purpose::split), rows);
  std::vector<bool> drawn(static_cast<std::size_t>(rows), false);
  for (std::int64_t i = 0; i < validation_rows; ++i) drawn[static_cast<std::size_t>(permutation(i))] = true;
  Split split;
  split.validation.reserve(static_cast<std::size_t>(validation_rows));
  split.training.reserve(static_cast<std::size_t>(rows - validation_rows));
  for (std::int64_t row = 0; row < rows; ++row) {
    (drawn[static_cast<std::size_t>(row)] ? split.validation : split.training).push_back(row);
  }
  return split;
}

}  // namespace

Split split_rows(const std::string& validation, std::uint64_t split_seed, std::int64_t rows,
                 std::int64_t test_rows) {
  require(rows >= 1, ErrorKind::data, "--data: there are no training rows");
  const ParsedText text("--validation", validation);
  const Request request = parse(text, rows);
  if (request.test) {
    if (test_rows == 0) text.fail_at(0, "the data has no test split of its own");
    return {counting(0, rows), counting(0, test_rows), true};
  }
  if (request.rows >= rows) {
    text.fail_at(0, trainer::text(request.rows, " of the data's ", rows,
                                  " rows would validate and none be left for training"));
  }
  if (request.tail) return {counting(0, rows - request.rows), counting(rows - request.rows, rows), false};
  return draw(split_seed, rows, request.rows);
}

}  // namespace trainer::data
