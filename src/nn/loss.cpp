#include "trainer/nn/loss.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "loss_function.h"

namespace trainer::nn {
namespace {

/// ln(1 + u) for u in [0, 1], with a relative error of 1e-9: the series of 2 artanh(u / (2 + u)). Plain
/// arithmetic has the same bits wherever the compiler vectorises it; the library's functions need not.
double log_of_one_plus(double u) {
  const double s = u / (2 + u), q = s * s;
  double sum = 0;
  for (int k = 17; k >= 1; k -= 2) sum = sum * q + 1.0 / k;
  return 2 * s * sum;
}

}  // namespace

Loss Loss::parse(const std::string& source) {
  const ParsedText parsed("--loss", source);
  if (parsed.sequence().size() != 1)
    parsed.fail_at(0, "expected one loss, as in softmax_cross_entropy or mse");
  const Term& term = parsed.sequence()[0];
  const std::vector<std::string> names = {"softmax_cross_entropy", "binary_cross_entropy", "mse",
                                          "half_squared_error"};
  const auto found = std::find(names.begin(), names.end(), term.name);
  if (found == names.end()) {
    const std::string near = nearest_name(term.name, names);
    parsed.fail_at(
        term.offset,
        trainer::text(
            "unknown loss \"", term.name, "\"",
            near.empty() ? "; expected softmax_cross_entropy, binary_cross_entropy, mse or half_squared_error"
                         : "; did you mean " + near + "?"));
  }
  Loss loss;
  loss.kind = static_cast<LossKind>(found - names.begin());
  loss.text = source;
  ArgumentReader arguments(parsed, term);
  if (loss.kind == LossKind::softmax_cross_entropy)
    loss.label_smoothing = arguments.number("label_smoothing", 0, 1, 0.0, false, true);
  if (loss.kind == LossKind::binary_cross_entropy || loss.kind == LossKind::mse)
    loss.sum_outputs = arguments.word("outputs", {"mean", "sum"}, "mean") == "sum";
  arguments.finish();
  return loss;
}

std::string Loss::default_for(const std::string& task, std::int64_t outputs) {
  if (task != "classification") return "mse";
  return outputs == 1 ? "binary_cross_entropy" : "softmax_cross_entropy";
}

LayerKind Loss::joint_activation() const {
  if (kind == LossKind::softmax_cross_entropy) return LayerKind::softmax;
  if (kind == LossKind::binary_cross_entropy) return LayerKind::sigmoid;
  return LayerKind::dense;
}

Model join(Model model, const Loss& loss) {
  const LayerKind joint = loss.joint_activation();
  if (joint == LayerKind::dense) return model;
  const LayerSpec& last = model.layers().back();
  if (last.kind == joint) {
    if (model.layers().size() == 1)
      model.parsed().fail_at(last.offset, "the model holds nothing but its output activation");
    model.drop_last();
  } else if (is_activation(last.kind)) {
    model.parsed().fail_at(
        last.offset, text("the loss ", loss.text, " computes its own output activation (",
                          joint == LayerKind::softmax ? "softmax" : "sigmoid", "); a model that ends with ",
                          last.name, " does not fit it: leave ", last.name, " out or take another --loss"));
  }
  return model;
}

LossFunction::LossFunction(const Loss& loss, std::int64_t outputs, int threads, std::int64_t max_rows)
    : loss_(loss), outputs_(outputs) {
  require(loss.kind != LossKind::softmax_cross_entropy || outputs > 1, ErrorKind::usage,
          "--loss softmax_cross_entropy needs at least 2 outputs; with one output take binary_cross_entropy");
  if (loss.kind == LossKind::binary_cross_entropy)
    for (int t = 0; t < threads; ++t) scratch_.emplace_back(max_rows * outputs);
}

void LossFunction::prepare(KernelFactory& factory, std::int64_t rows) {
  Kernels& kernels = kernels_[rows];
  const std::int64_t count = rows * outputs_;
  if (loss_.joint_activation() != LayerKind::dense) kernels.exp = factory.elementwise(Function::exp, count);
  if (loss_.kind == LossKind::binary_cross_entropy)
    kernels.sigmoid = factory.elementwise(Function::sigmoid, count);
}

LossSums LossFunction::operator()(const float* z, std::int64_t rows, const Targets& targets, float* gradient,
                                  int thread) const {
  switch (loss_.kind) {
    case LossKind::softmax_cross_entropy:
      return softmax_cross_entropy(z, rows, targets, gradient, thread);
    case LossKind::binary_cross_entropy:
      return binary_cross_entropy(z, rows, targets, gradient, thread);
    case LossKind::mse:
    case LossKind::half_squared_error:
      return squared_error(z, rows, targets, gradient);
  }
  fail(ErrorKind::internal, "unknown loss");
}

/// The target of output k: a value, or one-hot of the class (one output: the 0/1 label), not smoothed.
float LossFunction::target(const Targets& targets, std::int64_t row, std::int64_t k) const {
  if (targets.values != nullptr) return targets.values[row * outputs_ + k];
  const std::int32_t label = targets.classes[row];
  return outputs_ == 1 ? static_cast<float>(label) : (label == k ? 1.0f : 0.0f);
}

/// 1 when the row's class is the predicted one: arg max (the lowest index on a tie) or, with one output,
/// score >= threshold.
double LossFunction::correct(const float* scores, std::int64_t row, const Targets& targets,
                             float threshold) const {
  const float* mine = scores + row * outputs_;
  if (outputs_ == 1) {
    const bool wanted = target(targets, row, 0) >= 0.5f;
    return (mine[0] >= threshold) == wanted && !std::isnan(mine[0]) ? 1 : 0;
  }
  const std::int64_t best = std::max_element(mine, mine + outputs_) - mine;
  if (std::isnan(mine[best])) return 0;
  if (targets.classes != nullptr) return best == targets.classes[row] ? 1 : 0;
  const float* wanted = targets.values + row * outputs_;
  return best == std::max_element(wanted, wanted + outputs_) - wanted ? 1 : 0;
}

// -sum_k q_k ln p_k = sum_k q_k (ln s - (z_k - m)), with m = max z, s = sum_k exp(z_k - m). The gradient is p
// sum(q) - q.
LossSums LossFunction::softmax_cross_entropy(const float* z, std::int64_t rows, const Targets& targets,
                                             float* gradient, int thread) const {
  const std::int64_t columns = outputs_;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* mine = z + r * columns;
    const float largest = *std::max_element(mine, mine + columns);
    for (std::int64_t k = 0; k < columns; ++k) gradient[r * columns + k] = mine[k] - largest;
  }
  kernels_.at(rows).exp(thread, {gradient, gradient});
  const double e = loss_.label_smoothing;
  const double other = columns > 1 ? e / static_cast<double>(columns - 1) : 0.0;
  LossSums sums;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* mine = z + r * columns;
    float* g = gradient + r * columns;
    const auto largest = static_cast<double>(*std::max_element(mine, mine + columns));
    double s = 0;
    for (std::int64_t k = 0; k < columns; ++k) s += static_cast<double>(g[k]);
    const double log_s = std::log(s);
    const auto inverse = static_cast<float>(1.0 / s);
    if (targets.classes != nullptr && e == 0) {
      const std::int32_t label = targets.classes[r];
      sums.loss += log_s - (static_cast<double>(mine[label]) - largest);
      for (std::int64_t k = 0; k < columns; ++k) g[k] *= inverse;
      g[label] -= 1.0f;
    } else {
      double loss = 0, weight = 0;
      for (std::int64_t k = 0; k < columns; ++k) {
        double q = static_cast<double>(target(targets, r, k));
        if (e > 0) q = q * (1 - e) + (1 - q) * other;
        weight += q;
        if (q != 0) loss += q * (log_s - (static_cast<double>(mine[k]) - largest));
      }
      for (std::int64_t k = 0; k < columns; ++k) {
        double q = static_cast<double>(target(targets, r, k));
        if (e > 0) q = q * (1 - e) + (1 - q) * other;
        g[k] = static_cast<float>(static_cast<double>(g[k]) / s * weight - q);
      }
      sums.loss += loss;
    }
    sums.correct += correct(z, r, targets, 0);
  }
  return sums;
}

// softplus(z) - z t for each output: -(t ln p + (1 - t) ln(1 - p)) with p = sigmoid(z). The gradient is p -
// t. softplus(z) is max(z, 0) + ln(1 + exp(-|z|)), which keeps the small losses of outputs that are sure and
// right (oneDNN's own does not).
LossSums LossFunction::binary_cross_entropy(const float* z, std::int64_t rows, const Targets& targets,
                                            float* gradient, int thread) const {
  const Kernels& kernels = kernels_.at(rows);
  float* exponential = scratch_[static_cast<std::size_t>(thread)].data();
  kernels.sigmoid(thread, {const_cast<float*>(z), gradient});
  for (std::int64_t i = 0; i < rows * outputs_; ++i) exponential[i] = -std::abs(z[i]);
  kernels.exp(thread, {exponential, exponential});
  const double share = loss_.sum_outputs ? 1.0 : 1.0 / static_cast<double>(outputs_);
  LossSums sums;
  for (std::int64_t r = 0; r < rows; ++r) {
    double loss = 0;
    for (std::int64_t k = 0; k < outputs_; ++k) {
      const std::int64_t i = r * outputs_ + k;
      const float t = target(targets, r, k);
      const auto logit = static_cast<double>(z[i]);
      const double softplus =
          (logit < 0 ? 0.0 : logit) + log_of_one_plus(static_cast<double>(exponential[i]));
      loss += softplus - logit * static_cast<double>(t);
      gradient[i] = (gradient[i] - t) * static_cast<float>(share);
    }
    sums.loss += loss * share;
    sums.correct += correct(z, r, targets, 0.0f);  // p >= 1/2 is z >= 0
  }
  return sums;
}

LossSums LossFunction::squared_error(const float* z, std::int64_t rows, const Targets& targets,
                                     float* gradient) const {
  const bool half = loss_.kind == LossKind::half_squared_error;
  const double share = half ? 0.5 : loss_.sum_outputs ? 1.0 : 1.0 / static_cast<double>(outputs_);
  const auto slope = static_cast<float>(2 * share);
  LossSums sums;
  for (std::int64_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (std::int64_t k = 0; k < outputs_; ++k) {
      const std::int64_t i = r * outputs_ + k;
      const float difference = z[i] - target(targets, r, k);
      squares += static_cast<double>(difference) * static_cast<double>(difference);
      gradient[i] = slope * difference;
    }
    sums.loss += share * squares;
    sums.correct += correct(z, r, targets, 0.5f);
  }
  return sums;
}

void LossFunction::activate(const float* z, std::int64_t rows, float* out, int thread) const {
  const std::int64_t count = rows * outputs_;
  if (loss_.kind == LossKind::binary_cross_entropy) {
    kernels_.at(rows).sigmoid(thread, {const_cast<float*>(z), out});
    return;
  }
  if (loss_.kind != LossKind::softmax_cross_entropy) {
    std::copy_n(z, count, out);
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const float largest = *std::max_element(z + r * outputs_, z + (r + 1) * outputs_);
    for (std::int64_t k = 0; k < outputs_; ++k) out[r * outputs_ + k] = z[r * outputs_ + k] - largest;
  }
  kernels_.at(rows).exp(thread, {out, out});
  for (std::int64_t r = 0; r < rows; ++r) {
    double s = 0;
    for (std::int64_t k = 0; k < outputs_; ++k) s += static_cast<double>(out[r * outputs_ + k]);
    for (std::int64_t k = 0; k < outputs_; ++k)
      out[r * outputs_ + k] = static_cast<float>(static_cast<double>(out[r * outputs_ + k]) / s);
  }
}

}  // namespace trainer::nn
