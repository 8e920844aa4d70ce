#include "row_weights.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "trainer/comm/agreement.h"
#include "trainer/core/grammar.h"
#include "trainer/core/tree.h"
#include "trainer/h5/table.h"

namespace trainer::train {
namespace {

/// The labels of some rows next to each other: those of a rank, when all ranks share the pass over them.
std::vector<std::int32_t> labels_of(const comm::Communicator& world, const data::DataSet& data, Range rows) {
  constexpr std::int64_t kAtOnce = std::int64_t{1} << 18;
  std::vector<std::int32_t> labels(static_cast<std::size_t>(rows.size()));
  for (std::int64_t begin = rows.begin; begin < rows.end; begin += kAtOnce) {
    data.read_classes({begin, std::min(rows.end, begin + kAtOnce)}, labels.data() + (begin - rows.begin));
    world.watchdog().step_took(0);  // a sign of life for the ranks that are done
  }
  return labels;
}

/// Collective. The training rows of each class; `labels`: of the rows `mine`.
std::vector<std::int64_t> count_training(const comm::Communicator& world, const PreparedData& data,
                                         Range mine, std::span<const std::int32_t> labels) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(data.facts().targets), 0);
  for (const Range& run : data.split.training.runs())
    for (std::int64_t row = std::max(run.begin, mine.begin); row < std::min(run.end, mine.end); ++row)
      ++counts[static_cast<std::size_t>(labels[static_cast<std::size_t>(row - mine.begin)])];
  world.sum(counts);
  return counts;
}

std::vector<double> balanced(std::span<const std::int64_t> counts, std::int64_t training_rows) {
  const auto classes = static_cast<double>(counts.size());
  std::vector<double> weights;
  for (const std::int64_t count : counts)  // a class without rows is never asked for
    weights.push_back(
        count == 0 ? 1.0 : static_cast<double>(training_rows) / (classes * static_cast<double>(count)));
  return weights;
}

std::vector<double> listed(const std::string& source, std::int64_t classes) {
  std::vector<double> weights;
  for (std::size_t begin = 0; begin < source.size();) {
    const std::size_t end = std::min(source.find_first_of(", ", begin), source.size());
    if (end > begin) {
      const auto number = parse_number(source.substr(begin, end - begin));
      require(number && *number >= 0 && *number <= 1e6, ErrorKind::usage, "--class-weights ", source, ": \"",
              source.substr(begin, end - begin),
              "\" is no factor; expected none, balanced, or numbers from 0 to 1e6 such as 1,1,5");
      weights.push_back(*number);
    }
    begin = end + 1;
  }
  require(static_cast<std::int64_t>(weights.size()) == classes, ErrorKind::usage, "--class-weights ", source,
          ": ", weights.size(), " factors for ", classes, " classes; give one for each");
  return weights;
}

/// FILE.h5:PATH. `rows`: of the data, less those that `missing` has left out.
std::vector<float> read_weights(const std::string& source, const std::string& missing, std::int64_t rows) {
  const std::size_t colon = source.rfind(':');
  require(colon != std::string::npos && colon > 0 && colon + 1 < source.size(), ErrorKind::usage,
          "--sample-weights ", source, ": expected FILE.h5:PATH, a data set with a value for each row");
  std::string path = source.substr(colon + 1);
  if (path.front() != '/') path.insert(0, "/");
  std::vector<float> weights;
  try {
    const h5::Table table = h5::TableFile::open(source.substr(0, colon)).table(path);
    const std::vector<std::int64_t>& shape = table.facts().shape;
    const std::vector<std::int64_t> one_axis = {rows}, column = {rows, 1};
    std::int64_t values = 1;
    for (const std::int64_t size : shape) values *= size;
    const bool dropped = missing == "drop" && values > rows;
    require(
        shape == one_axis || shape == column, ErrorKind::data, "holds ", values, " values on ", shape.size(),
        " axes for ", rows, " rows of --data",
        dropped
            ? " that --missing drop has left; give one for each row that is left, or leave these rows out of "
              "the data file and of the factors"
            : "; give one axis with one for each");
    weights.resize(static_cast<std::size_t>(rows));
    const std::vector<std::int64_t> zeros(shape.size(), 0), ones(shape.size(), 1);
    table.read({zeros, shape, ones}, weights.data());
  } catch (const Error& error) {
    fail(error.kind(), "--sample-weights ", source, ": ", error.what());
  }
  for (std::size_t row = 0; row < weights.size(); ++row)
    require(std::isfinite(weights[row]) && weights[row] >= 0, ErrorKind::data, "--sample-weights ", source,
            ": row ", row, " has the factor ", format_number(static_cast<double>(weights[row])),
            "; it must be finite and 0 or more");
  return weights;
}

/// A product that no loss can be multiplied by, or factors that leave nothing to train.
void require_usable(const std::vector<float>& weights, const PreparedData& data) {
  double sum = 0;
  for (const Range& run : data.split.training.runs()) {
    for (std::int64_t row = run.begin; row < run.end; ++row) {
      const float weight = weights[static_cast<std::size_t>(row)];
      require(std::isfinite(weight), ErrorKind::data, "--class-weights times --sample-weights: row ", row,
              " gets the factor ", format_number(static_cast<double>(weight)), "; give smaller ones");
      sum += static_cast<double>(weight);
    }
  }
  require(sum > 0, ErrorKind::data, "--class-weights and --sample-weights: the factors of all ",
          data.split.training.size(),
          " training rows are 0, so nothing would be trained; give some rows a factor above 0");
}

/// Collective. Multiplies the factor of each row by that of its class. The ranks share the labels.
void weigh_classes(const comm::Communicator& world, const std::string& option, const PreparedData& data,
                   std::vector<float>& weights) {
  const data::DataFacts& facts = data.facts();
  const Range mine = cut(facts.rows, world.size(), world.rank());
  std::vector<double> by_class;
  std::vector<std::int32_t> labels;
  comm::together(world, [&] {
    require(facts.kind == data::TargetKind::classes && data.task == "classification", ErrorKind::usage,
            "--class-weights ", option, ": the targets of ", facts.name,
            " are no classes; leave it out or take --sample-weights");
    if (option != "balanced") by_class = listed(option, facts.targets);
    labels = labels_of(world, *data.opened.train, mine);
    weights.resize(static_cast<std::size_t>(facts.rows), 1.0f);
  });
  if (option == "balanced")
    by_class = balanced(count_training(world, data, mine, labels), data.split.training.size());
  for (std::int64_t row = mine.begin; row < mine.end; ++row) {
    const std::int32_t label = labels[static_cast<std::size_t>(row - mine.begin)];
    weights[static_cast<std::size_t>(row)] *= static_cast<float>(by_class[static_cast<std::size_t>(label)]);
  }
  for (int rank = 0; rank < world.size(); ++rank) {
    const Range rows = cut(facts.rows, world.size(), rank);
    world.broadcast(weights.data() + rows.begin, rows.size() * static_cast<std::int64_t>(sizeof(float)),
                    rank);
  }
}

}  // namespace

std::vector<float> row_weights(const comm::Communicator& world, const Configuration& configuration,
                               const PreparedData& data) {
  const data::DataFacts& facts = data.facts();
  std::vector<float> weights;
  if (!configuration.sample_weights.empty()) {
    comm::on_first_rank(world, [&] {
      weights = read_weights(configuration.sample_weights, configuration.missing, facts.rows);
    });
    comm::together(world, [&] { weights.resize(static_cast<std::size_t>(facts.rows)); });
    world.broadcast(weights.data(), facts.rows * static_cast<std::int64_t>(sizeof(float)), 0);
  }
  if (configuration.class_weights != "none") weigh_classes(world, configuration.class_weights, data, weights);
  comm::together(world, [&] {
    if (!weights.empty()) require_usable(weights, data);
  });
  return weights;
}

}  // namespace trainer::train
