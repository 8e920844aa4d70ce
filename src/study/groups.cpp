#include "groups.h"

#include <utility>

#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"

namespace trainer::study {
namespace {

// The first character of a letter to a group's first rank, and from it to the others. To rank 0: a result, or
// kStop alone.
constexpr char kWork = 'w', kStop = 's', kEnd = 'e';
const std::string kStopAlone(1, kStop), kEndAlone(1, kEnd);

}  // namespace

Groups::Groups(const comm::Communicator& world, int ranks_per_group, std::function<bool()> asked_to_stop)
    : world_(world),
      ranks_per_group_(ranks_per_group),
      count_(world.size() / ranks_per_group),
      asked_to_stop_(std::move(asked_to_stop)),
      mine_(world.split(is_left_over() ? count_ : world.rank() / ranks_per_group)),
      mailbox_(world) {}

void Groups::run(Manager* manager, const Work& work) {
  if (world_.rank() == 0)
    lead(*manager, work);
  else if (is_left_over())
    (void)wait_for_letter();  // of the end
  else
    follow(work);
  mailbox_.finish();
  world_.watchdog().set_phase("the end of the other groups' work");
  world_.barrier();
}

void Groups::lead(Manager& manager, const Work& work) {
  while (true) {
    serve(manager);
    if (const std::optional<std::string> next = manager.next()) {
      tell_members(kWork + *next);
      manager.take(work(*next, [&] { return serve(manager); }));
      hand_out(manager);
      continue;
    }
    if (busy_.empty()) break;
    world_.watchdog().set_phase("the wait for the other groups' work");
    take_in(mailbox_.wait([&] { pass_on_stop(manager); }), manager);
  }
  tell_members(kEndAlone);
  for (int answered = 1; answered < count_; ++answered) {  // each asks once more
    while (idle_.empty()) take_in(mailbox_.wait(), manager);
    mailbox_.send(idle_.front(), kEndAlone);
    idle_.pop_front();
  }
  for (int rank = count_ * ranks_per_group_; rank < world_.size(); ++rank) mailbox_.send(rank, kEndAlone);
}

/// Of a rank other than 0.
std::string Groups::wait_for_letter() {
  world_.watchdog().set_phase("the wait for work");
  return mailbox_
      .wait([&] {
        if (passed_on_ || !asked_to_stop_ || !asked_to_stop_()) return;
        passed_on_ = true;
        mailbox_.send(0, kStopAlone);
      })
      .text;
}

/// Of the first rank of a group, which holds the ranks behind it.
void Groups::tell_members(const std::string& letter) {
  for (int member = 1; member < ranks_per_group_; ++member) mailbox_.send(world_.rank() + member, letter);
}

/// What has come while this rank was at work itself. True when work is to end.
bool Groups::serve(Manager& manager) {
  while (const std::optional<comm::Letter> letter = mailbox_.look()) take_in(*letter, manager);
  return pass_on_stop(manager);
}

bool Groups::pass_on_stop(Manager& manager) {
  const bool stop = manager.must_stop();
  if (stop && !std::exchange(told_to_stop_, true))
    for (const int leader : busy_) mailbox_.send(leader, std::string(1, kStop));
  return stop;
}

/// A result, or at the start nothing; either way its group has nothing to do.
void Groups::take_in(const comm::Letter& letter, Manager& manager) {
  if (letter.text == kStopAlone) return manager.stop();
  idle_.push_back(letter.from);
  if (!letter.text.empty()) {
    busy_.erase(letter.from);
    manager.take(letter.text);
  }
  hand_out(manager);
}

void Groups::hand_out(Manager& manager) {
  while (!idle_.empty()) {
    const std::optional<std::string> next = manager.next();
    if (!next) return;
    mailbox_.send(idle_.front(), kWork + *next);
    busy_.insert(idle_.front());
    idle_.pop_front();
  }
}

void Groups::follow(const Work& work) {
  const bool leads = mine_.rank() == 0;
  std::string result;
  while (true) {
    if (leads) mailbox_.send(0, std::move(result));
    std::string letter;
    do letter = wait_for_letter();
    while (letter.front() == kStop);  // it came too late
    if (leads) tell_members(letter);
    mailbox_.finish();
    if (letter.front() == kEnd) return;
    result = work(letter.substr(1), [&] { return leads && mailbox_.look().has_value(); });
  }
}

}  // namespace trainer::study
