#include "showcase.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <tuple>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/h5/file.h"

namespace trainer::train {
namespace {

constexpr std::size_t kExamples = 25;

bool is_worse(const Example& a, const Example& b) {
  return std::tie(a.probability, a.row) < std::tie(b.probability, b.row);
}

void keep_worst(std::vector<Example>& examples) {
  std::ranges::sort(examples, is_worse);
  if (examples.size() > kExamples) examples.resize(kExamples);
}

/// Points of the plane, in original units.
class Points final : public nn::RowSource {
 public:
  Points(std::vector<float> values, const data::Scaling& scaling)
      : values_(std::move(values)), scaling_(scaling) {}
  void inputs(Range rows, float* out) const override {
    scaling_.apply(values_.data() + rows.begin * 2, rows.size(), out);
  }
  void classes(Range, std::int32_t*) const override { fail(ErrorKind::internal, "points have no class"); }
  void values(Range, float*) const override { fail(ErrorKind::internal, "points have no values"); }
  std::int64_t sample(std::int64_t row) const override { return row; }

 private:
  std::vector<float> values_;
  const data::Scaling& scaling_;
};

/// `count` places from a tenth below the least of a column to a tenth above the greatest.
std::vector<float> places(const std::vector<float>& points, std::size_t column, std::int64_t count) {
  float least = points[column], most = points[column];
  for (std::size_t i = column; i < points.size(); i += 2) {
    least = std::min(least, points[i]);
    most = std::max(most, points[i]);
  }
  const float margin = std::max((most - least) / 10, 1e-3f * std::max(1.0f, std::abs(most)));
  std::vector<float> list;
  for (std::int64_t i = 0; i < count; ++i)
    list.push_back(least - margin +
                   (most - least + 2 * margin) * static_cast<float>(i) / static_cast<float>(count - 1));
  return list;
}

}  // namespace

std::vector<Example> most_wrong(const comm::Communicator& world, const Team& team,
                                const nn::RowSource& source, std::int64_t rows, const nn::Inference& pass,
                                std::int64_t outputs) {
  constexpr std::int64_t kChunk = nn::Inference::kChunk;
  const Range mine = cut((rows + kChunk - 1) / kChunk, world.size(), world.rank());
  std::vector<std::vector<Example>> of_threads(static_cast<std::size_t>(team.size()));
  team.run(mine.size(), [&](std::int64_t c, int thread) {
    const std::int64_t begin = (mine.begin + c) * kChunk;
    const Range chunk{begin, std::min(rows, begin + kChunk)};
    const auto size = static_cast<std::size_t>(chunk.size());
    std::vector<float> out(size * static_cast<std::size_t>(outputs)), raw(out.size());
    std::vector<std::int32_t> classes(size);
    pass.run(source, chunk, thread, out.data(), raw.data());
    source.classes(chunk, classes.data());
    std::vector<Example>& examples = of_threads[static_cast<std::size_t>(thread)];
    for (std::size_t i = 0; i < size; ++i) {
      const float* row = out.data() + i * static_cast<std::size_t>(outputs);
      const float right = outputs == 1 ? (classes[i] == 1 ? row[0] : 1 - row[0]) : row[classes[i]];
      examples.push_back(
          {source.sample(chunk.begin + static_cast<std::int64_t>(i)), classes[i],
           nn::predicted_class(raw.data() + i * static_cast<std::size_t>(outputs), outputs, pass.threshold()),
           std::isnan(right) ? 0 : right});
    }
    keep_worst(examples);
  });
  std::string words;
  for (const auto& examples : of_threads)
    for (const Example& one : examples)
      words += text(one.row, ' ', one.target, ' ', one.predicted, ' ', format_number(one.probability), '\n');
  std::vector<Example> all;
  for (const std::string& of_rank : world.all_gather(words)) {
    std::istringstream lines(of_rank);
    for (Example one; lines >> one.row >> one.target >> one.predicted >> one.probability;) all.push_back(one);
  }
  keep_worst(all);
  return all;
}

void write_examples(const std::string& path, const data::DataSet& data,
                    const std::vector<Example>& examples) {
  std::vector<std::int64_t> rows, targets, predicted;
  std::vector<float> probabilities, losses;
  for (const Example& one : examples) {
    rows.push_back(one.row);
    targets.push_back(one.target);
    predicted.push_back(one.predicted);
    probabilities.push_back(one.probability);
    losses.push_back(-std::log(std::max(one.probability, 1e-38f)));
  }
  const std::int64_t features = data.facts().features;
  const std::int64_t shape[] = {static_cast<std::int64_t>(rows.size()), features};
  std::vector<float> inputs(rows.size() * static_cast<std::size_t>(features));
  data.gather(rows, inputs.data());
  h5::File file = h5::File::create(path);
  const auto write = [&](const char* name, const auto& values) {
    file.write(name, std::span(shape, 1), std::span(values.data(), values.size()));
  };
  file.write("/inputs", shape, std::span<const float>(inputs));
  file.set_attribute("/inputs", "shape", data.facts().feature_shape);
  write("/row", rows);
  write("/target", targets);
  write("/predicted", predicted);
  write("/probability", probabilities);
  write("/loss", losses);
  file.close();
}

void write_surface(const std::string& path, const Prepared& prepared, const float* parameters,
                   const float* statistics) {
  constexpr std::int64_t kPlaces = 101, kPoints = 500;
  const PreparedData& data = *prepared.data;
  const std::vector<std::int64_t> rows = data::spread(data.split.training, kPoints).list();
  std::vector<float> points(rows.size() * 2);
  data.opened.train->gather(rows, points.data());
  const std::vector<float> x = places(points, 0, kPlaces), y = places(points, 1, kPlaces);
  std::vector<float> plane;
  for (const float v : y)
    for (const float u : x) plane.insert(plane.end(), {u, v});
  const std::int64_t size = kPlaces * kPlaces, outputs = prepared.network->model().outputs();
  constexpr std::int64_t kChunk = nn::Inference::kChunk;
  nn::InferencePass pass(*prepared.network, prepared.loss, data.form, 1,
                         std::vector<std::int64_t>{kChunk, size % kChunk});
  pass.set(parameters, statistics);
  const Points source(std::move(plane), data.scalings.inputs);
  std::vector<float> out(static_cast<std::size_t>(size * outputs));
  for (std::int64_t begin = 0; begin < size; begin += kChunk)
    pass.predict(source, {begin, std::min(size, begin + kChunk)}, 0, out.data() + begin * outputs);
  h5::File file = h5::File::create(path);
  const std::int64_t places_shape[] = {kPlaces}, out_shape[] = {kPlaces, kPlaces, outputs};
  file.write("/x", places_shape, std::span<const float>(x));
  file.write("/y", places_shape, std::span<const float>(y));
  file.write("/output", out_shape, std::span<const float>(out));
  if (data.facts().kind == data::TargetKind::classes) {
    std::vector<std::int32_t> classes(rows.size());
    data.opened.train->gather_classes(rows, classes.data());
    const std::int64_t shape[] = {static_cast<std::int64_t>(rows.size()), 2};
    file.write("/points", shape, std::span<const float>(points));
    file.write("/classes", std::span(shape, 1),
               std::span<const std::int64_t>(std::vector<std::int64_t>(classes.begin(), classes.end())));
  }
  file.close();
}

}  // namespace trainer::train
