#include "trainer/optim/optimizer.h"

#include "makers.h"
#include "named_choice.h"

namespace trainer::optim {
namespace {

using Maker = std::unique_ptr<Optimizer> (*)(const ParsedText&, const Term&);

constexpr std::array<Named<Maker>, 2> kOptimizers = {{{"sgd", make_sgd}, {"adam", make_adam}}};

}  // namespace

std::unique_ptr<Optimizer> Optimizer::parse(const std::string& source) {
  const ParsedText text("--optimizer", source);
  return choose_named(kOptimizers, text, "optimizer")(text, text.sequence().front());
}

void Optimizer::require_call(std::span<float* const> state, std::int64_t step) const {
  const std::size_t expected = state_names().size();
  require(state.size() == expected, ErrorKind::internal, "optimizer ", text(), ": an update was given ",
          state.size(), " state arrays; it needs ", expected);
  require(step >= 1, ErrorKind::internal, "optimizer ", text(), ": an update was given step ", step,
          "; steps count from 1");
}

}  // namespace trainer::optim
