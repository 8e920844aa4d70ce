#include "trainer/report/progress.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "trainer/core/error.h"

namespace trainer::report {
namespace {

constexpr double kBarSeconds = 0.1;
constexpr int kBarCells = 20;

template <class... Values>
std::string print(const char* format, Values... values) {
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

/// A figure for people. NaN prints as nan, without a sign.
std::string figure(double value) { return std::isnan(value) ? "nan" : print("%.4f", value); }

double done_share(const ProgressState& state) {
  if (state.steps <= 0) return 0;
  return std::clamp(static_cast<double>(state.step) / static_cast<double>(state.steps), 0.0, 1.0);
}

std::string bar(double share) {
  const int full = static_cast<int>(share * kBarCells);
  return "[" + std::string(static_cast<std::size_t>(full), '#') +
         std::string(static_cast<std::size_t>(kBarCells - full), '-') + "]";
}

std::string epoch_text(const ProgressState& state) {
  return state.epochs > 0 ? text("epoch ", state.epoch, "/", state.epochs) : text("epoch ", state.epoch);
}

std::string figures(const ProgressState& state) {
  std::string line = "loss " + figure(state.loss);
  if (!state.metric_name.empty()) line += "  " + state.metric_name + " " + figure(state.metric);
  return line + "  " + rate_text(state.samples_per_second) + " samples/s";
}

std::string left_text(const ProgressState& state, double seconds) {
  const std::optional<double> left = seconds_left(state, seconds);
  return left ? "  " + duration_text(*left) + " left" : "";
}

}  // namespace

ProgressStyle choose_style(const std::string& option, bool quiet, const Terminal& terminal) {
  require(option == "auto" || option == "bar" || option == "lines" || option == "none", ErrorKind::usage,
          "--progress: \"", option, "\" is none of auto, bar, lines, none");
  if (quiet || option == "none") return ProgressStyle::none;
  if (option == "bar") return ProgressStyle::bar;
  if (option == "lines") return ProgressStyle::lines;
  return terminal.is_terminal ? ProgressStyle::bar : ProgressStyle::lines;
}

std::optional<double> seconds_left(const ProgressState& state, double seconds_so_far) {
  const std::int64_t done = state.step - state.first_step;
  const std::int64_t left = state.steps - state.step;
  if (state.steps <= 0 || done <= 0 || left < 0 || !(seconds_so_far >= 0)) return std::nullopt;
  return seconds_so_far / static_cast<double>(done) * static_cast<double>(left);
}

std::string duration_text(double seconds) {
  constexpr double kLongest = 1e9;  // some 31 years: more is no estimate
  const auto whole = static_cast<std::int64_t>(seconds > 0 ? std::min(std::ceil(seconds), kLongest) : 0);
  const auto days = static_cast<long>(whole / 86400);
  const auto hours = static_cast<long>(whole / 3600 % 24);
  const auto minutes = static_cast<long>(whole / 60 % 60);
  const auto rest = static_cast<long>(whole % 60);
  if (days > 0) return print("%ld d %ld:%02ld:%02ld", days, hours, minutes, rest);
  if (hours > 0) return print("%ld:%02ld:%02ld", hours, minutes, rest);
  return print("%ld:%02ld", minutes, rest);
}

std::string rate_text(double per_second) {
  if (!(per_second >= 0) || std::isinf(per_second)) return "-";
  if (per_second < 999.5) return print("%.0f", per_second);
  if (per_second < 999.95e3) return print("%.1fk", per_second / 1e3);
  return print("%.2fM", per_second / 1e6);
}

void RowLines::update(std::int64_t done, std::int64_t rows) {
  const double now = watch_.seconds();
  if (out_ == nullptr || now - last_ < every_seconds_) return;
  last_ = now;
  const double per_second = static_cast<double>(done) / now;
  std::fprintf(out_, "row %lld/%lld  %s rows/s  %s left\n", static_cast<long long>(done),
               static_cast<long long>(rows), rate_text(per_second).c_str(),
               duration_text(static_cast<double>(rows - done) / per_second).c_str());
  std::fflush(out_);
}

Progress::Progress(std::FILE* out, ProgressStyle style, double line_every_seconds, bool quiet, int columns)
    : out_(out),
      style_(style),
      every_seconds_(line_every_seconds),
      quiet_(quiet),
      columns_(std::max(columns, 20)) {}

Progress::~Progress() { finish(); }

void Progress::update(const ProgressState& state, double now_seconds) {
  if (style_ == ProgressStyle::none) return;
  if (style_ == ProgressStyle::lines) {
    if (now_seconds - last_.value_or(0) < every_seconds_) return;
    last_ = now_seconds;
    std::string line = epoch_text(state) + "  step " + std::to_string(state.step);
    if (state.steps > 0) line += "/" + std::to_string(state.steps);
    line += "  " + figures(state) + left_text(state, now_seconds) + "\n";
    std::fputs(line.c_str(), out_);
    std::fflush(out_);
    return;
  }
  if (last_ && now_seconds - *last_ < kBarSeconds) return;
  last_ = now_seconds;
  std::string line = epoch_text(state) + " ";
  if (state.steps > 0)
    line += bar(done_share(state)) + print(" %3.0f %%", std::floor(done_share(state) * 100)) + "  ";
  line += figures(state) + left_text(state, now_seconds);
  // The last column stays empty: some terminals wrap when it is written.
  line.resize(std::min(line.size(), static_cast<std::size_t>(columns_ - 1)));
  std::fputs(("\r" + line + "\x1b[K").c_str(), out_);
  std::fflush(out_);
  bar_shown_ = true;
}

void Progress::note(const std::string& line) {
  if (quiet_) return;
  finish();
  std::fputs((line + "\n").c_str(), out_);
  std::fflush(out_);
}

void Progress::finish() {
  if (!bar_shown_) return;
  std::fputs("\r\x1b[K", out_);
  std::fflush(out_);
  bar_shown_ = false;
}

}  // namespace trainer::report
