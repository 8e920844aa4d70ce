#include "open_trials.h"

#include <algorithm>

#include "trainer/core/error.h"

namespace trainer::study {

OpenTrials::OpenTrials(const Question& question, const Records& records)
    : question_(question), records_(records) {
  for (const std::int64_t batch : question_.batches) {
    batches_.push_back({});
    batches_.back().batch = batch;
    plan(batches_.back());
  }
}

void OpenTrials::plan(Batch& batch) {
  known_ -= batch.known;
  done_ -= batch.done;
  const Search search(question_.space, question_.rules, question_.aim, batch.batch, records_);
  batch.waiting.clear();
  batch.done = 0;
  batch.known = static_cast<std::int64_t>(search.trials().size());
  for (const Trial& trial : search.trials())
    if (records_.contains(trial.id))
      ++batch.done;
    else if (!batch.begun.contains(trial.id))
      batch.waiting.push_back(trial);
  known_ += batch.known;
  done_ += batch.done;
}

std::optional<Trial> OpenTrials::begin() {
  for (Batch& batch : batches_) {
    if (batch.waiting.empty()) continue;
    Trial trial = std::move(batch.waiting.front());
    batch.waiting.pop_front();
    batch.begun.insert(trial.id);
    return trial;
  }
  return std::nullopt;
}

void OpenTrials::end(const Trial& trial) {
  const auto batch = std::ranges::find(batches_, trial.batch, &Batch::batch);
  require(batch != batches_.end() && batch->begun.erase(trial.id) == 1, ErrorKind::internal,
          "the end of the trial ", trial.id, ", which was not begun");
  ++batch->done;
  ++done_;
  if (batch->waiting.empty()) plan(*batch);
}

}  // namespace trainer::study
