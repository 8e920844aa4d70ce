#include "announce.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/nn/onednn_facts.h"
#include "trainer/train/doctor.h"

namespace trainer::train {

void write_environment(const comm::Communicator& world, const RunRequest& request, const RunFacts& facts,
                       Records& records) {
  const std::string mine = text("rank ", world.rank(), " host ", comm::host_name(), " processors ",
                                comm::cpus_of_process(), " of ", comm::cpus_of_node(), " threads ",
                                request.threads, comm::bound_by_launcher() ? " bound" : " not bound");
  const auto all = world.all_gather(mine);
  comm::on_first_rank(world, [&] {
    std::string lines = text(
        "command ", request.command, "\nranks ", world.size(), "\nthreads ", request.threads, "\ntuning ",
        request.configuration.tuning, "\noneDNN ", nn::onednn_version(), " ", nn::onednn_isa(), "\nMPI ",
        comm::mpi_library_version(), "\ncompiler ", __VERSION__, "\narithmetic ", facts.arithmetic, "\n");
    for (const char* name : {"SLURM_JOB_ID", "PBS_JOBID"})
      if (const char* job = std::getenv(name)) lines += text("job ", job, "\n");
    for (const std::string& line : all) lines += line + "\n";
    records.folder().write("environment.txt", lines);
  });
}

void describe_run(const comm::Communicator& world, const Prepared& prepared, const Step& step,
                  const RunRequest& request, const std::string& folder, Records& records) {
  const nn::Network& network = *prepared.network;
  const Plan& plan = prepared.plan;
  const auto memory = world.all_gather(step.memory_bytes());
  const std::vector<std::string> warnings =
      start_findings(world, {request.threads, folder, estimated_bytes(prepared, world.size()),
                             checkpoint_bytes(prepared), request.configuration.keep});
  if (!records.active()) return;
  for (const std::string& line : prepared.notes) records.note(line);
  records.note(text("data: ", prepared.data->facts().name, ", ", prepared.data->split.training.size(),
                    " training rows, ", prepared.data->split.validation.size(), " validation rows, ",
                    prepared.has_test ? prepared.data->opened.test->facts().rows : 0, " test rows, ",
                    prepared.data->facts().features, " inputs, task ", prepared.data->task));
  records.note(text("model: ", network.model().text(), " with ", network.parameter_count(),
                    " parameters, loss ", prepared.loss.text));
  records.note(text("training: ", prepared.optimizer->text(), ", lr ", format_number(plan.rate),
                    ", schedule ", prepared.schedule_text, ", batch ", plan.batch, " in ", plan.shards,
                    " shards, ", plan.steps_per_epoch, " steps an epoch, ", plan.total_steps, " steps",
                    prepared.network->precision() == nn::Precision::bf16 ? ", products in bf16" : ""));
  const std::int64_t file_bytes = checkpoint_bytes(prepared);
  records.note(text(
      "job: ", world.size(), " rank", world.size() == 1 ? "" : "s", " x ", request.threads, " thread",
      request.threads == 1 ? "" : "s", ", ", *std::max_element(memory.begin(), memory.end()) >> 20,
      " MiB a rank for the training state, rank 0 ", 2 * file_bytes >> 20, " MiB more while a checkpoint of ",
      file_bytes >> 20, " MiB is written, run folder ", records.folder().path()));
  for (const std::string& line : warnings) records.note(line);
  if (world.size() > plan.shards)
    records.note(text("warning: ", world.size() - plan.shards, " of ", world.size(),
                      " ranks have no shard to compute; with --shards ",
                      std::bit_ceil(static_cast<unsigned>(world.size())),
                      " or more (it decides bits) every rank works"));
  if (step.pieces_of_job() > world.size() && world.size() > 1 && world.size() <= plan.shards)
    records.log(text("exchange: the ", plan.shards, " shards lie on ", world.size(), " ranks as ",
                     step.pieces_of_job(), " subtrees; a power of two of ranks sends the fewest bytes"));
}

}  // namespace trainer::train
