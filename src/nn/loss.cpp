#include "trainer/nn/loss.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "loss_function.h"

namespace trainer::nn {
namespace {

// Plain arithmetic has the same bits wherever the compiler vectorises it; the library's functions need not.

/// 2 artanh(s) = ln((1 + s) / (1 - s)), with a relative error of 1e-9 for |s| <= 1/3.
double twice_artanh(double s) {
  const double q = s * s;
  double sum = 0;
  for (int k = 17; k >= 1; k -= 2) sum = sum * q + 1.0 / k;
  return 2 * s * sum;
}

/// ln(1 + u) for u in [0, 1].
double log_of_one_plus(double u) { return twice_artanh(u / (2 + u)); }

/// ln x for x > 0 in the range of floats; nan below. oneDNN 2.6 is 4e-6 away from the small values.
double logarithm(float x) {
  if (!(x > 0.0f) || x > std::numeric_limits<float>::max()) return std::numeric_limits<double>::quiet_NaN();
  constexpr std::int64_t kOne = 0x3ff0000000000000, kRootHalf = 0x3fe6a09e667f3bcd;  // bits of 1, sqrt(1/2)
  constexpr std::int64_t kMantissa = 0x000fffffffffffff;
  const auto bits = std::bit_cast<std::int64_t>(static_cast<double>(x)) + (kOne - kRootHalf);
  const auto m = std::bit_cast<double>((bits & kMantissa) + kRootHalf);  // in [sqrt(1/2), sqrt 2)
  return static_cast<double>((bits >> 52) - 1023) * std::numbers::ln2 + twice_artanh((m - 1) / (m + 1));
}

const std::vector<std::string> kNames = {
    "softmax_cross_entropy", "binary_cross_entropy", "mse", "half_squared_error", "mae", "huber",
    "kl_divergence"};

bool has_average(LossKind kind) {
  return kind == LossKind::binary_cross_entropy || kind == LossKind::mse || kind == LossKind::mae ||
         kind == LossKind::huber;
}

}  // namespace

Loss Loss::parse(const std::string& source) {
  const ParsedText parsed("--loss", source);
  if (parsed.sequence().size() != 1)
    parsed.fail_at(0, "expected one loss, as in softmax_cross_entropy or mse");
  const Term& term = parsed.sequence()[0];
  const auto found = std::find(kNames.begin(), kNames.end(), term.name);
  if (found == kNames.end()) {
    const std::string near = nearest_name(term.name, kNames);
    parsed.fail_at(
        term.offset,
        trainer::text("unknown loss \"", term.name, "\"",
                      near.empty() ? "; expected softmax_cross_entropy, binary_cross_entropy, mse, "
                                     "half_squared_error, mae, huber or kl_divergence"
                                   : "; did you mean " + near + "?"));
  }
  Loss loss;
  loss.kind = static_cast<LossKind>(found - kNames.begin());
  loss.text = source;
  ArgumentReader arguments(parsed, term);
  if (loss.kind == LossKind::softmax_cross_entropy)
    loss.label_smoothing = arguments.number("label_smoothing", 0, 1, 0.0, false, true);
  if (loss.kind == LossKind::huber) loss.delta = arguments.number("delta", 0, 1e30, 1.0, true);
  if (has_average(loss.kind)) loss.sum_outputs = arguments.word("outputs", {"mean", "sum"}, "mean") == "sum";
  arguments.finish();
  return loss;
}

std::string Loss::default_for(const std::string& task, std::int64_t outputs) {
  if (task != "classification") return "mse";
  return outputs == 1 ? "binary_cross_entropy" : "softmax_cross_entropy";
}

LayerKind Loss::joint_activation() const {
  if (kind == LossKind::softmax_cross_entropy || kind == LossKind::kl_divergence) return LayerKind::softmax;
  if (kind == LossKind::binary_cross_entropy) return LayerKind::sigmoid;
  return LayerKind::dense;
}

std::int32_t predicted_class(const float* values, std::int64_t count, float threshold) {
  if (std::any_of(values, values + count, [](float value) { return std::isnan(value); })) return -1;
  if (count == 1) return values[0] >= threshold ? 1 : 0;
  return static_cast<std::int32_t>(std::max_element(values, values + count) - values);
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
  require(loss.joint_activation() != LayerKind::softmax || outputs > 1, ErrorKind::usage, "--loss ",
          kNames[static_cast<std::size_t>(loss.kind)],
          " needs at least 2 outputs; with one output take binary_cross_entropy");
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
    case LossKind::kl_divergence:
      return softmax_cross_entropy(z, rows, targets, gradient, thread);
    case LossKind::binary_cross_entropy:
      return binary_cross_entropy(z, rows, targets, gradient, thread);
    case LossKind::mse:
    case LossKind::half_squared_error:
      return difference(z, rows, targets, gradient, share(), [](float d, double& loss, float& slope) {
        loss += static_cast<double>(d) * static_cast<double>(d);
        slope = 2 * d;
      });
    case LossKind::mae:
      return difference(z, rows, targets, gradient, share(), [](float d, double& loss, float& slope) {
        loss += static_cast<double>(std::abs(d));
        slope = d > 0 ? 1.0f : d < 0 ? -1.0f : d;  // a nan stays a nan
      });
    case LossKind::huber: {
      const auto delta = static_cast<float>(loss_.delta);
      return difference(z, rows, targets, gradient, share(), [delta](float d, double& loss, float& slope) {
        slope = d > delta ? delta : d < -delta ? -delta : d;
        // 1/2 d^2 is slope (d - slope / 2) too.
        loss += static_cast<double>(slope) * (static_cast<double>(d) - 0.5 * static_cast<double>(slope));
      });
    }
  }
  fail(ErrorKind::internal, "unknown loss");
}

double LossFunction::share() const {
  if (loss_.kind == LossKind::half_squared_error) return 0.5;
  return has_average(loss_.kind) && !loss_.sum_outputs ? 1.0 / static_cast<double>(outputs_) : 1.0;
}

double LossFunction::weighted(double loss, const Targets& targets, std::int64_t row, float* gradient) const {
  if (targets.weights == nullptr) return loss;
  const float weight = targets.weights[row];
  for (std::int64_t k = 0; k < outputs_; ++k) gradient[row * outputs_ + k] *= weight;
  return loss * static_cast<double>(weight);
}

/// The target of output k: a value, or one-hot of the class (one output: the 0/1 label), not smoothed.
float LossFunction::target(const Targets& targets, std::int64_t row, std::int64_t k) const {
  if (targets.values != nullptr) return targets.values[row * outputs_ + k];
  const std::int32_t label = targets.classes[row];
  return outputs_ == 1 ? static_cast<float>(label) : (label == k ? 1.0f : 0.0f);
}

/// 1 when the row's class is the predicted one.
double LossFunction::correct(const float* z, std::int64_t row, const Targets& targets) const {
  const std::int32_t predicted = predicted_class(z + row * outputs_, outputs_, loss_.threshold());
  if (predicted < 0) return 0;
  const std::int32_t wanted = targets.classes != nullptr
                                  ? targets.classes[row]
                                  : predicted_class(targets.values + row * outputs_, outputs_, 0.5f);
  return predicted == wanted ? 1 : 0;
}

// -sum_k q_k ln p_k = sum_k q_k (ln s - (z_k - m)), with m = max z, s = sum_k exp(z_k - m). The gradient is p
// sum(q) - q. Kullback-Leibler adds sum_k q_k ln q_k to it, which is 0 for a class.
LossSums LossFunction::softmax_cross_entropy(const float* z, std::int64_t rows, const Targets& targets,
                                             float* gradient, int thread) const {
  const std::int64_t columns = outputs_;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* mine = z + r * columns;
    const float largest = *std::max_element(mine, mine + columns);
    for (std::int64_t k = 0; k < columns; ++k) gradient[r * columns + k] = mine[k] - largest;
  }
  kernels_.at(rows).exp(thread, {gradient, gradient});
  const bool divergence = loss_.kind == LossKind::kl_divergence;
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
      for (std::int64_t k = 0; k < columns; ++k) g[k] *= inverse;
      g[label] -= 1.0f;
      sums.loss += weighted(log_s - (static_cast<double>(mine[label]) - largest), targets, r, gradient);
    } else {
      double loss = 0, weight = 0;
      for (std::int64_t k = 0; k < columns; ++k) {
        double q = static_cast<double>(target(targets, r, k));
        if (e > 0) q = q * (1 - e) + (1 - q) * other;
        weight += q;
        if (q == 0) continue;
        const double log_q = divergence ? logarithm(target(targets, r, k)) : 0.0;
        loss += q * (log_q + (log_s - (static_cast<double>(mine[k]) - largest)));
      }
      for (std::int64_t k = 0; k < columns; ++k) {
        double q = static_cast<double>(target(targets, r, k));
        if (e > 0) q = q * (1 - e) + (1 - q) * other;
        g[k] = static_cast<float>(static_cast<double>(g[k]) / s * weight - q);
      }
      sums.loss += weighted(loss, targets, r, gradient);
    }
    sums.correct += correct(z, r, targets);
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
  const double per_output = share();
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
      gradient[i] = (gradient[i] - t) * static_cast<float>(per_output);
    }
    sums.loss += weighted(loss * per_output, targets, r, gradient);
    sums.correct += correct(z, r, targets);
  }
  return sums;
}

template <class Term>
LossSums LossFunction::difference(const float* z, std::int64_t rows, const Targets& targets, float* gradient,
                                  double share, const Term& term) const {
  const auto factor = static_cast<float>(share);
  LossSums sums;
  for (std::int64_t r = 0; r < rows; ++r) {
    double loss = 0;
    for (std::int64_t k = 0; k < outputs_; ++k) {
      const std::int64_t i = r * outputs_ + k;
      float slope = 0;
      term(z[i] - target(targets, r, k), loss, slope);
      gradient[i] = factor * slope;
    }
    sums.loss += weighted(share * loss, targets, r, gradient);
    sums.correct += correct(z, r, targets);
  }
  return sums;
}

void LossFunction::activate(const float* z, std::int64_t rows, float* out, int thread) const {
  const std::int64_t count = rows * outputs_;
  if (loss_.kind == LossKind::binary_cross_entropy) {
    kernels_.at(rows).sigmoid(thread, {const_cast<float*>(z), out});
    return;
  }
  if (loss_.joint_activation() != LayerKind::softmax) {
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
