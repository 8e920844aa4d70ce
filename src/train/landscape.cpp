#include "trainer/train/landscape.h"

#include <array>
#include <cmath>

#include "loaded_model.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/random.h"
#include "trainer/core/random_normals.h"
#include "trainer/core/team.h"
#include "trainer/report/csv.h"
#include "trainer/train/evaluator.h"
#include "trainer/train/prepare.h"

namespace trainer::train {
namespace {

/// One of the two directions: as the parameters.
std::vector<float> direction(const nn::Network& network, const std::vector<float>& parameters,
                             std::uint64_t number) {
  constexpr std::uint64_t kSeed = 1;
  std::vector<float> flat(parameters.size());
  std::uint64_t tensor_number = 0;
  for (const nn::Tensor& tensor : network.parameters()) {
    ++tensor_number;
    if (!tensor.is_dense_weight()) continue;
    const std::int64_t outputs = tensor.shape[0], inputs = tensor.shape[1];
    std::vector<float> normals(static_cast<std::size_t>(inputs));
    for (std::int64_t o = 0; o < outputs; ++o) {
      random_normals(RandomKey(kSeed, Purpose::study, number, static_cast<std::uint32_t>(tensor_number)),
                     static_cast<std::uint64_t>(o), normals.data(), inputs);
      const auto place = [&](std::int64_t i) {
        return static_cast<std::size_t>(tensor.offset + ((o / tensor.panel) * inputs + i) * tensor.panel +
                                        o % tensor.panel);
      };
      double of_weights = 0, of_normals = 0;
      for (std::int64_t i = 0; i < inputs; ++i) {
        const double weight = parameters[place(i)], normal = normals[static_cast<std::size_t>(i)];
        of_weights += weight * weight;
        of_normals += normal * normal;
      }
      const double factor = of_normals > 0 ? std::sqrt(of_weights / of_normals) : 0;
      for (std::int64_t i = 0; i < inputs; ++i)
        flat[place(i)] = static_cast<float>(factor * normals[static_cast<std::size_t>(i)]);
    }
  }
  return flat;
}

}  // namespace

void write_landscape(const comm::Communicator& world, const LandscapeRequest& request) {
  const comm::Communicator node = world.node();
  const std::vector<LoadedModel> models = load_models(world, {request.run}, request.threads);
  const LoadedModel& model = models.front();
  Configuration configuration = request.configuration;
  configuration.task = model.task;
  configuration.test = "none";
  const KnownModel known{model.scalings, model.class_names, model.encoding, false};
  const PreparedData data = prepare_data(world, node, configuration, &known);
  std::vector<std::int64_t> rows;
  comm::together(world, [&] {
    require_fit(model, data.facts());
    const bool validates = !data.split.validation.empty();
    rows = data::spread(validates ? data.split.validation : data.split.training, request.rows).list();
  });
  const data::DataSet& set = data.split.validation.empty() ? *data.opened.train : data.validation_set();
  const ListedRows source(set, model.scalings, rows, RowUse{.reconstructs = data.reconstructs()});
  nn::InferencePass pass(*model.network, model.loss, data.form, request.threads,
                         Evaluator::sizes(source.size()));
  const Team team(request.threads);
  Evaluator evaluator(world, team, source, source.size(), data.row_facts(model.outputs), {});
  const std::array directions = {direction(*model.network, model.parameters, 0),
                                 direction(*model.network, model.parameters, 1)};
  std::vector<float> parameters(model.parameters.size());
  std::vector<std::array<double, 3>> losses;
  const auto place = [&](std::int64_t i) {
    return request.reach * (2.0 * static_cast<double>(i) / static_cast<double>(request.points - 1) - 1);
  };
  for (std::int64_t row = 0; row < request.points; ++row)
    for (std::int64_t column = 0; column < request.points; ++column) {
      const double alpha = place(column), beta = place(row);
      for (std::size_t i = 0; i < parameters.size(); ++i)
        parameters[i] = model.parameters[i] + static_cast<float>(alpha) * directions[0][i] +
                        static_cast<float>(beta) * directions[1][i];
      pass.set(parameters.data(), model.statistics.data());
      const Measured measured = evaluator.run(pass, data.target_scaling());
      losses.push_back({alpha, beta, measured.sums.loss / static_cast<double>(measured.rows)});
      if (request.progress && world.rank() == 0)
        request.progress(static_cast<std::int64_t>(losses.size()), request.points * request.points);
    }
  comm::on_first_rank(world, [&] {
    auto file = report::CsvFile::create(request.run + "/landscape.csv", {"alpha", "beta", "loss"});
    for (const auto& [alpha, beta, loss] : losses) file.append({alpha, beta, loss});
    file.flush();
  });
}

}  // namespace trainer::train
