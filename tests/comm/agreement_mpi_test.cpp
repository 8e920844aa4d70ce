#include <gtest/gtest.h>

#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"

namespace trainer::comm {
namespace {

class AgreementTest : public testing::Test {
 protected:
  /// What this rank is told when `work` is done together.
  std::optional<Error> outcome(const std::function<void()>& work) const {
    try {
      together(world_, work);
    } catch (const Error& error) {
      return error;
    }
    return std::nullopt;
  }

  Environment environment_{nullptr, nullptr};
  Communicator world_ = Communicator::world(environment_);
  int rank_ = world_.rank();
  int size_ = world_.size();
};

TEST_F(AgreementTest, NoErrorIsNoError) {
  bool done = false;
  EXPECT_FALSE(outcome([&] { done = true; }));
  EXPECT_TRUE(done);
}

TEST_F(AgreementTest, OneRanksErrorIsEveryonesWithItsName) {
  for (int failing = 0; failing < size_; ++failing) {
    const auto error =
        outcome([&] { require(rank_ != failing, ErrorKind::data, "no such file on rank ", rank_); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), ErrorKind::data);
    const std::string message = "no such file on rank " + std::to_string(failing);
    const std::string prefix = "rank " + std::to_string(failing) + " on " + host_name() + ": ";
    EXPECT_EQ(error->what(), size_ == 1 ? message : prefix + message);
  }
}

TEST_F(AgreementTest, TheFirstRanksWorkCountsForAll) {
  int done = 0;
  on_first_rank(world_, [&] { ++done; });
  EXPECT_EQ(done, rank_ == 0 ? 1 : 0);
  try {
    on_first_rank(world_, [&] { fail(ErrorKind::data, "no such folder, says rank ", rank_); });
    FAIL() << "nothing was thrown on rank " << rank_;
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_STREQ(error.what(), "no such folder, says rank 0");
  }
}

TEST_F(AgreementTest, OfSeveralErrorsTheLowestRanksCounts) {
  if (size_ < 3) GTEST_SKIP() << "needs 3 ranks";
  const auto error = outcome([&] {
    if (rank_ == 1) fail(ErrorKind::usage, "first");
    if (rank_ >= 2) fail(ErrorKind::numeric, "second");
  });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::usage);
  EXPECT_EQ(error->what(), "rank 1 on " + host_name() + ": first");
}

TEST_F(AgreementTest, TheSameErrorEverywhereStandsAlone) {
  const auto error = outcome([&] { fail(ErrorKind::usage, "--batch-size is 0; it must be at least 1"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::usage);
  EXPECT_STREQ(error->what(), "--batch-size is 0; it must be at least 1");
}

TEST_F(AgreementTest, TheSameWordsOfDifferentKindsDoNotStandAlone) {
  if (size_ < 2) GTEST_SKIP() << "needs 2 ranks";
  const auto error = outcome([&] { fail(rank_ == 0 ? ErrorKind::stopped : ErrorKind::data, "words"); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->kind(), ErrorKind::stopped);
  EXPECT_EQ(error->what(), "rank 0 on " + host_name() + ": words");
}

TEST_F(AgreementTest, ForeignExceptionsAreInternalErrors) {
  const auto standard = outcome([] { throw std::out_of_range("vector::at"); });
  ASSERT_TRUE(standard);
  EXPECT_EQ(standard->kind(), ErrorKind::internal);
  EXPECT_STREQ(standard->what(), "internal error: vector::at");
  const auto memory = outcome([] { throw std::bad_alloc(); });
  ASSERT_TRUE(memory);
  EXPECT_STREQ(memory->what(), "out of memory");
  const auto unknown = outcome([] { throw 42; });
  ASSERT_TRUE(unknown);
  EXPECT_EQ(unknown->kind(), ErrorKind::internal);
}

TEST_F(AgreementTest, TheSameTextIsAccepted) {
  EXPECT_NO_THROW(require_same(world_, "the configuration", "batch = 256\nlr = 0.1\n"));
  EXPECT_NO_THROW(require_same(world_, "the configuration", ""));
}

TEST_F(AgreementTest, ADifferentTextNamesRankHostAndLine) {
  if (size_ < 2) GTEST_SKIP() << "needs 2 ranks";
  const int other = size_ - 1;
  try {
    require_same(world_, "the configuration",
                 rank_ == other ? "batch = 256\nlr = 0.2\n" : "batch = 256\nlr = 0.1\n");
    FAIL() << "different texts were accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::communication);
    const std::string message = error.what();
    EXPECT_NE(message.find("the configuration is not the same"), std::string::npos) << message;
    EXPECT_NE(message.find("rank " + std::to_string(other) + " on " + host_name()), std::string::npos)
        << message;
    EXPECT_NE(message.find(host_name() + " differs from rank 0"), std::string::npos) << message;
    EXPECT_NE(message.find("line 2"), std::string::npos) << message;
    EXPECT_NE(message.find("'lr = 0.2'"), std::string::npos) << message;
    EXPECT_NE(message.find("'lr = 0.1'"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST_F(AgreementTest, ATextThatEndsEarlierDiffers) {
  if (size_ < 2) GTEST_SKIP() << "needs 2 ranks";
  try {
    require_same(world_, "the data", rank_ == 1 ? "a\n" : "a\nb\n");
    FAIL() << "different texts were accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("rank 1 has nothing, rank 0 has 'b'"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace trainer::comm
