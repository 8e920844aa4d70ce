#include "trainer/data/open.h"

#include <utility>

#include "labels.h"
#include "plan.h"
#include "resident.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

std::string shape_text(const DataFacts& facts) {
  std::string out;
  for (const std::int64_t size : facts.feature_shape) out += text(out.empty() ? "" : " x ", size);
  return out;
}

/// What the labels tell, for all splits.
struct ClassFacts {
  std::int64_t count = 0;
  std::vector<std::string> names;
  std::string absent;
};

ClassFacts class_facts(const Plan& plan, const Labels& labels) {
  ClassFacts out;
  out.count = count_classes(plan, labels);
  if (static_cast<std::int64_t>(plan.class_names.size()) == out.count) out.names = plan.class_names;
  out.absent = absent_classes(labels.front(), out.count);
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

/// The labels of all splits, read without the inputs. Empty unless they are classes.
std::vector<std::vector<std::int32_t>> read_labels(const Plan& plan) {
  std::vector<std::vector<std::int32_t>> out;
  for (const Source& source : plan.splits) {
    const std::int64_t bytes = bytes_needed(source.facts);  // before anything is allocated
    if (source.facts.kind != TargetKind::classes || bytes == 0) continue;
    out.emplace_back(static_cast<std::size_t>(source.facts.rows));
    source.fill({.classes = out.back().data()});
  }
  return out;
}

}  // namespace

OpenedData open_data(const comm::Communicator& world, const comm::Communicator& node, const std::string& spec,
                     const std::string& task) {
  Plan plan;
  // Every rank opens the files, although one per node will read them: a rank that cannot see them is an error
  // here, by name.
  comm::together(world, [&] { plan = plan_of(spec, task); });
  comm::require_same(world, "the files of --data", plan.visible);

  std::vector<std::unique_ptr<ResidentData>> splits;
  for (const Source& source : plan.splits)
    splits.push_back(std::make_unique<ResidentData>(world, node, source));

  ClassFacts classes;
  comm::together(world, [&] {
    if (splits[0]->facts().kind != TargetKind::classes) return;
    Labels labels;
    for (const auto& split : splits) labels.push_back(split->classes());
    classes = class_facts(plan, labels);
    for (const auto& split : splits) split->set_classes(classes.count, classes.names);
  });

  OpenedData opened;
  opened.train = std::move(splits[0]);
  if (splits.size() > 1) opened.test = std::move(splits[1]);
  opened.notes =
      notes_on(plan, opened.train->facts(), opened.test ? &opened.test->facts() : nullptr, classes.absent);
  return opened;
}

PeekedData peek_data(const std::string& spec, const std::string& task) {
  Plan plan = plan_of(spec, task);
  const std::vector<std::vector<std::int32_t>> read = read_labels(plan);
  ClassFacts classes;
  if (!read.empty()) {
    classes = class_facts(plan, Labels(read.begin(), read.end()));
    for (Source& source : plan.splits) {
      source.facts.targets = classes.count;
      source.facts.class_names = classes.names;
    }
  }
  PeekedData peeked;
  peeked.train = plan.splits[0].facts;
  if (plan.splits.size() > 1) peeked.test = plan.splits[1].facts;
  peeked.notes = notes_on(plan, peeked.train, peeked.test ? &*peeked.test : nullptr, classes.absent);
  return peeked;
}

}  // namespace trainer::data
