#include "trainer/optim/rate_scaling.h"

#include <cmath>

#include "named_choice.h"
#include "square_root_rule.h"

namespace trainer::optim {
namespace {

constexpr std::array<Named<RateScaling>, 3> kRules = {
    {{"none", RateScaling::none}, {"linear", RateScaling::linear}, {"sqrt", RateScaling::square_root}}};

ScaledRate linear(double rate, double ratio, const Optimizer& optimizer) {
  ScaledRate result{.rate = rate * ratio, .optimizer = optimizer.text(), .note = ""};
  if (!optimizer.fits_linear_rule()) {
    result.note =
        "--lr-scaling linear is derived for sgd (Goyal et al. 2017); an optimizer that divides by the size "
        "of "
        "the gradient, as " +
        optimizer.text() + ", mostly needs less: see --lr-scaling sqrt";
  }
  return result;
}

}  // namespace

std::string SquareRootRule::beta(const char* name, double value) const {
  if (ratio_ == 1) return format_number(value);
  const double share = ratio_ * (1 - value);
  require(share < 1, ErrorKind::usage, "--lr-scaling sqrt: the square-root rule needs ratio * (1 - ", name,
          ") below 1; a batch of ", ratio_, " times --reference-batch with ", name, " = ", value,
          " of --optimizer ", optimizer_.text(), " gives ", share, ": choose a batch below ", 1 / (1 - value),
          " times --reference-batch, or a larger ", name, ", or set --lr without a rule");
  // To 15 decimals: 0.2 instead of 0.20000000000000018, which is 1 - 8 * (1 - 0.9) in double.
  constexpr double kDecimals = 1e15;
  return format_number(std::round((1 - share) * kDecimals) / kDecimals);
}

RateScaling parse_rate_scaling(const std::string& source) {
  const ParsedText text("--lr-scaling", source);
  const RateScaling rule = choose_named(kRules, text, "rule");
  ArgumentReader(text, text.sequence().front()).finish();
  return rule;
}

ScaledRate scaled_rate(RateScaling rule, double rate, std::int64_t batch, std::int64_t reference_batch,
                       const Optimizer& optimizer) {
  if (rule == RateScaling::none) return {.rate = rate, .optimizer = optimizer.text(), .note = ""};
  require(batch >= 1, ErrorKind::internal, "a rate for a batch of ", batch, " rows was asked for");
  require(reference_batch >= 1, ErrorKind::usage, "--reference-batch: found ", reference_batch,
          "; --lr-scaling needs the batch, at least 1, for which --lr is meant");
  const double ratio = static_cast<double>(batch) / static_cast<double>(reference_batch);
  if (rule == RateScaling::linear) return linear(rate, ratio, optimizer);
  const std::string scaled = optimizer.square_root_text(ratio);
  return {.rate = rate * std::sqrt(ratio), .optimizer = ratio == 1 ? optimizer.text() : scaled, .note = ""};
}

}  // namespace trainer::optim
