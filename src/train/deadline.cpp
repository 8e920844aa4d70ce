#include "trainer/train/deadline.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/report/progress.h"
#include "trainer/train/prepare.h"

namespace trainer::train {
namespace {

std::optional<std::time_t> parse_time(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  parts.tm_isdst = -1;
  return std::mktime(&parts);
}

/// The first line that a command prints; empty when it fails.
std::string first_line_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::array<char, 128> line{};
  if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return "";
  std::string text(line.data());
  return text.substr(0, text.find_first_of("\r\n"));
}

bool is_number(const char* text) {
  return text != nullptr && parse_integer(text).has_value() && *parse_integer(text) >= 0;
}

}  // namespace

std::optional<double> seconds_between(const std::string& now_text, const std::string& end_text) {
  const auto now = parse_time(now_text), end = parse_time(end_text);
  if (!now || !end) return std::nullopt;
  return std::difftime(*end, *now);
}

std::optional<double> seconds_until_slurm_ends() {
  if (const char* end = std::getenv("SLURM_JOB_END_TIME"); is_number(end))
    return static_cast<double>(*parse_integer(end)) - static_cast<double>(std::time(nullptr));
  const char* job = std::getenv("SLURM_JOB_ID");
  if (!is_number(job)) return std::nullopt;
  // Slurm before 23.02 tells nothing in the environment.
  return seconds_between(first_line_of("date +%Y-%m-%dT%H:%M:%S"),
                         first_line_of(text("timeout 10 squeue -h -j ", job, " -o %e 2>/dev/null")));
}

Deadline::Deadline(const Configuration& configuration) {
  std::string source = "as --time-limit says";
  if (!configuration.time_limit.empty()) {
    limit_ = parse_duration("--time-limit", configuration.time_limit);
  } else {
    limit_ = seconds_until_slurm_ends();
    source = "until the end of the Slurm job";
  }
  if (!limit_) return;
  const double margin = parse_duration("--time-margin", configuration.time_margin);
  description_ = text(report::duration_text(std::max(0.0, *limit_)), ", ", source, "; stops ",
                      report::duration_text(margin), " earlier");
  *limit_ = std::max(1e-9, *limit_ - margin);
}

bool Deadline::is_reached() {
  if (!limit_) return false;
  const double now = watch_.seconds();
  if (called_) longest_ = std::max(longest_, now - last_);
  called_ = true;
  last_ = now;
  return now + longest_ >= *limit_;
}

}  // namespace trainer::train
