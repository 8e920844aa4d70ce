#include "trainer/data/open.h"

#include <algorithm>
#include <utility>

#include "labels.h"
#include "memory.h"
#include "memory_room.h"
#include "plan.h"
#include "resident.h"
#include "share_over.h"
#include "shared_room.h"
#include "streamed.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// What the labels tell, for all splits.
struct ClassFacts {
  std::int64_t count = 0;
  std::vector<std::string> names;
  std::string absent;
};

using Counts = std::vector<std::vector<std::int64_t>>;

ClassFacts class_facts(const Plan& plan, const Counts& counts) {
  ClassFacts out;
  out.count = count_classes(plan, counts);
  if (static_cast<std::int64_t>(plan.class_names.size()) == out.count) out.names = plan.class_names;
  out.absent = absent_classes(counts.front(), out.count);
  return out;
}

std::string task_note(const Plan& plan, const DataFacts& train) {
  if (train.kind == TargetKind::none) return "task: autoencoder, the targets are the scaled inputs";
  const bool classes = train.kind == TargetKind::classes;
  return text("task: ", classes ? "classification" : "regression", ", ", train.targets,
              classes ? " classes" : " target columns",
              plan.task == Task::unsaid ? " (from the data; --task says otherwise)" : "");
}

std::vector<std::string> notes_on(const Plan& plan, const DataFacts& train, const DataFacts* test,
                                  const std::string& absent) {
  std::vector<std::string> notes;
  notes.push_back(text("data: ", train.name, " from ", plan.origin, ": ", train.rows, " rows of ",
                       shape_text(train), " ", train.element_type,
                       test != nullptr ? text(", ", test->rows, " test rows") : ""));
  notes.push_back(task_note(plan, train));
  if (!absent.empty()) notes.push_back("note: no training row has class " + absent);
  return notes;
}

/// The labels of all splits, counted without the inputs. Empty unless they are classes.
Counts count_labels_alone(const Plan& plan) {
  Counts out;
  for (const Source& source : plan.splits) {
    const std::int64_t bytes = bytes_needed(source.facts);  // before anything is allocated
    if (source.facts.kind != TargetKind::classes || bytes == 0) continue;
    std::vector<std::int32_t> labels(static_cast<std::size_t>(source.facts.rows));
    source.read({0, source.facts.rows}, {.classes = labels.data()});
    out.push_back(count_labels(labels, source.facts.name));
  }
  return out;
}

std::unique_ptr<OpenedSet> opened_set(const comm::Communicator& world, const comm::Communicator& node,
                                      Source source, bool resident, std::int64_t all_bytes,
                                      const MemoryLimit& limit) {
  if (resident) return std::make_unique<ResidentData>(world, node, source);
  return std::make_unique<StreamedData>(world, node, std::move(source), all_bytes, limit);
}

/// Whether all rows of all splits are held in memory.
bool fits(const Plan& plan, const MemoryLimit& limit) {
  const std::int64_t bytes = bytes_of_rows(plan.splits);
  if (holds_rows(limit, bytes)) return true;
  require(std::ranges::all_of(plan.splits, &Source::any_rows), ErrorKind::data, "--data: the rows of ",
          plan.origin, " need ", bytes >> 20, " MiB of memory, --memory-limit ", limit.text, " leaves ",
          (limit.bytes / 4 * 3) >> 20,
          " MiB for them, and this format cannot be read in parts; say --memory-limit ", limit_to_hold(bytes),
          ", or make an HDF5 file of it with `trainer data convert` where there is more memory");
  return false;
}

}  // namespace

MemoryLimit memory_limit(const comm::Communicator& world, const std::string& option) {
  MemoryLimit limit{0, option};
  comm::together(world, [&] { limit.bytes = memory_bytes("--memory-limit", option); });
  const std::vector<std::int64_t> all = world.all_gather(limit.bytes);
  limit.bytes = *std::min_element(all.begin(), all.end());
  return limit;
}

OpenedData open_data(const comm::Communicator& world, const comm::Communicator& node, const Request& request,
                     const MemoryLimit& limit) {
  const ShareWork share = share_over(world);
  std::vector<SplitRole> roles;
  // What reads IDX files opens them on every rank, although one per node will read them: a rank that cannot
  // see them is an error here, by name.
  const Plan plan = whole_plan(world, request, roles);
  bool resident = true;
  comm::together(world, [&] { resident = fits(plan, limit); });
  comm::require_same(world, "the files of --data", plan.visible);

  OpenedData opened;
  opened.files = plan.splits[0].files.empty() ? std::vector<std::int64_t>{0} : plan.splits[0].files;
  opened.groups = plan.splits[0].groups;
  std::vector<std::unique_ptr<OpenedSet>> splits;
  const std::int64_t all_bytes = bytes_of_rows(plan.splits);
  for (const Source& source : plan.splits)
    splits.push_back(opened_set(world, node, source, resident, all_bytes, limit));

  ClassFacts classes;
  const bool are_known = !resident && plan.splits[0].facts.targets > 0;  // without a pass over the files
  if (splits[0]->facts().kind == TargetKind::classes) {
    Counts counts;
    for (const auto& split : splits) {
      if (are_known) break;
      if (resident)
        comm::together(world, [&] { counts.push_back(split->count_labels(share)); });
      else
        counts.push_back(split->count_labels(share));
    }
    if (are_known)
      counts.assign(1, std::vector<std::int64_t>(static_cast<std::size_t>(plan.splits[0].facts.targets), 1));
    comm::together(world, [&] { classes = class_facts(plan, counts); });
    for (const auto& split : splits) split->set_classes(classes.count, classes.names);
  }

  const DataFacts* test = nullptr;
  for (std::size_t i = 1; i < splits.size(); ++i)
    if (roles[i] == SplitRole::test) test = &splits[i]->facts();
  opened.notes = notes_on(plan, splits[0]->facts(), test, classes.absent);
  std::int64_t unshared = 0;
  for (const auto& split : splits) unshared += split->unshared_bytes();
  const std::string note = shared_room_note(world, node, unshared, "the rows", "", unshared == 0);
  if (!note.empty()) opened.notes.push_back(note);
  if (!resident)
    opened.notes.push_back(text("data: the rows stay in their files (--memory-limit ", limit.text, " is ",
                                limit.bytes >> 20, " MiB, the rows need ", all_bytes >> 20,
                                " MiB, which is more than three quarters of it)"));
  opened.train = std::move(splits[0]);
  for (std::size_t i = 1; i < splits.size(); ++i)
    (roles[i] == SplitRole::test ? opened.test : opened.validation) = std::move(splits[i]);
  return opened;
}

PeekedData peek_data(const Request& request) {
  std::vector<SplitRole> roles;
  Plan plan = whole_plan(comm::Communicator::alone(), request, roles);
  const Counts counts = count_labels_alone(plan);
  ClassFacts classes;
  if (!counts.empty()) {
    classes = class_facts(plan, counts);
    for (Source& source : plan.splits) {
      source.facts.targets = classes.count;
      source.facts.class_names = classes.names;
    }
  }
  PeekedData peeked;
  peeked.train = plan.splits[0].facts;
  for (std::size_t i = 1; i < plan.splits.size(); ++i)
    if (roles[i] == SplitRole::test) peeked.test = plan.splits[i].facts;
  peeked.notes = notes_on(plan, peeked.train, peeked.test ? &*peeked.test : nullptr, classes.absent);
  return peeked;
}

}  // namespace trainer::data
