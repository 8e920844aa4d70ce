#include <cstdio>
#include <filesystem>

#include "trainer/cli/commands.h"
#include "trainer/cli/config_file.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/report/run_folder.h"
#include "trainer/train/run.h"

namespace trainer::cli {
namespace {

train::RunRequest request_of(const Job& job, const CommandLine& line, bool resume) {
  train::RunRequest request;
  request.configuration = line.configuration;
  request.command = job.command;
  request.resume = resume;
  request.accept_change = line.accept_change;
  request.threads = job.threads;
  request.out = stdout;
  request.on_folder = job.on_folder;
  request.signals = job.signals;
  const train::Configuration configuration = line.configuration;
  request.config_text = [configuration](const std::map<std::string, std::string>& resolved) {
    return config_text(configuration, resolved,
                       "What this run was asked for; trainer --config FILE runs it again.");
  };
  request.require_same_bits = [run = line.configuration.out](const std::string& was, const std::string& now) {
    require_same_bits(run, was, now);
  };
  return request;
}

int continue_run(const comm::Communicator& world, const Job& job, const std::string& run) {
  std::string config_ini;
  comm::on_first_rank(world, [&] {
    const std::string path = run + "/config.ini";
    require(std::filesystem::exists(path), ErrorKind::data, run,
            ": there is no run (no config.ini); give a run folder");
    config_ini = read_config_text(path);
  });
  config_ini = world.broadcast(config_ini, 0);
  CommandLine line;
  comm::together(world, [&] { line = with_run_settings(job.line, run, config_ini); });
  limit_instruction_set(line.configuration);  // the run's own; nothing of oneDNN has run yet
  return train::run_training(world, request_of(job, line, true));
}

}  // namespace

int run_train(const comm::Communicator& world, const Job& job) {
  const std::string& out = job.line.configuration.out;
  if (job.line.resume) {
    bool there = false;
    comm::together(world, [&] {
      require(!out.empty(), ErrorKind::usage,
              "train --resume needs --out: the run folder that is started or continued");
      if (world.rank() == 0) there = report::RunFolder::settles_as_run(out);
    });
    there = world.broadcast(there ? "yes" : "no", 0) == "yes";
    if (there) return continue_run(world, job, out);
  }
  return train::run_training(world, request_of(job, job.line, false));
}

int run_resume(const comm::Communicator& world, const Job& job) {
  return continue_run(world, job, job.line.models_or_run.front());
}

int run_evaluate(const comm::Communicator& world, const Job& job) {
  train::EvaluateRequest request;
  request.models = job.line.models_or_run;
  request.configuration = job.line.configuration;
  request.split = job.line.split;
  if (!job.line.given.contains("missing")) request.configuration.missing.clear();
  if (job.line.given.contains("validation")) request.validation = job.line.configuration.validation;
  if (job.line.given.contains("split-seed")) request.split_seed = job.line.configuration.split_seed;
  request.metrics = job.line.configuration.metrics;
  request.out_json = job.line.out_json;
  request.threads = job.threads;
  request.out = stdout;
  return train::run_evaluation(world, request);
}

int run_predict(const comm::Communicator& world, const Job& job) {
  const train::Configuration& configuration = job.line.configuration;
  train::PredictRequest request;
  request.models = job.line.models_or_run;
  request.configuration = configuration;
  if (!job.line.given.contains("missing")) request.configuration.missing.clear();
  request.split = job.line.predict_split;
  request.out = job.line.predictions;
  request.samples = job.line.samples;
  request.seed = configuration.seed;
  request.threads = job.threads;
  request.progress = report::choose_style(configuration.progress, configuration.quiet, {});
  request.progress_every_seconds = configuration.log_every_seconds;
  request.quiet = configuration.quiet;
  request.report = stdout;
  return train::run_prediction(world, request);
}

int run_dry_run(const Job& job) {
  if (job.line.command != Command::train) return run_study(comm::Communicator::alone(), job);
  train::RunRequest request = request_of(job, job.line, false);
  request.dry_run = true;
  if (comm::rank_from_environment() != 0) request.out = nullptr;
  request.ranks = comm::ranks_of_job();
  return train::run_training(comm::Communicator::alone(), request);
}

}  // namespace trainer::cli
