#pragma once

// The sections of the report of runs; each says what is missing. Private to this room.

#include <vector>

#include "run_files.h"
#include "trainer/report/page.h"

namespace trainer::report {

using Runs = std::vector<RunFiles>;

// Curves: those of several runs are laid over each other.
void add_loss(Page& page, const Runs& runs);
void add_metrics(Page& page, const Runs& runs);
void add_learning_rate(Page& page, const Runs& runs);
void add_steps(Page& page, const Runs& runs);
void add_noise_scale(Page& page, const Runs& runs);
void add_time(Page& page, const Runs& runs);

// Of each run by itself.
void add_gradients(Page& page, const Runs& runs);
void add_confusion(Page& page, const Runs& runs);
void add_examples(Page& page, const Runs& runs);
void add_first_weights(Page& page, const Runs& runs);
void add_surface(Page& page, const Runs& runs);
void add_landscape(Page& page, const Runs& runs);

/// A column of a table; empty where there is none.
std::vector<double> column(const std::optional<CsvTable>& table, const std::string& name);
bool any_finite(const std::vector<double>& values);
/// " of NAME" among several runs.
std::string of_run(const Runs& runs, const RunFiles& run);
/// A stem that no other run's figure has.
std::string stem_of(const Runs& runs, const RunFiles& run, const std::string& stem);

}  // namespace trainer::report
