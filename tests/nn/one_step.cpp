#include "one_step.h"

#include "batch_source.h"
#include "random_values.h"
#include "trainer/core/error.h"

namespace trainer::nn {

OneStep::OneStep(const std::string& model, const std::string& loss, std::int64_t inputs, std::int64_t outputs,
                 TargetForm form, std::int64_t rows)
    : job_({.model = model,
            .loss = loss,
            .inputs = inputs,
            .outputs = outputs,
            .form = form,
            .batches = {rows}}),
      parameters_(static_cast<std::size_t>(job_.network().parameter_floats())),
      statistics_(static_cast<std::size_t>(job_.network().statistic_floats())) {
  job_.network().initialise(1, parameters_.data(), statistics_.data());
}

const Tensor& OneStep::tensor(const std::string& path) const {
  for (const Tensor& candidate : job_.network().parameters())
    if (candidate.path == path) return candidate;
  fail(ErrorKind::internal, "no tensor ", path);
}

void OneStep::set(const std::string& path, const std::vector<float>& values) {
  Network::from_checkpoint(tensor(path), values, parameters_.data());
}

std::vector<float> OneStep::get(const std::string& path) const {
  return Network::to_checkpoint(tensor(path), parameters_.data());
}

LossSums OneStep::run(const reference::Batch& batch) {
  const auto result = job_.step(batch, 1, 1, parameters_, statistics_);
  flat_gradient_ = result.gradient;
  gradients_ = to_tensors(job_.network().parameters(), result.gradient.data());
  return result.sums;
}

void OneStep::descend(float rate) {
  for (std::size_t w = 0; w < parameters_.size(); ++w) parameters_[w] -= rate * flat_gradient_[w];
}

std::vector<float> OneStep::outputs(const reference::Batch& batch) const {
  InferencePass pass(job_.network(), Loss::parse(job_.setup().loss), job_.setup().form, 1,
                     std::span(&batch.rows, 1));
  pass.set(parameters_.data(), statistics_.data());
  std::vector<float> result(static_cast<std::size_t>(batch.rows * job_.setup().outputs));
  pass.run(BatchSource(batch, {0, batch.rows}), {0, batch.rows}, 0, result.data());
  return result;
}

reference::Batch one_row(std::vector<float> inputs, std::vector<float> values) {
  return {.rows = 1, .inputs = std::move(inputs), .values = std::move(values), .samples = {0}};
}

reference::Batch one_row(std::vector<float> inputs, std::int32_t label) {
  return {.rows = 1, .inputs = std::move(inputs), .classes = {label}, .samples = {0}};
}

}  // namespace trainer::nn
