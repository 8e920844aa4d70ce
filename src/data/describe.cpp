#include "trainer/data/describe.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <set>

#include "convert_plan.h"
#include "describe_advice.h"
#include "describe_inputs.h"
#include "describe_spread.h"
#include "describe_stored.h"
#include "labels.h"
#include "memory.h"
#include "memory_room.h"
#include "share_over.h"
#include "trainer/core/error.h"
#include "trainer/data/encoding.h"
#include "trainer/data/order.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kMostInputBytes = std::int64_t{1} << 30;
constexpr std::int64_t kMostSampledRows = std::int64_t{1} << 22;
constexpr std::int64_t kMostSampledValues = std::int64_t{1} << 26;
constexpr std::int64_t kBatch = 256;
constexpr std::size_t kMostNamed = 20;

std::string short_number(double value) {
  std::array<char, 40> out{};
  std::snprintf(out.data(), out.size(), "%.6g", value);
  return out.data();
}

std::string mebibytes(std::int64_t bytes) {
  std::array<char, 40> out{};
  std::snprintf(out.data(), out.size(), "%.1f MiB", static_cast<double>(bytes) / 1048576.0);
  return out.data();
}

std::string sizes_text(const std::vector<std::int64_t>& sizes) {
  std::string out;
  for (const std::int64_t size : sizes) out += text(out.empty() ? "" : " x ", size);
  return out;
}

/// ", a sample of 100 of 1000 rows", where it is one.
std::string sample_text(std::int64_t some, std::int64_t all) {
  return some < all ? text(" (of ", some, " of ", all, " rows, spread over the data)") : "";
}

class Describer {
 public:
  explicit Describer(const DescribeRequest& request)
      : request_(request),
        plan_(plan_with_test(comm::Communicator::alone(), request.data, request.without_test)),
        source_(plan_.splits[0]),
        facts_(source_.facts) {
    facts_.blocks = blocks_of(source_);
    taken_ = resolved_shuffle(request.shuffle, facts_);
  }

  Description take() {
    tell_header();
    try {
      require_room();
      const ReadableRows rows(source_, facts_);
      if (facts_.kind != TargetKind::none) tell_targets(rows);
      tell_inputs(rows);
      if (facts_.kind != TargetKind::none) tell_spread();
    } catch (const Error& error) {
      out_.trouble = error.what();
    }
    line("trouble", out_.trouble.empty() ? "none" : out_.trouble.substr(0, out_.trouble.find('\n')));
    tell_advice();
    return out_;
  }

 private:
  void line(const std::string& name, const std::string& value) { out_.text += name + " " + value + "\n"; }

  void require_room() const {
    const std::int64_t bytes = bytes_of_rows(plan_.splits);
    const MemoryLimit limit{memory_bytes("--memory-limit", request_.memory_limit), request_.memory_limit};
    if (holds_rows(limit, bytes)) return;
    require(std::ranges::all_of(plan_.splits, &Source::any_rows), ErrorKind::data, "--data: the rows of ",
            plan_.origin, " need ", bytes >> 20, " MiB of memory, --memory-limit ", request_.memory_limit,
            " leaves ", (limit.bytes / 4 * 3) >> 20,
            " MiB for them, and this format cannot be read in parts; with --memory-limit ",
            limit_to_hold(bytes), ", `", convert_line(request_.data), "` makes an HDF5 file of it");
    require_window_room(facts_, EpochOrder(0, RowSet::all(facts_.rows), taken_, facts_.blocks), kBatch, bytes,
                        limit);
  }

  std::string task_text() const {
    const char* const task = facts_.kind == TargetKind::none ? "autoencoder"
                             : facts_.kind == TargetKind::classes || plan_.task == Task::classification
                                 ? "classification"
                                 : "regression";
    return text(task, plan_.task != Task::unsaid ? " (--task)" : " (from the data; --task says otherwise)");
  }

  void tell_header() {
    std::int64_t bytes = 0;
    for (const Source& split : plan_.splits) bytes += decoded_bytes(split.facts);
    line("data", facts_.name);
    line("origin", plan_.origin);
    line("files", std::to_string(std::max<std::size_t>(1, source_.files.size())));
    line("rows", std::to_string(facts_.rows));
    if (plan_.splits.size() > 1) line("test_rows", std::to_string(plan_.splits[1].facts.rows));
    line("row", sizes_text(facts_.feature_shape) + " " + facts_.element_type);
    line("columns", std::to_string(facts_.features));
    line("memory", mebibytes(bytes));
    tell_layout();
    line("task", task_text());
  }

  void tell_layout() {
    stored_ = stored_inputs(request_.data);
    for (const StoredInputs& set : stored_) {
      std::string how = set.chunk.empty() ? "contiguous" : "in chunks of " + sizes_text(set.chunk);
      if (!set.chunk.empty())
        how += text(", ", mebibytes(set.chunk_bytes), set.is_compressed ? " each, compressed" : " each");
      line("stored", text(set.path, " ", sizes_text(set.shape), ", ", how));
    }
    if (source_.pieces.empty())
      line("pieces", source_.any_rows ? "none" : "1 (the data is read whole, at the start)");
    else
      line("pieces", text(source_.pieces.size(), " (rows that are read together)"));
    line("blocks", text(facts_.blocks.size(), " (rows that are shuffled together, up to ",
                        largest_block_rows(facts_), " rows, ", mebibytes(largest_block_bytes(facts_)), ")"));
  }

  void tell_targets(const ReadableRows& rows) {
    const std::int64_t most = facts_.kind == TargetKind::values
                                  ? std::max<std::int64_t>(1, kMostSampledValues / facts_.targets)
                                  : kMostSampledRows;
    sample_ = sample_targets(rows, std::min(kMostSampledRows, most));
    if (facts_.kind == TargetKind::classes)
      tell_classes();
    else
      tell_columns();
  }

  void tell_classes() {
    counts_ = count_labels(sample_.classes, facts_.name);
    std::vector<std::vector<std::int64_t>> counts{counts_};
    const bool is_sample = sample_.rows.size() < facts_.rows;
    facts_.targets = is_sample ? std::max(facts_.targets, static_cast<std::int64_t>(counts_.size()))
                               : count_classes(plan_, counts);
    counts_.resize(static_cast<std::size_t>(facts_.targets));
    line("targets", text(is_sample && source_.facts.targets == 0 ? "at least " : "", facts_.targets,
                         " classes", sample_text(sample_.rows.size(), facts_.rows)));
    const std::vector<std::string>& names = plan_.class_names;
    for (std::size_t c = 0; c < std::min(kMostNamed, counts_.size()); ++c)
      line(text("class_", c), text(counts_[c], names.size() == counts_.size() ? " " + names[c] : ""));
    if (counts_.size() > kMostNamed) line("classes_more", std::to_string(counts_.size() - kMostNamed));
  }

  void tell_columns() {
    line("targets", text(facts_.targets, " columns", sample_text(sample_.rows.size(), facts_.rows)));
    const auto columns = static_cast<std::size_t>(sample_.columns);
    for (std::size_t c = 0; c < std::min(kMostNamed, columns); ++c) {
      double least = std::numeric_limits<double>::infinity(), greatest = -least, sum = 0;
      for (std::size_t i = c; i < sample_.values.size(); i += columns) {
        const double value = sample_.values[i];
        least = std::min(least, value);
        greatest = std::max(greatest, value);
        sum += value;
      }
      line(text("target_", c), text("min ", short_number(least), " mean ",
                                    short_number(sum / static_cast<double>(sample_.rows.size())), " max ",
                                    short_number(greatest)));
    }
    for (std::size_t c = 0; c < columns && facts_.kind == TargetKind::values; ++c)
      if (spreads_over_decades(c)) wide_targets_.push_back(static_cast<std::int64_t>(c));
    if (columns > kMostNamed) line("targets_more", std::to_string(columns - kMostNamed));
  }

  /// All above 0, and nine tenths of them over a factor of 100 or more.
  bool spreads_over_decades(std::size_t column) const {
    constexpr float kFactor = 100;
    std::vector<float> values;
    for (std::size_t i = column; i < sample_.values.size(); i += static_cast<std::size_t>(sample_.columns))
      values.push_back(sample_.values[i]);
    if (values.empty() || !std::ranges::all_of(values, [](float v) { return v > 0; })) return false;
    const auto quantile = [&](std::ptrdiff_t percent) {
      const auto at = values.begin() + (std::ssize(values) - 1) * percent / 100;
      std::ranges::nth_element(values, at);
      return *at;
    };
    const float low = quantile(5);
    return quantile(95) >= kFactor * low;
  }

  /// The columns of rows that are a list of figures, not a picture.
  void tell_input_columns(const InputFacts& found) {
    constexpr std::size_t kMostColumns = 30;
    if (facts_.feature_shape.size() > 1) return;
    const std::vector<std::string> names = input_names(facts_.encoding, facts_.features);
    for (std::size_t c = 0; c < std::min(kMostColumns, found.columns.size()); ++c) {
      const ValueFacts& one = found.columns[c];
      line(text("input_", c),
           text("min ", short_number(one.least), " mean ", short_number(one.mean), " max ",
                short_number(one.greatest), " missing ", one.missing, names.empty() ? "" : " " + names[c]));
    }
    if (found.columns.size() > kMostColumns)
      line("inputs_more", std::to_string(found.columns.size() - kMostColumns));
  }

  void tell_inputs(const ReadableRows& rows) {
    const InputFacts found = look_at_inputs(rows, kMostInputBytes);
    const std::string sample = sample_text(found.rows, facts_.rows);
    line("inputs_min", short_number(found.all.least) + sample);
    line("inputs_mean", short_number(found.all.mean) + sample);
    line("inputs_max", short_number(found.all.greatest) + sample);
    if (found.all.missing > 0) line("inputs_missing", text(found.all.missing, " values", sample));
    tell_input_columns(found);
    std::string constant = std::to_string(found.constant.size());
    for (std::size_t i = 0; i < std::min(kMostNamed, found.constant.size()); ++i)
      constant += text(i == 0 ? " (columns " : ", ", found.constant[i]);
    if (!found.constant.empty()) constant += found.constant.size() > kMostNamed ? ", ...)" : ")";
    line("constant_columns", constant + sample);
  }

  std::optional<double> spread_of(const std::string& shuffle) const {
    return shuffle_spread(sample_, EpochOrder(0, sample_.rows, shuffle, facts_.blocks), kBatch);
  }
  /// Of the figure for a full permutation, by chance: a variance of so many means, if they are normal.
  double spread_noise() const {
    const std::int64_t batches = sample_.rows.size() / kBatch;
    return batches < 2 ? 0 : std::sqrt(2.0 / static_cast<double>(batches - 1));
  }
  static std::string spread_text(const std::optional<double>& spread) {
    if (!spread) return "unknown";
    std::array<char, 40> out{};
    std::snprintf(out.data(), out.size(), "%.2f", *spread);
    return out.data();
  }

  std::string noise_text() const {
    constexpr double kWorthSaying = 0.1;
    if (spread_noise() < kWorthSaying) return "";
    return text(", only ", sample_.rows.size() / kBatch, ": 1 by chance within ",
                spread_text(2 * spread_noise()));
  }

  void tell_spread() {
    line("shuffle",
         taken_ + (request_.shuffle.empty() ? " (by the size of the data; --shuffle says otherwise)"
                                            : " (--shuffle)"));
    spread_ = spread_of(taken_);
    line("shuffle_spread",
         spread_text(spread_) +
             (spread_ ? text(" (how unlike the targets of batches of ", kBatch,
                             " rows are: 1 as after a full permutation, more is worse", noise_text(), ")")
                      : text(" (fewer than two batches of ", kBatch, " rows, or targets all equal)")) +
             sample_text(sample_.rows.size(), facts_.rows));
    if (!spread_) return;
    const std::set<std::string> others{"rows", resolved_shuffle("chunks", facts_)};
    for (const std::string& other : others)
      if (other != taken_) line("shuffle_spread_" + other, spread_text(spread_of(other)));
  }

  void tell_advice() {
    const Findings findings{.request = &request_.data,
                            .source = &source_,
                            .facts = &facts_,
                            .stored = stored_,
                            .class_counts = counts_,
                            .wide_targets = wide_targets_,
                            .shuffle = taken_,
                            .spread = spread_,
                            .spread_noise = spread_noise()};
    for (const std::string& one : advice_on(findings)) out_.text += "advice: " + one + "\n";
  }

  const DescribeRequest& request_;
  Plan plan_;
  const Source& source_;
  DataFacts facts_;
  std::string taken_;
  std::vector<StoredInputs> stored_;
  TargetSample sample_;
  std::vector<std::int64_t> counts_, wide_targets_;
  std::optional<double> spread_;
  Description out_;
};

}  // namespace

Description describe_data(const DescribeRequest& request) {
  (void)memory_bytes("--memory-limit", request.memory_limit);  // a bad one is an error for any data
  return Describer(request).take();
}

}  // namespace trainer::data
