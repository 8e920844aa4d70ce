#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trainer::optim {

/// A rule that changes parameters by their gradient and a state of its own. The state belongs to the caller,
/// so that each rank keeps only that of the slices it owns. Known: `sgd(momentum=0, nesterov=false)` and
/// `adam(beta1=0.9, beta2=0.999, epsilon=1e-8, inside_root=false)`.
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
  /// zero before step 1; `step` counts from 1; `rate` is this step's learning rate. The arrays do not
  /// overlap; none needs alignment. Elementwise: the same bits wherever a run of elements is cut. May be
  /// called by several threads at once on different elements. Values of the state nearer to zero than the
  /// smallest normal float become zero. Throws Error(internal) when the number of state arrays or the step is
  /// wrong.
  virtual void update(float* parameters, const float* gradient, std::span<float* const> state,
                      std::int64_t count, double rate, std::int64_t step) const = 0;

 protected:
  struct Description {
    std::string text;
    double default_rate = 0;
    std::vector<std::string> state_names;
  };
  explicit Optimizer(Description description) : description_(std::move(description)) {}
  /// Throws as update() promises; for the first line of each update().
  void require_call(std::span<float* const> state, std::int64_t step) const;

 private:
  Description description_;
};

}  // namespace trainer::optim
