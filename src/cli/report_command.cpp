#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "trainer/cli/commands.h"
#include "trainer/cli/config_file.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"
#include "trainer/report/run_report.h"
#include "trainer/study/study.h"
#include "trainer/train/landscape.h"

namespace trainer::cli {
namespace {

namespace fs = std::filesystem;

struct Places {
  std::string page, figures;
};

/// Beside a page that somebody named, `figures` might be a folder of their own.
Places places_of(const CommandLine& line) {
  const std::vector<std::string>& folders = line.models_or_run;
  if (line.page.empty() && folders.size() == 1)
    return {fs::path(folders.front()) / "report.html", fs::path(folders.front()) / "figures"};
  const fs::path page = line.page.empty() ? "report.html" : line.page;
  require(page.extension() == ".html" && page.has_stem(), ErrorKind::usage, "--out: \"", page.string(),
          "\" is no name of a page; give one that ends in .html");
  return {page.string(), (page.parent_path() / (page.stem().string() + "-figures")).string()};
}

}  // namespace

std::string write_report(const CommandLine& line) {
  const auto study = std::ranges::find_if(line.models_or_run, study::holds_study);
  require(study == line.models_or_run.end() || line.models_or_run.size() == 1, ErrorKind::usage, *study,
          " is a study; a report of several folders lays runs over each other: give a study alone");
  const Places places = places_of(line);
  const bool of_study = line.models_or_run.size() == 1 && study::holds_study(line.models_or_run.front());
  const std::string note = of_study
                               ? write_study_report(line.models_or_run.front(), places.page, places.figures)
                               : report::write_run_report(line.models_or_run, places.page, places.figures);
  return text("report ", places.page, "\n", note.empty() ? "" : "note: " + note + "\n");
}

int run_report(const comm::Communicator& world, const Job& job) {
  for (const std::string& run : job.line.models_or_run) {
    std::string config_ini;
    comm::on_first_rank(world, [&] {
      require(!study::holds_study(run), ErrorKind::usage, run,
              " is a study; --loss-landscape is of the weights of a run");
      report::require_run(run);
      config_ini = read_config_text(run + "/config.ini");
    });
    config_ini = world.broadcast(config_ini, 0);
    train::LandscapeRequest request;
    comm::together(world, [&] {
      CommandLine settings;
      apply_config(parse_config(config_ini, run + "/config.ini"), settings);
      request.configuration = settings.configuration;
    });
    request.run = run;
    request.threads = job.threads;
    train::write_landscape(world, request);
  }
  comm::on_first_rank(world, [&] {
    std::fputs(write_report(job.line).c_str(), stdout);
    std::fflush(stdout);
  });
  return 0;
}

}  // namespace trainer::cli
