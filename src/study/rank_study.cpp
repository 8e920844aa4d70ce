#include "rank_study.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "study_files.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/core/tree.h"
#include "trainer/h5/file.h"
#include "trainer/report/progress.h"
#include "trainer/train/deadline.h"

namespace trainer::study {
namespace {

constexpr std::int64_t kRounds = 5;

/// The round with the median time; its times add up, which medians of each would not.
const train::StepTimes& median_of(const std::vector<train::StepTimes>& rounds) {
  std::vector<const train::StepTimes*> order;
  for (const train::StepTimes& round : rounds) order.push_back(&round);
  std::ranges::sort(order, {}, [](const train::StepTimes* round) { return round->seconds; });
  return *order[(order.size() - 1) / 2];
}

std::string number_text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%.3g", value);
  return buffer;
}

std::vector<StepsToGoal> steps_to_goal(const std::string& study, const std::string& model,
                                       std::vector<std::string>& notes) {
  const std::string path = study + "/study.h5";
  const h5::File file = h5::File::open_read(path);
  require(file.has("/batches/batch") && file.has("/batches/steps"), ErrorKind::data, "--batch-study ", study,
          ": it holds no steps to a goal; give the folder of a finished `trainer study batch --goal ...`");
  const std::vector<std::int64_t> batches = file.read_i64("/batches/batch");
  const std::vector<double> steps = file.read_f64("/batches/steps");
  require(batches.size() == steps.size(), ErrorKind::data, path,
          ": /batches/batch and /batches/steps differ");
  std::vector<StepsToGoal> goal;
  constexpr std::int64_t kMost = std::int64_t{1} << 40;
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (steps[i] > 0 && steps[i] < 1e15 && batches[i] >= 1 && batches[i] < kMost)
      goal.push_back({batches[i], std::max(1.0, steps[i])});
  require(!goal.empty(), ErrorKind::data, "--batch-study ", study, ": the goal was reached at no batch size");
  const h5::Attributes attributes = file.attributes("/");
  const auto found = attributes.find("model");
  const std::string* trained = found == attributes.end() ? nullptr : std::get_if<std::string>(&found->second);
  if (trained != nullptr && *trained != model)
    notes.push_back(text("note: the batch study trained another --model (",
                         trained->empty() ? "the default" : *trained,
                         "); its steps to the goal are taken all the same"));
  return goal;
}

}  // namespace

RankStudy::RankStudy(const comm::Communicator& world, const Request& request)
    : world_(world),
      request_(request),
      node_(world.node()),
      data_(train::prepare_training_data(world, node_, request.configuration)) {
  round_steps_ = (request_.options.steps + kRounds - 1) / kRounds;
  warm_up_ = std::max<std::int64_t>(5, round_steps_ / 4);
  if (!request_.options.trials.empty()) read_batch_study();
  plan();
}

/// By rank 0, for all.
void RankStudy::read_batch_study() {
  comm::on_first_rank(
      world_, [&] { goal_ = steps_to_goal(request_.options.trials, request_.configuration.model, notes_); });
  auto sizes = static_cast<std::int64_t>(goal_.size());
  world_.broadcast(&sizes, sizeof(sizes), 0);
  goal_.resize(static_cast<std::size_t>(sizes));
  world_.broadcast(goal_.data(), sizes * static_cast<std::int64_t>(sizeof(StepsToGoal)), 0);
}

std::int64_t RankStudy::ranks() const { return world_.is_alone() ? comm::ranks_of_job() : world_.size(); }

std::vector<std::int64_t> RankStudy::rank_counts() const {
  std::vector<std::int64_t> counts;
  for (std::int64_t n = 1; n < ranks(); n *= 2) counts.push_back(n);
  counts.push_back(ranks());
  return counts;
}

void RankStudy::plan() {
  const std::vector<std::int64_t> counts = rank_counts();
  const std::int64_t rows = data_->split.training.size(), weak = request_.options.weak;
  const train::Prepared strong = train::prepare(world_, data_, request_.configuration, request_.threads);
  net_ = {strong.network->parameter_floats(), static_cast<std::int64_t>(strong.network->layers().size()),
          static_cast<std::int64_t>(strong.network->statistics().size()) / 2};
  for (const std::int64_t n : counts) add_point("strong", n, strong.plan.batch, strong.plan.shards);
  if (counts.back() > strong.plan.shards)
    notes_.push_back(
        text("warning: a batch of ", strong.plan.batch, " rows has ", strong.plan.shards,
             " shard(s), and more ranks than that have nothing to compute: give a larger --batch-size, or "
             "--shards ",
             std::bit_ceil(static_cast<std::uint64_t>(counts.back())), " or more"));
  for (const std::int64_t n : counts) {
    if (n > rows / weak) {
      notes_.push_back(text("note: weak scaling ends before ", n, " rank(s): ", weak,
                            " rows of each are more than the ", rows,
                            " training rows; a smaller --weak goes on"));
      break;
    }
    add_point("weak", n, n * weak, n * default_shards(weak));
  }
  if (!goal_.empty()) {
    const auto ends = std::ranges::minmax(goal_, {}, &StepsToGoal::batch);
    for (const std::int64_t batch : std::set{ends.min.batch, std::min(ends.max.batch, rows)})
      for (const std::int64_t n : std::set{counts.front(), counts.back()})
        add_point("batch", n, batch, default_shards(batch));
  }
  if (!goal_.empty() && std::ssize(counts) < kLeastCounts)
    notes_.push_back(text("note: the time to the goal of --batch-study is predicted from ", kLeastCounts,
                          " numbers of ranks or more; this job has ", counts.size()));
  note_places();
}

void RankStudy::add_point(const std::string& kind, std::int64_t ranks, std::int64_t batch,
                          std::int64_t shards) {
  Planned planned;
  planned.point.kind = kind;
  planned.point.ranks = ranks;
  planned.point.batch = batch;
  planned.point.shards = shards;
  planned.point.threads = request_.threads;
  planned.configuration = request_.configuration;
  planned.configuration.batch_size = std::to_string(batch);
  planned.configuration.shards = shards;
  (void)train::prepare(world_, data_, planned.configuration, request_.threads);  // what is wrong is said now
  planned_.push_back(std::move(planned));
}

/// On how many hosts the ranks of each point are, and whether there are processors enough for them.
void RankStudy::note_places() {
  if (world_.is_alone()) return;
  const std::vector<std::string> hosts = world_.all_gather(comm::host_name());
  hosts_ = static_cast<std::int64_t>(std::set(hosts.begin(), hosts.end()).size());
  for (Planned& planned : planned_) {
    const auto end = hosts.begin() + planned.point.ranks;
    planned.point.hosts = static_cast<std::int64_t>(std::set(hosts.begin(), end).size());
    const auto beside = std::count(hosts.begin(), end, comm::host_name());
    const bool crowded =
        world_.rank() < planned.point.ranks &&
        comm::is_oversubscribed({static_cast<int>(beside), request_.threads, comm::cpus_of_process(),
                                 comm::cpus_of_node(), comm::bound_by_launcher()});
    std::int64_t any = crowded ? 1 : 0;
    world_.sum(std::span(&any, 1));
    planned.point.crowded = any > 0;
  }
}

void RankStudy::make_groups() {
  for (const std::int64_t n : rank_counts()) {
    comm::Communicator members = world_.split(world_.rank() < n ? 0 : 1);
    comm::Communicator node = members.node();
    groups_.push_back({n, std::move(members), std::move(node)});
  }
}

/// Rows that are in memory are there for any ranks. A reader of files belongs to the ranks that opened it; it
/// goes when they are done, for the next one's memory.
train::StepTimes RankStudy::time(const Planned& planned) const {
  const Group& group = *std::ranges::find(groups_, planned.point.ranks, &Group::ranks);
  std::shared_ptr<const train::PreparedData> data = data_;
  if (!data_->opened.train->has_all_rows() && group.ranks < world_.size())
    data = train::prepare_training_data(group.members, group.node, request_.configuration, data_->scalings);
  return train::time_steps(group.members, data, planned.configuration, request_.threads, warm_up_,
                           round_steps_);
}

void RankStudy::measure(Planned& planned) {
  std::exception_ptr failure;
  train::StepTimes times;
  try {
    if (world_.rank() < planned.point.ranks) times = time(planned);
  } catch (const comm::AgreedError&) {  // the group has agreed; the ranks that wait hear of it here
    failure = std::current_exception();
  }
  world_.watchdog().set_phase("the end of a point of the study");
  comm::follow_first_rank(world_, failure);
  if (world_.rank() == 0) planned.rounds.push_back(times);
}

/// A request may reach any one rank alone.
bool RankStudy::must_stop(train::Deadline* deadline) {
  std::int64_t stop = 0;
  if (request_.signals != nullptr && request_.signals->stop()) stop = 1;
  if (deadline != nullptr && deadline->is_reached()) stop = 1;
  world_.sum(std::span(&stop, 1));
  return stop != 0;
}

/// Those that were measured in at least one round.
std::vector<RankPoint> RankStudy::points_so_far() const {
  std::vector<RankPoint> points;
  for (const Planned& planned : planned_) {
    if (planned.rounds.empty()) continue;
    const train::StepTimes& times = median_of(planned.rounds);
    RankPoint point = planned.point;
    const auto ends = std::ranges::minmax(planned.rounds, {}, &train::StepTimes::seconds);
    point.steps = static_cast<std::int64_t>(planned.rounds.size()) * times.steps;
    point.seconds = times.seconds;
    point.compute = times.compute;
    point.communicate = times.communicate;
    point.wait = times.wait;
    point.read = times.read;
    point.bytes = times.bytes;
    point.messages = work_of(net_, point.batch, point.shards, point.ranks).messages;
    point.spread = (ends.max.seconds - ends.min.seconds) / times.seconds;
    const bool same = std::ranges::all_of(
        planned.rounds, [&](const train::StepTimes& round) { return round.weights == times.weights; });
    point.weights = same ? times.weights : "";
    points.push_back(point);
  }
  set_rates(points);
  return points;
}

int RankStudy::run() {
  if (request_.dry_run) {
    if (world_.rank() == 0 && comm::rank_from_environment() == 0) tell(describe());
    return 0;
  }
  std::optional<report::RunFolder> folder;
  std::optional<train::Deadline> deadline;
  comm::on_first_rank(world_, [&] {
    folder = open_study_folder(request_, data_->facts().fingerprint);
    deadline.emplace(request_.configuration);
    if (!request_.configuration.quiet) tell(announcement());
  });
  if (request_.on_folder) request_.on_folder(world_.broadcast(folder ? folder->path() : "", 0));
  write_environment(world_, request_, folder ? &*folder : nullptr);
  make_groups();
  bool stopped = false;
  for (std::int64_t round = 1; round <= kRounds && !stopped; ++round) {
    for (Planned& planned : planned_) {
      stopped = must_stop(deadline ? &*deadline : nullptr);
      if (stopped) break;
      measure(planned);
      comm::on_first_rank(world_, [&] { write_points(folder->file("trials.csv"), points_so_far()); });
      if (world_.rank() != 0 || request_.configuration.quiet) continue;
      const train::StepTimes& times = planned.rounds.back();
      tell(text("round ", round, "/", kRounds, "  ", planned.point.kind, "  ", planned.point.ranks,
                " rank(s)  batch ", times.batch, "  ", number_text(1000 * times.seconds), " ms a step  ",
                report::rate_text(static_cast<double>(times.batch) / times.seconds), " samples/s\n"));
    }
  }
  std::int64_t code = 0;
  comm::on_first_rank(
      world_, [&] { code = finish(*folder, stopped ? "stopped on request or by the time limit" : ""); });
  world_.broadcast(&code, sizeof(code), 0);
  return static_cast<int>(code);
}

int RankStudy::finish(const report::RunFolder& folder, const std::string& stopped) const {
  std::vector<RankPoint> points = points_so_far();
  const auto measured = static_cast<std::int64_t>(points.size());
  const bool complete = stopped.empty();
  const std::string reason = complete
                                 ? text("all ", measured, " points measured")
                                 : text(stopped, " after ", measured, " of ", planned_.size(), " points");
  std::string lines, note;
  if (measured > 0) {
    predict(points, net_, goal_);
    write_points(folder.file("trials.csv"), points);
    RankSummary summary = summarise_ranks(points);
    if (!complete) summary.advice.insert(summary.advice.begin(), not_complete(reason));
    folder.write("summary.json", json_of(summary));
    h5::File file = h5::File::create(folder.file("study.h5"));
    const auto rows = static_cast<std::int64_t>(points.size());
    for (const auto& [name, values] : number_columns(points))
      file.write("/points/" + name, std::span(&rows, 1), std::span<const double>(values));
    file.set_attribute("/points", "kinds", std::vector<std::string>{"strong", "weak", "batch", "goal"});
    file.set_attribute("/", "format", std::string("trainer-study"));
    if (summary.model)
      for (const auto& [name, value] : {std::pair{"seconds_fixed", summary.model->together.fixed},
                                        {"seconds_per_row", summary.model->together.per_row},
                                        {"seconds_per_message", summary.model->latency},
                                        {"seconds_per_byte", summary.model->per_byte}})
        file.set_attribute("/", name, value);
    file.close();
    note = write_rank_page(summary, folder.path(), folder.file("report.html"), folder.file("figures"),
                           [&] { world_.poll(); });
    lines = text_of(summary);
  }
  folder.write_status({complete ? report::RunState::finished : report::RunState::stopped, complete ? 0 : 75,
                       measured, reason, ""});
  if (!note.empty()) lines += "note: " + note + "\n";
  if (measured > 0) lines += text("report ", folder.file("report.html"), "\n");
  if (request_.configuration.quiet) lines.clear();
  if (complete)
    lines += text("done: study ", folder.path(), ", ", measured, " points, ", ranks(), " rank(s)\n");
  else
    lines += text("stopped: ", reason, "; the same command and --resume measures all points anew\n");
  tell(lines);
  return complete ? 0 : 75;
}

std::string RankStudy::announcement() const {
  std::string lines;
  for (const std::string& note : data_->notes) lines += note + "\n";
  lines += text("study: ", ranks(), " rank(s) on ", hosts_, " host(s), ", request_.threads,
                " thread(s) each; ", planned_.size(), " points, each timed in ", kRounds, " rounds of ",
                round_steps_, " steps after ", warm_up_, " that do not count\n");
  if (request_.resume) lines += "note: times of another job are not mixed in: all points are measured anew\n";
  for (const std::string& note : notes_) lines += note + "\n";
  return lines;
}

std::string RankStudy::describe() const {
  std::string lines;
  for (const Planned& planned : planned_)
    lines += text(planned.point.kind, "  ", planned.point.ranks, " rank(s)  batch ", planned.point.batch,
                  "  ", planned.point.shards, " shard(s)\n");
  for (const std::string& note : notes_) lines += note + "\n";
  if (std::ssize(rank_counts()) < kLeastCounts)
    lines += text("then no prediction: that takes ", kLeastCounts, " numbers of ranks, as of mpirun -np 4\n");
  else
    lines += text("then predictions for up to ", ranks() << kDoublings, " ranks",
                  goal_.empty() ? "" : ", and the time to the goal of the batch study", "\n");
  return lines + "dry run: everything was checked, nothing was timed\n";
}

void RankStudy::tell(const std::string& lines) const {
  if (request_.out == nullptr) return;
  std::fputs(lines.c_str(), request_.out);
  std::fflush(request_.out);
}

}  // namespace trainer::study
