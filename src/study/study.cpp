#include "trainer/study/study.h"

#include "question.h"
#include "study_files.h"
#include "trainer/core/error.h"
#include "trial_study.h"

namespace trainer::study {

int run_study(const comm::Communicator& world, const Request& request) {
  world.watchdog().set_limit(request.configuration.stall_timeout_seconds);
  world.watchdog().set_phase("the preparation of the data");
  require(request.kind != Kind::ranks, ErrorKind::internal, "study ranks is not there yet");
  TrialStudy study(world, request);
  return study.run();
}

}  // namespace trainer::study
