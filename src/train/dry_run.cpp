#include "dry_run.h"

#include <cstdio>

#include "trainer/report/run_folder.h"
#include "trainer/train/prepare.h"

namespace trainer::train {

int describe_dry_run(const comm::Communicator& world, const RunRequest& request) {
  const Prepared prepared = prepare(world, prepare_training_data(world, world, request.configuration),
                                    request.configuration, request.threads);
  const Plan& plan = prepared.plan;
  report::RunFolder::require_can_create(request.configuration.out);
  if (request.out == nullptr) return 0;
  for (const std::string& line : prepared.notes) std::fprintf(request.out, "%s\n", line.c_str());
  const std::string lines =
      text("data ", prepared.data->facts().name, ": ", prepared.data->split.training.size(),
           " training rows, ", prepared.data->split.validation.size(), " validation rows\nmodel ",
           prepared.network->model().text(), "\nparameters ", prepared.network->parameter_count(),
           "\nmemory per rank ", (estimated_bytes(prepared, request.ranks) >> 20) + 1, " MiB with ",
           request.ranks, " rank(s), without the data\nbatch ", plan.batch, " in ", plan.shards,
           " shards\nsteps per epoch ", plan.steps_per_epoch, "\nsteps ", plan.total_steps, "\n");
  std::fputs(lines.c_str(), request.out);
  std::fputs("dry run: everything was checked, nothing was trained\n", request.out);
  std::fflush(request.out);
  return 0;
}

}  // namespace trainer::train
