#pragma once

// gnuplot, the program. Private to this room.

#include <functional>
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

/// Runs gnuplot on the file `script` in `folder`, without a shell and without the user's start-up file. It is
/// ended when it has printed nothing for a minute, which is a picture's time. `poll` is called all the while.
GnuplotRun run_gnuplot(const std::string& folder, const std::string& script,
                       const std::function<void()>& poll);

}  // namespace trainer::report
