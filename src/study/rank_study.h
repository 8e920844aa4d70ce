#pragma once

// How fast on how many ranks. Private to this room.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rank_points.h"
#include "rank_summary.h"
#include "trainer/comm/communicator.h"
#include "trainer/report/run_folder.h"
#include "trainer/study/study.h"
#include "trainer/train/deadline.h"
#include "trainer/train/prepare.h"
#include "trainer/train/step_times.h"

namespace trainer::study {

/// Times the same steps on the first 1, 2, 4, ... ranks of the job, one point after the other, while the
/// others wait; all of it several times, so that what disturbs a machine for a while does not disturb one
/// point alone.
class RankStudy {
 public:
  /// Collective. Opens the data and checks the options of all points. Throws comm::AgreedError.
  RankStudy(const comm::Communicator& world, const Request& request);
  /// Collective. Returns the exit code.
  int run();

 private:
  /// The first ranks of the job; on the others a group of those that wait.
  struct Group {
    std::int64_t ranks;
    comm::Communicator members, node;
  };
  struct Planned {
    RankPoint point;
    train::Configuration configuration;
    std::vector<train::StepTimes> rounds;
  };

  std::int64_t ranks() const;  ///< of the job
  std::vector<std::int64_t> rank_counts() const;
  void read_batch_study();
  void plan();
  void add_point(const std::string& kind, std::int64_t ranks, std::int64_t batch, std::int64_t shards);
  void note_places();
  void make_groups();
  train::StepTimes time(const Planned& planned) const;
  void measure(Planned& planned);
  bool must_stop(train::Deadline* deadline);
  std::vector<RankPoint> points_so_far() const;
  std::string describe() const;
  std::string announcement() const;
  void tell(const std::string& lines) const;
  int finish(const report::RunFolder& folder, const std::string& stopped) const;

  const comm::Communicator& world_;
  const Request& request_;
  comm::Communicator node_;
  std::shared_ptr<const train::PreparedData> data_;
  NetSize net_;
  std::vector<Planned> planned_;
  std::vector<Group> groups_;
  std::vector<StepsToGoal> goal_;
  std::vector<std::string> notes_;
  std::int64_t round_steps_ = 0, warm_up_ = 0, hosts_ = 1;
};

}  // namespace trainer::study
