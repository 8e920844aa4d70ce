#include <cstdio>

#include "trainer/cli/commands.h"
#include "trainer/train/doctor.h"

namespace trainer::cli {

int run_doctor(const comm::Communicator& world, const Job& job) {
  train::DoctorRequest request;
  request.configuration = job.line.configuration;
  request.check_data = job.line.given.contains("data");
  request.threads = job.threads;
  request.out = stdout;
  return train::run_doctor(world, request);
}

}  // namespace trainer::cli
