#pragma once

// gnuplot, the program. Private to this room.

#include <string>
#include <vector>

#include "trainer/report/figure.h"

namespace trainer::report {

// The commands that draw a figure as STEM.svg, STEM.png and STEM.pdf in the working folder and then print its
// stem. All words in them stand in single quotes, within which gnuplot expands nothing.

std::string curve_commands(const Figure& figure);    ///< of curves, on a grid or alone
std::string picture_commands(const Figure& figure);  ///< of images

/// What became of a script.
struct GnuplotRun {
  std::vector<std::string> printed;  ///< lines of `print`, and gnuplot's own messages
  std::string trouble;               ///< why it ended early; empty: it did not
};

/// Runs gnuplot on the file `script` in `folder`, without a shell and without the user's start-up file, for
/// five minutes at most.
GnuplotRun run_gnuplot(const std::string& folder, const std::string& script);

}  // namespace trainer::report
