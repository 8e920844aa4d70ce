#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "trainer/cli/command_line.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/exit.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/communicator.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/report/run_folder.h"

namespace trainer::cli {
namespace {

/// Printed once for the whole job, however many processes were started.
void print_once(const std::string& text) {
  if (comm::rank_from_environment() != 0) return;
  std::signal(SIGPIPE, SIG_IGN);
  const bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  require(written || errno == EPIPE, ErrorKind::data, "cannot write to standard output");
}

/// What is done without MPI; false when there is more to do.
bool done_without_mpi(const Job& job) {
  const CommandLine& line = job.line;
  if (line.help || ((line.command == Command::data || line.command == Command::study) && !line.version)) {
    print_once(line.command == Command::train ? program_help_text() : help_text(line.command));
  } else if (line.version) {
    print_once(version_text());
  } else if (line.command == Command::inspect) {
    print_once(inspect_text(line.models_or_run.front(), line.verify));
  } else if (line.command == Command::report && !line.loss_landscape) {
    if (comm::rank_from_environment() == 0) print_once(write_report(line));
  } else if (line.command == Command::data_describe) {
    if (comm::rank_from_environment() != 0) return true;
    const DescribedData described = describe_text(line);
    print_once(described.text);
    require(described.trouble.empty(), ErrorKind::data, described.trouble);
  } else {
    return false;
  }
  return true;
}

/// Everything before MPI. The job, or nothing when it is done.
std::optional<Job> prepare(const std::vector<std::string>& words, char** argv) {
  Job job;
  job.line = parse_command_line({words.begin() + 1, words.end()});
  job.command = shell_text(words);
  if (done_without_mpi(job)) return std::nullopt;
  job.threads = resolve_threads(job.line.configuration);
  comm::restart_with_passive_waiting(job.threads, argv);
  limit_instruction_set(job.line.configuration);
  return job;
}

/// Long work that can stop and go on later.
bool takes_signals(Command command) {
  return command == Command::train || command == Command::resume || command == Command::study_batch ||
         command == Command::study_ranks || command == Command::study_search;
}

int run_command(const comm::Communicator& world, const Job& job) {
  switch (job.line.command) {
    case Command::train:
      return run_train(world, job);
    case Command::resume:
      return run_resume(world, job);
    case Command::evaluate:
      return run_evaluate(world, job);
    case Command::predict:
      return run_predict(world, job);
    case Command::doctor:
      return run_doctor(world, job);
    case Command::data_convert:
    case Command::data_generate:
      return run_data_convert(world, job);
    case Command::study_batch:
    case Command::study_ranks:
    case Command::study_search:
      return run_study(world, job);
    case Command::report:
      return run_report(world, job);
    case Command::inspect:
    case Command::study:
    case Command::data:
    case Command::data_describe:
      break;
  }
  fail(ErrorKind::internal, "a command without a function");
}

}  // namespace

int run_program(int argc, char** argv) {
  std::optional<Job> job;
  std::optional<train::SignalFlags> signals;
  const int code = run_before_mpi([&] {
    std::vector<std::string> words(argv, argv + argc);
    if (words.empty()) words.emplace_back("trainer");
    job = prepare(words, argv);
    if (job && !job->line.dry_run && takes_signals(job->line.command)) {
      signals.emplace();
      job->signals = &*signals;
    }
    if (job && job->line.dry_run) return run_dry_run(*job);
    return 0;
  });
  if (code != 0 || !job || job->line.dry_run) return code;
  return run_before_mpi([&] {  // what fails here fails in starting or ending MPI
    const comm::Environment environment(&argc, &argv, job->line.configuration.stall_timeout_seconds);
    const comm::Communicator world = comm::Communicator::world(environment);
    std::string run;
    job->on_folder = [&run](const std::string& path) { run = path; };
    return run_collectively(
        world,
        [&] {
          comm::require_same(world, "the command", std::to_string(static_cast<int>(job->line.command)));
          return run_command(world, *job);
        },
        [&run](int exit_code, const std::string& message) {
          if (!run.empty()) report::record_failure(run, exit_code, message);
        });
  });
}

}  // namespace trainer::cli
