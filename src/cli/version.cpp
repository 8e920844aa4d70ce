#include "trainer/cli/commands.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/nn/onednn_facts.h"

#ifdef __clang__
#define TRAINER_COMPILER __VERSION__
#else
#define TRAINER_COMPILER "GCC " __VERSION__
#endif

namespace trainer::cli {

std::string version_text() {
  return text("trainer ", TRAINER_VERSION, "\ncompiler ", TRAINER_COMPILER, "\nbuild ", TRAINER_BUILD_TYPE,
              "\noneDNN ", nn::onednn_version(), "\nMPI ", comm::mpi_library_version(), "\n");
}

}  // namespace trainer::cli
