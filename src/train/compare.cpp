#include "compare.h"

#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::train {

void require_same_layout(const comm::Communicator& world, const nn::Network& network) {
  comm::require_same(world, "the build",
                     text("compiler ", __VERSION__, "\noneDNN ", nn::onednn_version(), "\ninstruction set ",
                          nn::onednn_isa()));
  std::string layout;
  for (const auto& tensor : network.parameters())
    layout +=
        text(tensor.path, " ", tensor.size, " at ", tensor.offset, " in panels of ", tensor.panel, "\n");
  comm::require_same(world, "the layout of the model", layout);
}

}  // namespace trainer::train
