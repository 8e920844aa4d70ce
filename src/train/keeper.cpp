#include "keeper.h"

#include <chrono>
#include <optional>
#include <utility>

#include "former_bests.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/failure.h"

namespace trainer::train {
namespace {

constexpr const char* kGoesOn = "Training goes on; it is tried again with the next one";

}  // namespace

struct Keeper::Job {
  Progress progress;
  History history;
  std::shared_ptr<const BestModel> best;
  std::string goal, best_digest;
  ModelValues model;                           ///< a copy; until `file` is made of it
  ModelValues average;                         ///< the same of the average of the weights; empty: none
  std::vector<std::vector<float>> optimizer;   ///< the same of its state, flat, by state
  std::optional<checkpoint::Checkpoint> file;  ///< until it is on disk
  bool on_disk = false;
  std::exception_ptr unflushed;  ///< the CSV rows that the checkpoint counts are not in their files
};

Keeper::Keeper(const comm::Communicator& world, const Prepared& prepared, const RunFacts& facts,
               Records& records, std::int64_t keep)
    : world_(world), prepared_(prepared), facts_(facts), records_(records), keep_(keep) {}

Keeper::~Keeper() {
  if (writer_.joinable()) writer_.join();
}

void Keeper::continue_from(std::string newest, std::shared_ptr<const BestModel> best) {
  newest_ = std::move(newest);
  best_kept_ = std::move(best);
  if (best_kept_) best_kept_digest_ = digest_of(*best_kept_);
}

std::string Keeper::digest_of(const BestModel& best) const {
  return weights_digest(*prepared_.network, best.model.parameters, best.model.statistics);
}

void Keeper::save(const Step& step, const Progress& progress, const History& history,
                  std::shared_ptr<const BestModel> best, const std::string& goal) {
  const Stopwatch still;
  comm::on_first_rank(world_, [&] {
    collect(kGoesOn);  // what failed then is tried again now
    failure_ = nullptr;
    job_ = std::make_unique<Job>();
    job_->progress = progress;
    job_->history = history;
    job_->best = std::move(best);
    job_->goal = goal;
    job_->model = copy_of(step.parameters(), step.statistics());
    try {
      records_.flush();
    } catch (...) {
      job_->unflushed = std::current_exception();
    }
  });
  for (std::size_t k = 0; k < prepared_.optimizer->state_names().size(); ++k) {
    std::vector<float> state = step.gather_state(k);
    if (job_) job_->optimizer.push_back(std::move(state));
  }
  if (step.has_average()) {
    ModelValues average;
    step.gather_average(average.parameters, average.statistics);
    if (job_) job_->average = std::move(average);
  }
  if (job_) {
    done_ = false;
    writer_ = std::thread([this] {
      try {
        if (job_->unflushed) std::rethrow_exception(job_->unflushed);
        write(*job_);
      } catch (...) {
        failure_ = std::current_exception();
      }
      done_ = true;
    });
  }
  ++saves_;
  stood_still_ += still.seconds();
}

void Keeper::look() {
  if (done_ && end_writer()) tell_of_failure(kGoesOn);
}

/// Waits for the writer. True when it is one that has failed for the disk, of which nobody has told yet. The
/// others, which wait for this rank, get their signs of life.
bool Keeper::end_writer() {
  if (!writer_.joinable()) return false;
  while (!done_) {
    world_.poll();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  writer_.join();
  return failure_ && failure_of(failure_).kind == ErrorKind::data;
}

void Keeper::tell_of_failure(const std::string& what_now) {
  records_.note(text("warning: the save of step ", job_->progress.step,
                     " is not complete: ", failure_of(failure_).message, ". ", what_now));
}

/// Collective through its callers. Ends the writer; throws what is no matter of the disk.
void Keeper::collect(const std::string& what_now) {
  if (end_writer()) tell_of_failure(what_now);
  if (failure_ && failure_of(failure_).kind != ErrorKind::data) std::rethrow_exception(failure_);
}

void Keeper::finish() {
  comm::on_first_rank(world_, [&] {
    collect("It is tried once more");
    if (!job_ || job_->on_disk) return;
    try {
      records_.flush();
      write(*job_);
      failure_ = nullptr;
    } catch (...) {
      const Failure failure = failure_of(std::current_exception());
      fail(failure.kind, "the checkpoint of step ", job_->progress.step,
           ", the last one, could not be saved: ", failure.message,
           newest_.empty()
               ? std::string(". There is none yet: start again")
               : text(". The newest one is ", newest_, ": continue from there with `trainer resume ",
                      records_.folder().path(), "`"));
    }
  });
}

/// CSV rows, best.h5, checkpoint: each is there when the next speaks of it.
void Keeper::write(Job& job) {
  report::RunFolder& folder = records_.folder();
  records_.sync_flushed();
  if (!job.file) {
    job.file = describe(prepared_, facts_, job.history, job.progress, job.model);
    job.model = {};
    if (!job.average.parameters.empty())
      job.file->average = model_tensors(*prepared_.network, job.average.parameters, job.average.statistics);
    job.average = {};
    job.file->optimizer = optimizer_tensors(prepared_, std::move(job.optimizer));
    if (job.best) job.best_digest = job.best == best_kept_ ? best_kept_digest_ : digest_of(*job.best);
    job.file->progress["best_digest"] = job.best_digest;
    job.file->progress["goal"] = job.goal;
  }
  // The first checkpoint of a run comes before best.h5, and holds the best model itself: a folder with
  // best.h5 and no checkpoint could be neither continued nor begun anew.
  if (newest_.empty()) {
    write_checkpoint(job);
    write_best(job);
  } else {
    write_best(job);
    write_checkpoint(job);
  }
  job.file.reset();
  job.on_disk = true;
  try {  // the checkpoint is there: what is left is not worth a warning that it is not
    checkpoint::keep_newest(folder.checkpoint_folder(), keep_);
    forget_old_bests(folder);
    folder.write_status({report::RunState::running, 0, job.progress.step, "", newest_});
  } catch (...) {
    records_.log(text("warning: after the checkpoint of step ", job.progress.step, ": ",
                      failure_of(std::current_exception()).message));
  }
}

void Keeper::write_checkpoint(const Job& job) {
  const std::string name = "checkpoints/" + checkpoint::step_file_name(job.progress.step);
  checkpoint::write(records_.folder().file(name), *job.file);
  newest_ = name;
}

void Keeper::write_best(const Job& job) {
  if (!job.best || job.best == best_kept_) return;
  keep_previous_best(job);
  checkpoint::write(records_.folder().best_checkpoint(),
                    describe(prepared_, facts_, job.history, job.best->progress, job.best->model));
  best_kept_ = job.best;
  best_kept_digest_ = job.best_digest;
}

/// The best model in best.h5 gets a file of its own before a newer one takes its place: written from memory,
/// whatever became of best.h5.
void Keeper::keep_previous_best(const Job& job) const {
  if (!best_kept_) return;
  const report::RunFolder& folder = records_.folder();
  checkpoint::write(folder.file(former_best_name(best_kept_->progress.stopping.best_step)),
                    describe(prepared_, facts_, job.history, best_kept_->progress, best_kept_->model));
}

}  // namespace trainer::train
