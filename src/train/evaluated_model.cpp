#include "evaluated_model.h"

#include <algorithm>

namespace trainer::train {

void EvaluatedModel::refresh() {
  is_fresh_ = true;
  if (settings_.average) {
    step_.gather_average(parameters_, statistics_);
    parameters_.resize(step_.parameters().size());
    statistics_.resize(step_.statistics().size());
    for (std::vector<float>* values : {&parameters_, &statistics_})
      world_.broadcast(values->data(), static_cast<std::int64_t>(values->size() * sizeof(float)), 0);
  }
  if (settings_.exact && !step_.statistics().empty()) measure();
}

void EvaluatedModel::measure() {
  statistics_.assign(step_.statistics().begin(), step_.statistics().end());
  nn::Population population;
  for (std::int64_t place = 0; place < settings_.rows; place += settings_.batch) {
    const std::int64_t batch = std::min(settings_.batch, settings_.rows - place);
    const Range mine = step_.rows(batch);
    source_.take(order_, 0, place + mine.begin, mine.size());
    step_.measure(source_, batch, parameters().data(), population);
    world_.poll();
  }
  population.store(network_, statistics_.data());
}

std::span<const float> EvaluatedModel::parameters() const {
  return is_fresh_ && settings_.average ? std::span<const float>(parameters_)
                                        : std::as_const(step_).parameters();
}

std::span<const float> EvaluatedModel::statistics() const {
  return is_fresh_ && (settings_.average || settings_.exact) ? std::span<const float>(statistics_)
                                                             : std::as_const(step_).statistics();
}

}  // namespace trainer::train
