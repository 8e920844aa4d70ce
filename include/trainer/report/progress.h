#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "trainer/core/clock.h"

namespace trainer::report {

enum class ProgressStyle { none, lines, bar };

/// Where standard output ends up.
struct Terminal {
  bool is_terminal = false;
  int columns = 80;
};

/// The terminal that a person sees: that of the MPI launcher among this process's ancestors (under mpirun
/// isatty is true in every rank, whatever mpirun's own output is); without a launcher this process's own.
/// Under a launcher that is not found (a remote node) there is none. To be asked on rank 0.
Terminal find_terminal();

/// What `--progress option` (auto|bar|lines|none) means: auto is a bar on a terminal, lines elsewhere; quiet
/// is none. Throws Error(usage) for another option.
ProgressStyle choose_style(const std::string& option, bool quiet, const Terminal& terminal);

/// Where training stands.
struct ProgressState {
  std::int64_t epoch = 0;   ///< from 1
  std::int64_t epochs = 0;  ///< planned; 0: unknown
  std::int64_t step = 0;
  std::int64_t steps = 0;        ///< planned; 0: unknown
  std::int64_t first_step = 0;   ///< done before this process began (resume)
  double loss = 0;               ///< of the running epoch
  std::string metric_name = {};  ///< "accuracy"; empty: none
  double metric = 0;
  double samples_per_second = 0;
};

/// Seconds that the planned steps left will take at the mean pace so far; nothing before the first step or
/// without a plan.
std::optional<double> seconds_left(const ProgressState& state, double seconds_so_far);
/// 0:07, 12:34, 1:02:03, 2 d 3:00:00.
std::string duration_text(double seconds);
/// 950, 12.3k, 1.25M.
std::string rate_text(double per_second);

/// Rows of a long pass over data: a plain line every so many seconds, with an estimate. Rank 0 alone.
class RowLines {
 public:
  /// `out`: null for none.
  RowLines(std::FILE* out, double every_seconds) : out_(out), every_seconds_(every_seconds) {}
  /// May be called as often as is convenient.
  void update(std::int64_t done, std::int64_t rows);

 private:
  std::FILE* out_;
  double every_seconds_;
  Stopwatch watch_;
  double last_ = 0;
};

/// Shows progress on a stream that it is given. Bar: one line redrawn in place, at most ten times a second.
/// Lines: one plain line every so many seconds, no control characters. Not thread-safe; rank 0 alone.
class Progress {
 public:
  /// `out` outlives this object. `quiet` silences note() too. `columns`: width of the terminal for a bar.
  Progress(std::FILE* out, ProgressStyle style, double line_every_seconds, bool quiet = false,
           int columns = 80);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// May be called after every step: draws only when it is time. `now_seconds`: of a steady clock, since
  /// training began.
  void update(const ProgressState& state, double now_seconds);
  /// A whole line of its own (an evaluation, a warning); a bar is taken away first and comes back at the next
  /// update.
  void note(const std::string& line);
  /// Takes a bar away.
  void finish();

 private:
  std::FILE* out_;
  ProgressStyle style_;
  double every_seconds_;
  bool quiet_;
  int columns_;
  bool bar_shown_ = false;
  std::optional<double> last_;
};

}  // namespace trainer::report
