#include <gtest/gtest.h>

#include <map>

#include "trainer/comm/communicator.h"
#include "trainer/comm/mailbox.h"

namespace trainer::comm {
namespace {

class MailboxTest : public testing::Test {
 protected:
  Environment environment_{nullptr, nullptr};
  Communicator world_ = Communicator::world(environment_);
  int rank_ = world_.rank();
  int size_ = world_.size();
};

TEST_F(MailboxTest, LettersOfEveryRankArriveInOrder) {
  constexpr int kLetters = 20;
  Mailbox box(world_);
  const auto text_of = [](int from, int to, int number) {
    return std::string(static_cast<std::size_t>(number * 7000), 'x') + std::to_string(from) + ">" +
           std::to_string(to) + "#" + std::to_string(number);
  };
  for (int number = 0; number < kLetters; ++number)
    for (int to = 0; to < size_; ++to)
      if (to != rank_) box.send(to, text_of(rank_, to, number));
  std::map<int, int> next;
  for (int i = 0; i < kLetters * (size_ - 1); ++i) {
    const Letter letter = box.wait();
    EXPECT_EQ(letter.text, text_of(letter.from, rank_, next[letter.from]++));
  }
  EXPECT_EQ(next.size(), static_cast<std::size_t>(size_ - 1));
  box.finish();
  world_.barrier();
  EXPECT_FALSE(box.look().has_value());
}

TEST_F(MailboxTest, AnEmptyTextIsALetterToo) {
  Mailbox box(world_);
  if (rank_ != 0) box.send(0, "");
  for (int i = 1; rank_ == 0 && i < size_; ++i) EXPECT_EQ(box.wait().text, "");
  box.finish();
}

TEST_F(MailboxTest, OneBoxDoesNotSeeTheLettersOfAnother) {
  Mailbox first(world_), second(world_);
  const int next = (rank_ + 1) % size_;
  if (size_ > 1) {
    first.send(next, "first");
    second.send(next, "second");
    EXPECT_EQ(second.wait().text, "second");
    EXPECT_EQ(first.wait().text, "first");
  }
  first.finish();
  second.finish();
}

}  // namespace
}  // namespace trainer::comm
