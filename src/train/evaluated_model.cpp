#include "evaluated_model.h"

#include <algorithm>

#include "trainer/core/tree.h"

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
  if (settings_.exact && !step_.statistics().empty()) measure_population();
}

std::vector<std::int64_t> EvaluatedModel::sizes(const Settings& settings) {
  const std::int64_t most = part_rows(settings.batch), parts = (settings.rows + most - 1) / most;
  std::vector<std::int64_t> list;
  for (std::int64_t part = 0; part < parts; ++part) list.push_back(cut(settings.rows, parts, part).size());
  return list;
}

void EvaluatedModel::measure_population() {
  statistics_.assign(step_.statistics().begin(), step_.statistics().end());
  nn::Population population;
  std::int64_t place = 0;
  for (const std::int64_t batch : sizes(settings_)) {
    const Range mine = step_.rows(batch);
    source_.data().approach(order_, 0, place, batch);
    source_.take(order_, 0, place + mine.begin, mine.size());
    step_.measure(source_, batch, parameters().data(), population);
    place += batch;
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
