#include "describe_inputs.h"

#include <algorithm>
#include <limits>

#include "convert_plan.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kPortionBytes = std::int64_t{16} << 20;

/// Of each column least and greatest value, their sum and number.
template <class Value>
class Columns {
 public:
  explicit Columns(std::int64_t columns)
      : least_(static_cast<std::size_t>(columns), std::numeric_limits<Value>::max()),
        greatest_(static_cast<std::size_t>(columns), std::numeric_limits<Value>::lowest()),
        sum_(least_.size()),
        values_(least_.size()) {}

  void add(const Value* inputs, std::int64_t rows) {
    const std::size_t columns = least_.size();
    for (std::int64_t row = 0; row < rows; ++row, inputs += columns) {
      for (std::size_t c = 0; c < columns; ++c) {
        const Value value = inputs[c];
        const bool is_there = value == value;
        least_[c] = std::min(least_[c], value);  // NaN is less than nothing, in this order
        greatest_[c] = std::max(greatest_[c], value);
        sum_[c] += is_there ? static_cast<double>(value) : 0.0;
        values_[c] += is_there ? 1 : 0;
      }
    }
    rows_ += rows;
  }

  InputFacts facts() const {
    InputFacts out;
    out.rows = rows_;
    double sum = 0;
    std::int64_t values = 0;
    for (std::size_t c = 0; c < least_.size(); ++c) {
      out.columns.push_back(facts_of(least_[c], greatest_[c], sum_[c], values_[c], rows_));
      if (least_[c] == greatest_[c]) out.constant.push_back(static_cast<std::int64_t>(c));
      sum += sum_[c];
      values += values_[c];
    }
    out.all = facts_of(*std::ranges::min_element(least_), *std::ranges::max_element(greatest_), sum, values,
                       rows_ * std::ssize(least_));
    return out;
  }

 private:
  static ValueFacts facts_of(Value least, Value greatest, double sum, std::int64_t values, std::int64_t all) {
    const double none = std::numeric_limits<double>::quiet_NaN();
    if (values == 0) return {none, none, none, all};
    return {static_cast<double>(least), sum / static_cast<double>(values), static_cast<double>(greatest),
            all - values};
  }

  std::vector<Value> least_, greatest_;
  std::vector<double> sum_;
  std::vector<std::int64_t> values_;
  std::int64_t rows_ = 0;
};

/// Runs of rows of a source, up to `most_bytes` of inputs, evenly spread.
std::vector<Range> some_portions(const ReadableRows& rows, std::int64_t most_bytes) {
  const DataFacts& facts = rows.facts();
  Source parts;  // also what is in memory is gone through in parts
  parts.any_rows = true;
  const std::vector<Range> all = portions_of(parts, facts, kPortionBytes);
  const std::int64_t bytes = input_bytes(facts);
  const auto count = static_cast<std::int64_t>(all.size());
  if (bytes <= most_bytes) return all;
  const auto some = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(count) * static_cast<double>(most_bytes) /
                                   static_cast<double>(bytes)));
  std::vector<Range> chosen;
  for (std::int64_t i = 0; i < some; ++i)
    chosen.push_back(all[static_cast<std::size_t>(some == 1 ? 0 : i * (count - 1) / (some - 1))]);
  return chosen;
}

template <class Value>
InputFacts look(const ReadableRows& rows, std::int64_t most_bytes, Value* RowStore::*member) {
  const std::int64_t features = rows.facts().features;
  Columns<Value> columns(features);
  std::vector<Value> inputs;
  for (const Range part : some_portions(rows, most_bytes)) {
    inputs.resize(static_cast<std::size_t>(part.size() * features));
    RowStore store;
    store.*member = inputs.data();
    rows.read(part, store);
    columns.add(inputs.data(), part.size());
  }
  return columns.facts();
}

template <class Value>
void copy(const Value* all, Value* part, Range rows, std::int64_t columns) {
  if (part != nullptr) std::copy_n(all + rows.begin * columns, rows.size() * columns, part);
}

}  // namespace

ReadableRows::ReadableRows(const Source& source, const DataFacts& facts) : source_(source), facts_(facts) {
  if (source.any_rows) return;
  memory_ = Buffer<std::byte>(bytes_needed(facts));
  all_ = store_in(memory_.data(), facts);
  source.read({0, facts.rows}, all_);
}

void ReadableRows::read(Range rows, const RowStore& store) const {
  if (source_.any_rows) return source_.read(rows, store);
  copy(all_.bytes, store.bytes, rows, facts_.features);
  copy(all_.floats, store.floats, rows, facts_.features);
  copy(all_.classes, store.classes, rows, 1);
  copy(all_.values, store.values, rows, facts_.targets);
}

InputFacts look_at_inputs(const ReadableRows& rows, std::int64_t most_bytes) {
  if (rows.facts().element_type == "uint8") return look(rows, most_bytes, &RowStore::bytes);
  return look(rows, most_bytes, &RowStore::floats);
}

}  // namespace trainer::data
