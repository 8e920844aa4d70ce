#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trainer::optim {

/// A rule that changes parameters by their gradient and a state of its own. The state belongs to the caller,
/// so that each rank keeps only that of the slices it owns. Known (g: gradient, w: parameter):
///
/// `sgd(momentum=0, nesterov=false)`: v = momentum v + g, w -= rate v (nesterov: rate (g + momentum v)).
///
/// `adagrad(epsilon=1e-8)`: s += g^2, w -= rate g / (sqrt(s) + epsilon) (Duchi, Hazan and Singer 2011).
///
/// `rmsprop(beta=0.99, epsilon=1e-8)`: v = beta v + (1 - beta) g^2, w -= rate g / (sqrt(v) + epsilon)
/// (Tieleman and Hinton 2012; epsilon as in PyTorch).
///
/// `adam(beta1=0.9, beta2=0.999, epsilon=1e-8, inside_root=false)`: Kingma and Ba 2015, algorithm 1.
///
/// `adamw(beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01)`: adam, and w -= rate weight_decay w with
/// the w before the step (Loshchilov and Hutter 2019, algorithm 2, the decay multiplied by the rate as in
/// PyTorch).
///
/// `lars(momentum=0.9, trust=0.001, weight_decay=0)`: d = g + weight_decay w, ratio = trust |w| / (|g| +
/// weight_decay |w|), v = momentum v + rate ratio d, w -= v (You, Gitman and Ginsburg 2017, algorithm 1).
///
/// `lamb(beta1=0.9, beta2=0.999, epsilon=1e-6, weight_decay=0.01)`: d = adam's corrected m / (sqrt(v) +
/// epsilon) + weight_decay w, ratio = |w| / |d|, w -= rate ratio d (You et al. 2020, algorithm 2, phi the
/// identity; epsilon is theirs).
///
/// The norms of lars and lamb are those of one tensor, so a step of theirs has three parts, between which the
/// caller sums over blocks and ranks. For each tensor, after clipping and penalties:
///   1. of each block: sum_of_squares of the parameters and of the gradient;
///   2. direction(), which replaces the gradient; of each block: sum_of_squares of that direction;
///   3. the sums over all blocks of the tensor, in the order of the blocks, and their square roots;
///   4. update() with the direction as its gradient and rate * trust_ratio(...) as its rate.
/// With blocks that depend on the tensor alone the bits depend on neither ranks nor threads.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// The optimizer that `source` (the value of --optimizer) describes. Throws Error(usage) with a caret.
  static std::unique_ptr<Optimizer> parse(const std::string& source);

  /// The text it was parsed from, as given.
  virtual const std::string& text() const { return description_.text; }
  /// The rate taken when --lr is absent.
  virtual double default_rate() const { return description_.default_rate; }
  /// One name for each array of the state, such as {"first_moment", "second_moment"}; empty when it has none.
  virtual const std::vector<std::string>& state_names() const { return description_.state_names; }

  /// One step: parameters[i], gradient[i] and state[k][i], i < count, k < state_names().size(). The state is
  /// zero before step 1; `step` counts from 1; `rate` is this step's learning rate; `decayed` says whether
  /// the optimizer's own weight decay applies to these parameters (it means nothing to those without). The
  /// arrays do not overlap; none needs alignment. Elementwise: the same bits wherever a run of elements is
  /// cut. May be called by several threads at once on different elements. Values of the state nearer to zero
  /// than the smallest normal float become zero. Layer-wise optimizers take the direction in place of the
  /// gradient and the rate times the trust ratio. Throws Error(internal) when the number of state arrays or
  /// the step is wrong.
  virtual void update(float* parameters, const float* gradient, std::span<float* const> state,
                      std::int64_t count, double rate, std::int64_t step, bool decayed) const = 0;

  /// Whether steps need direction() and trust_ratio().
  virtual bool is_layerwise() const { return false; }
  /// Layer-wise: replaces the gradient by the direction of this step, its weight decay included when
  /// `decayed`, and moves the moments. Arguments as of update(), elementwise as that. Throws Error(internal)
  /// as update() does, and when the optimizer is not layer-wise.
  virtual void direction(const float* parameters, float* gradient, std::span<float* const> state,
                         std::int64_t count, std::int64_t step, bool decayed) const;
  /// Layer-wise: the factor of the rate for one tensor, from the norms of its parameters before the step, its
  /// gradient before direction(), and its direction. 1 where a norm it uses is 0, and where not `decayed`:
  /// biases and normalisation parameters move at the plain rate, as in the papers' code. Always 1 for the
  /// others.
  virtual double trust_ratio(double parameter_norm, double gradient_norm, double direction_norm,
                             bool decayed) const;

  /// Whether a rate in proportion to the batch (Goyal et al. 2017) is derived for this optimizer.
  virtual bool fits_linear_rule() const { return false; }
  /// The text of this optimizer for a batch `ratio` (> 0) times as large, by the square-root rule of Malladi
  /// et al. 2022 (see scaled_rate()). Throws Error(usage) with the reason where the rule is invalid.
  virtual std::string square_root_text(double ratio) const;

 protected:
  struct Description {
    std::string text;
    double default_rate = 0;
    std::vector<std::string> state_names;
  };
  explicit Optimizer(Description description) : description_(std::move(description)) {}
  /// Throws as update() promises; for the first line of each update() and direction().
  void require_call(std::span<float* const> state, std::int64_t step) const;

 private:
  Description description_;
};

}  // namespace trainer::optim
