#include <cstdio>

#include "trainer/cli/commands.h"
#include "trainer/core/error.h"
#include "trainer/data/convert.h"
#include "trainer/data/describe.h"
#include "trainer/report/progress.h"
#include "trainer/train/prepare.h"

namespace trainer::cli {
namespace {

void tell(const CommandLine& line, const data::Converted& converted) {
  std::string out;
  if (!line.configuration.quiet) {
    for (const std::string& note : converted.notes) out += note + "\n";
    out += text("rows ", converted.train.rows, "\n");
    if (converted.test) out += text("test_rows ", converted.test->rows, "\n");
    out += text("columns ", converted.train.features, "\n");
    const bool classes = converted.train.kind == data::TargetKind::classes;
    if (converted.train.kind != data::TargetKind::none)
      out += text(classes ? "classes " : "targets ", converted.train.targets, "\n");
    out += "use --data " + shell_text({line.data_out}) +
           (converted.task.empty() ? "" : " --task " + converted.task) + "\n";
  }
  out += "out " + line.data_out + "\n";
  std::fputs(out.c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace

DescribedData describe_text(const CommandLine& line) {
  const train::Configuration& configuration = line.configuration;
  data::DescribeRequest request;
  request.data = train::request_of(configuration);
  request.without_test = configuration.test == "none";
  request.memory_limit = configuration.memory_limit;
  request.shuffle = configuration.shuffle;
  data::Description description = data::describe_data(request);
  return {std::move(description.text), std::move(description.trouble)};
}

int run_data_convert(const comm::Communicator& world, const Job& job) {
  const train::Configuration& configuration = job.line.configuration;
  data::ConvertRequest request;
  request.data = train::request_of(configuration);
  request.without_test = configuration.test == "none";
  request.memory_limit = configuration.memory_limit;
  request.out = job.line.data_out;
  report::RowLines lines(stdout, configuration.log_every_seconds);
  if (report::choose_style(configuration.progress, configuration.quiet, {}) != report::ProgressStyle::none)
    request.progress = [&lines](std::int64_t done, std::int64_t rows) { lines.update(done, rows); };
  const data::Converted converted = data::convert_data(world, request);
  if (world.rank() == 0) tell(job.line, converted);
  return 0;
}

}  // namespace trainer::cli
