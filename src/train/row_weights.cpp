#include "row_weights.h"

#include <algorithm>
#include <cmath>

#include "trainer/comm/agreement.h"
#include "trainer/core/grammar.h"
#include "trainer/h5/table.h"

namespace trainer::train {
namespace {

std::vector<double> balanced(const PreparedData& data, std::int64_t classes) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(classes), 0);
  std::int32_t label = 0;
  for (const std::int64_t row : data.split.training.list()) {
    data.opened.train->gather_classes({&row, 1}, &label);
    ++counts[static_cast<std::size_t>(label)];
  }
  const auto rows = static_cast<double>(data.split.training.size());
  std::vector<double> weights;
  for (const std::int64_t count : counts)  // a class without rows is never asked for
    weights.push_back(count == 0 ? 1.0 : rows / static_cast<double>(classes * count));
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

/// FILE.h5:PATH.
std::vector<float> read_weights(const std::string& source, std::int64_t rows) {
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
    require(shape == one_axis || shape == column, ErrorKind::data, "holds ", values, " values on ",
            shape.size(), " axes for ", rows, " rows of --data; give one axis with one for each");
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
  for (const std::int64_t row : data.split.training.list()) {
    const float weight = weights[static_cast<std::size_t>(row)];
    require(std::isfinite(weight), ErrorKind::data, "--class-weights times --sample-weights: row ", row,
            " gets the factor ", format_number(static_cast<double>(weight)), "; give smaller ones");
    sum += static_cast<double>(weight);
  }
  require(sum > 0, ErrorKind::data, "--class-weights and --sample-weights: the factors of all ",
          data.split.training.size(),
          " training rows are 0, so nothing would be trained; give some rows a factor above 0");
}

}  // namespace

std::vector<float> row_weights(const comm::Communicator& world, const Configuration& configuration,
                               const PreparedData& data) {
  const data::DataFacts& facts = data.facts();
  std::vector<float> weights;
  if (!configuration.sample_weights.empty()) {
    comm::on_first_rank(world, [&] { weights = read_weights(configuration.sample_weights, facts.rows); });
    comm::together(world, [&] { weights.resize(static_cast<std::size_t>(facts.rows)); });
    world.broadcast(weights.data(), facts.rows * static_cast<std::int64_t>(sizeof(float)), 0);
  }
  comm::together(world, [&] {
    if (configuration.class_weights == "none") return;
    require(facts.kind == data::TargetKind::classes && data.task == "classification", ErrorKind::usage,
            "--class-weights ", configuration.class_weights, ": the targets of ", facts.name,
            " are no classes; leave it out or take --sample-weights");
    const std::vector<double> by_class = configuration.class_weights == "balanced"
                                             ? balanced(data, facts.targets)
                                             : listed(configuration.class_weights, facts.targets);
    weights.resize(static_cast<std::size_t>(facts.rows), 1.0f);
    for (std::int64_t row = 0; row < facts.rows; ++row) {
      std::int32_t label = 0;
      data.opened.train->gather_classes({&row, 1}, &label);
      weights[static_cast<std::size_t>(row)] *= static_cast<float>(by_class[static_cast<std::size_t>(label)]);
    }
  });
  comm::together(world, [&] {
    if (!weights.empty()) require_usable(weights, data);
  });
  return weights;
}

}  // namespace trainer::train
