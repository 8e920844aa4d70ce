#include "ensemble.h"

#include <algorithm>
#include <cmath>

namespace trainer::train {

Ensemble::Ensemble(std::span<const LoadedModel> models,
                   std::vector<std::unique_ptr<const nn::RowSource>> sources, nn::TargetForm form,
                   int threads, std::span<const std::int64_t> sizes)
    : models_(models), sources_(std::move(sources)), form_(form) {
  for (const LoadedModel& model : models_) {
    passes_.push_back(std::make_unique<nn::InferencePass>(*model.network, model.loss, form, threads, sizes));
    passes_.back()->set(model.parameters.data(), model.statistics.data());
  }
  const std::int64_t size = kChunk * outputs();
  for (int t = 0; t < threads; ++t) {
    const auto count = static_cast<std::size_t>(size);
    threads_.push_back({Buffer<float>(size), Buffer<float>(size),
                        Buffer<float>(form == nn::TargetForm::values ? size : 0), std::vector<double>(count),
                        std::vector<double>(count), std::vector<std::int32_t>(kChunk),
                        std::vector<float>(kChunk)});
  }
}

// Welford, Note on a Method for Calculating Corrected Sums of Squares and Products, 1962.
std::int64_t Ensemble::merge(Range rows, int thread, const Samples& samples) const {
  Thread& mine = threads_[static_cast<std::size_t>(thread)];
  const std::int64_t count = rows.size() * outputs();
  std::int64_t merged = 0;
  std::fill_n(mine.mean.begin(), count, 0.0);
  std::fill_n(mine.squares.begin(), count, 0.0);
  const auto take_in = [&](std::size_t m, const nn::InferencePass::Sampling* sampling) {
    passes_[m]->predict(*sources_[m], rows, thread, mine.outputs.data(), mine.raw.data(), sampling);
    const data::Scaling& scaling = models_[m].target_scaling();
    if (scaling.features() > 0) scaling.invert(mine.outputs.data(), rows.size(), mine.outputs.data());
    ++merged;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto value = static_cast<double>(mine.outputs[i]);
      const double distance = value - mine.mean[at];
      mine.mean[at] += distance / static_cast<double>(merged);
      mine.squares[at] += distance * (value - mine.mean[at]);
    }
  };
  for (std::size_t m = 0; m < passes_.size(); ++m) {
    if (samples.count == 0) take_in(m, nullptr);
    for (std::int64_t s = 0; s < samples.count; ++s) {
      const nn::InferencePass::Sampling sampling{samples.seed, static_cast<std::uint64_t>(s)};
      take_in(m, &sampling);
    }
  }
  return merged;
}

nn::LossSums Ensemble::run(const nn::RowSource& source, Range rows, int thread, float* outputs_wanted,
                           float* raw) const {
  merge(rows, thread, {});
  Thread& mine = threads_[static_cast<std::size_t>(thread)];
  const std::int64_t count = rows.size() * outputs();
  float* mean = mine.outputs.data();
  const data::Scaling& scaling = models_[0].target_scaling();
  float* unscaled = scaling.features() > 0 ? mine.raw.data() : mean;
  for (std::int64_t i = 0; i < count; ++i)
    unscaled[i] = static_cast<float>(mine.mean[static_cast<std::size_t>(i)]);
  if (scaling.features() > 0) scaling.apply(unscaled, rows.size(), mean);
  for (float* wanted : {outputs_wanted, raw})
    if (wanted != nullptr) std::copy_n(mean, count, wanted);
  nn::Targets targets;
  if (form_ == nn::TargetForm::classes) {
    source.classes(rows, mine.classes.data());
    targets.classes = mine.classes.data();
  } else {
    source.values(rows, mine.values.data());
    targets.values = mine.values.data();
  }
  if (source.weighted()) {
    source.weights(rows, mine.weights.data());
    targets.weights = mine.weights.data();
  }
  return nn::loss_of_outputs(models_[0].loss, mean, rows.size(), outputs(), targets);
}

void Ensemble::predict(Range rows, int thread, const Samples& samples, float* mean, float* deviation,
                       float* classes) const {
  const auto merged = static_cast<double>(merge(rows, thread, samples));
  Thread& mine = threads_[static_cast<std::size_t>(thread)];
  const std::int64_t columns = outputs();
  for (std::int64_t i = 0; i < rows.size() * columns; ++i) {
    const auto at = static_cast<std::size_t>(i);
    mean[i] = static_cast<float>(mine.mean[at]);
    if (deviation != nullptr) deviation[i] = static_cast<float>(std::sqrt(mine.squares[at] / merged));
  }
  if (classes == nullptr) return;
  // Of a single pass as evaluation does it: before the joint activation, which may make outputs equal.
  const bool single = merged == 1;
  const float* from = single ? mine.raw.data() : mean;
  const float threshold = single ? passes_[0]->threshold() : 0.5f;
  for (std::int64_t r = 0; r < rows.size(); ++r)
    classes[r] = static_cast<float>(nn::predicted_class(from + r * columns, columns, threshold));
}

}  // namespace trainer::train
