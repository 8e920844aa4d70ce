#pragma once

// Predictions of one model or the mean of several. Private to this room.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "loaded_model.h"
#include "trainer/core/buffer.h"
#include "trainer/nn/pass.h"

namespace trainer::train {

/// How often each model is run with dropout and noise at work; 0 samples: once, without.
struct Samples {
  std::int64_t count = 0;
  std::uint64_t seed = 0;
};

/// The mean over several models, and over several samples of each, of their activated outputs in original
/// units: probabilities, or values as the targets were before they were scaled. Mean and deviation are made
/// in double, models in their order, so a row's bits depend on the row, the models and the samples alone.
class Ensemble final : public nn::Inference {
 public:
  /// `sources`: for each model the same rows as it takes them. All outlive this object. `sizes`: of the
  /// chunks.
  Ensemble(std::span<const LoadedModel> models, std::vector<std::unique_ptr<const nn::RowSource>> sources,
           nn::TargetForm form, int threads, std::span<const std::int64_t> sizes);

  /// The mean of the models as one model would give it: outputs in the scaling of the first one's targets,
  /// the loss by the first one's loss. `source`: that of the first model. `raw` gets the outputs, too.
  nn::LossSums run(const nn::RowSource& source, Range rows, int thread, float* outputs = nullptr,
                   float* raw = nullptr) const override;
  float threshold() const override { return 0.5f; }

  /// One chunk in original units. mean: [rows, outputs]; deviation: [rows, outputs], the standard deviation
  /// over models and samples (of them all, not of a sample of them), or null; classes: [rows], by number, -1
  /// where an output is nan, or null. Thread-safe for different `thread`.
  void predict(Range rows, int thread, const Samples& samples, float* mean, float* deviation,
               float* classes) const;
  std::int64_t outputs() const { return models_[0].outputs; }

 private:
  struct Thread {
    Buffer<float> outputs, raw, values;  // [kChunk, outputs]
    std::vector<double> mean, squares;   // [kChunk, outputs]; sums of squared distances from the mean
    std::vector<std::int32_t> classes;   // [kChunk]
    std::vector<float> weights;          // [kChunk]
  };
  /// Leaves mean and squares in the thread's memory; returns how many were merged.
  std::int64_t merge(Range rows, int thread, const Samples& samples) const;

  std::span<const LoadedModel> models_;
  std::vector<std::unique_ptr<const nn::RowSource>> sources_;
  nn::TargetForm form_;
  std::vector<std::unique_ptr<nn::InferencePass>> passes_;
  mutable std::vector<Thread> threads_;
};

}  // namespace trainer::train
