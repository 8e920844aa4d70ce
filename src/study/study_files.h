#pragma once

// The folder of a study. Private to this room.

#include <functional>
#include <string>

#include "ledger.h"
#include "summary.h"
#include "trainer/report/run_folder.h"
#include "trainer/study/study.h"

namespace trainer::study {

/// Rank 0. `fingerprint`: of the data, which must be those that the study was begun with. The folder of a new
/// study, or of one that goes on, locked; config.ini and status are in it. Throws Error(usage) when it holds
/// a study that was not to be resumed, one with other settings, or other files.
report::RunFolder open_study_folder(const Request& request, const std::string& fingerprint);

/// Collective. environment.txt in `folder` (of rank 0): the ranks and where they are.
void write_environment(const comm::Communicator& world, const Request& request,
                       const report::RunFolder* folder);

/// Rank 0. study.h5, summary.json, figures, report.html and status; prints the table of results and the last
/// line. `stopped`: why it ended early; empty: it is complete. `poll`: called while pictures are drawn, which
/// the other ranks wait for (Communicator::poll()).
void finish_study(const Request& request, const report::RunFolder& folder, const Question& question,
                  const Found& found, const Summary& summary, const std::string& stopped,
                  const std::function<void()>& poll);

/// report.html of a study, and its figures. `incomplete`: why it is not complete, in a few words; empty: it
/// is. Returns what the user should be told, mostly nothing.
std::string write_page(const Request& request, const std::string& folder, const std::string& page,
                       const std::string& figures, const Question& question, const Found& found,
                       const Summary& summary, const std::string& incomplete,
                       const std::function<void()>& poll = {});

}  // namespace trainer::study
