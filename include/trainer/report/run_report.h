#pragma once

#include <string>
#include <vector>

#include "trainer/report/page.h"

namespace trainer::report {

/// Throws Error(data) unless `folder` is one that a run wrote into.
void require_run(const std::string& folder);

/// The page of one run, or of several whose curves are laid over each other: `page` (whole or not at all) and
/// its pictures in `figures`. Shows what there is of a run that was killed or still runs; what is not there
/// is left out with a sentence on the option that gives it. No lock is asked for and nothing of the runs is
/// changed. Returns what the user should be told (gnuplot is missing), mostly nothing. Throws Error(data)
/// when a folder holds no run or the page cannot be written.
std::string write_run_report(const std::vector<std::string>& runs, const std::string& page,
                             const std::string& figures);

/// For other pages: the settings (config.ini) and the environment (environment.txt) of a folder.
void add_settings(Page& page, const std::string& folder);

}  // namespace trainer::report
