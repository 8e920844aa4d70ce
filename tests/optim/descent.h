#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "trainer/optim/optimizer.h"
#include "trainer/optim/penalty.h"

namespace trainer::optim {

/// Parameters and state of one optimizer for one tensor, as one rank would keep them. Layer-wise optimizers
/// are driven as optimizer.h asks for, with the whole tensor as one block.
class Descent {
 public:
  Descent(const std::string& source, std::vector<float> parameters, bool decayed = true)
      : optimizer_(Optimizer::parse(source)),
        decayed_(decayed),
        parameters_(std::move(parameters)),
        state_(optimizer_->state_names().size(), std::vector<float>(parameters_.size())) {}

  void step(const std::vector<float>& gradient, double rate) {
    step_with(gradient, rate, {{0, parameters_.size()}});
  }
  /// The same step in pieces of 1, 2, 3, ... elements.
  void step_in_pieces(const std::vector<float>& gradient, double rate) {
    Pieces pieces;
    std::size_t length = 1;
    for (std::size_t begin = 0; begin < parameters_.size(); begin += length++)
      pieces.emplace_back(begin, std::min(length, parameters_.size() - begin));
    step_with(gradient, rate, pieces);
  }

  const Optimizer& optimizer() const { return *optimizer_; }
  const std::vector<float>& parameters() const { return parameters_; }
  const std::vector<std::vector<float>>& state() const { return state_; }

 private:
  using Pieces = std::vector<std::pair<std::size_t, std::size_t>>;

  static double norm(const std::vector<float>& values) {
    return std::sqrt(sum_of_squares(values.data(), static_cast<std::int64_t>(values.size())));
  }

  std::vector<float*> state_at(std::size_t begin) {
    std::vector<float*> state;
    for (std::vector<float>& values : state_) state.push_back(values.data() + begin);
    return state;
  }

  void step_with(std::vector<float> gradient, double rate, const Pieces& pieces) {
    ++step_;
    if (optimizer_->is_layerwise()) rate *= take_direction(gradient, pieces);
    for (const auto& [begin, length] : pieces)
      optimizer_->update(parameters_.data() + begin, gradient.data() + begin, state_at(begin),
                         static_cast<std::int64_t>(length), rate, step_, decayed_);
  }

  /// Returns the trust ratio.
  double take_direction(std::vector<float>& gradient, const Pieces& pieces) {
    const double gradient_norm = norm(gradient);
    for (const auto& [begin, length] : pieces)
      optimizer_->direction(parameters_.data() + begin, gradient.data() + begin, state_at(begin),
                            static_cast<std::int64_t>(length), step_, decayed_);
    return optimizer_->trust_ratio(norm(parameters_), gradient_norm, norm(gradient), decayed_);
  }

  std::unique_ptr<Optimizer> optimizer_;
  bool decayed_;
  std::vector<float> parameters_;
  std::vector<std::vector<float>> state_;
  std::int64_t step_ = 0;
};

/// Values of many magnitudes and both signs, one in eight of them zero.
class Values {
 public:
  explicit Values(unsigned seed) : generator_(seed) {}
  /// Magnitudes from 1e-6 to 100.
  std::vector<float> draw(std::size_t count) { return draw(count, 2); }
  /// Magnitudes up to 1e15, the squares of which are finite.
  std::vector<float> draw_huge(std::size_t count) { return draw(count, 15); }

 private:
  std::vector<float> draw(std::size_t count, float largest_exponent) {
    std::uniform_real_distribution<float> exponent(-6, largest_exponent);
    std::uniform_int_distribution<int> kind(0, 7);
    std::vector<float> result(count);
    for (float& value : result) {
      const int drawn = kind(generator_);
      const float magnitude = std::pow(10.0F, exponent(generator_));
      value = drawn == 0 ? 0 : (drawn % 2 == 0 ? magnitude : -magnitude);
    }
    return result;
  }

  std::mt19937 generator_;
};

/// One text for each path through update().
inline const std::vector<std::string>& elementwise_texts() {
  static const std::vector<std::string> texts = {
      "sgd",     "sgd(0.9)", "sgd(0.9, true)",         "adagrad",
      "rmsprop", "adam",     "adam(inside_root=true)", "adamw(weight_decay=0.1)"};
  return texts;
}
inline const std::vector<std::string>& layerwise_texts() {
  static const std::vector<std::string> texts = {"lars", "lars(weight_decay=0.1)", "lamb"};
  return texts;
}
inline std::vector<std::string> all_texts() {
  std::vector<std::string> texts = elementwise_texts();
  texts.insert(texts.end(), layerwise_texts().begin(), layerwise_texts().end());
  return texts;
}

}  // namespace trainer::optim
