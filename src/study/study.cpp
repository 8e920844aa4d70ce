#include "trainer/study/study.h"

#include "rank_study.h"
#include "trial_study.h"

namespace trainer::study {

int run_study(const comm::Communicator& world, const Request& request) {
  world.watchdog().set_limit(request.configuration.stall_timeout_seconds);
  world.watchdog().set_phase("the preparation of the data");
  if (request.kind == Kind::ranks) {
    RankStudy study(world, request);
    return study.run();
  }
  TrialStudy study(world, request);
  return study.run();
}

}  // namespace trainer::study
