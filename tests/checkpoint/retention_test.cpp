#include "trainer/checkpoint/retention.h"

#include <gtest/gtest.h>

#include "sample.h"

namespace trainer::checkpoint {

namespace {

class RetentionTest : public Scratch {
 protected:
  void save(std::int64_t step) const { write(at(step_file_name(step)), sample(step)); }
  std::vector<std::int64_t> steps() const {
    std::vector<std::int64_t> steps;
    for (const StepFile& file : list_checkpoints(folder())) steps.push_back(file.step);
    return steps;
  }
  void damage(std::int64_t step) const {
    std::vector<char> bytes = bytes_of(at(step_file_name(step)));
    bytes.back() = static_cast<char>(~bytes.back());
    put_bytes(at(step_file_name(step)), bytes);
  }
};

TEST_F(RetentionTest, NamesAndStepsAgree) {
  EXPECT_EQ(step_file_name(1200), "step-00001200.h5");
  for (const std::int64_t step : {std::int64_t{0}, std::int64_t{7}, std::int64_t{99999999},
                                  std::int64_t{100000000}, std::int64_t{9} << 50}) {
    EXPECT_EQ(step_of_file_name(step_file_name(step)), step);
  }
  for (const char* name :
       {"", "step-.h5", "step-0000120.h5", "step-000001200.h5", "step--0000120.h5", "step-0000120x.h5",
        "step-00001200.h5x", ".tmp-step-00001200.h5", "best.h5", "step-99999999999999999999999.h5"}) {
    EXPECT_EQ(step_of_file_name(name), std::nullopt) << name;
  }
  error_of(ErrorKind::internal, [] { step_file_name(-1); });
}

TEST_F(RetentionTest, ListsByStepNotByName) {
  EXPECT_TRUE(list_checkpoints(at("none")).empty());
  for (const std::int64_t step : {100000000, 3, 99999999}) put_bytes(at(step_file_name(step)), {});
  put_bytes(at("best.h5"), {});
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{3, 99999999, 100000000}));
  error_of(ErrorKind::data, [&] { list_checkpoints(at("best.h5")); });
}

TEST_F(RetentionTest, KeepsTheNewestAndClearsLeftOvers) {
  for (const std::int64_t step : {1, 2, 3, 4}) put_bytes(at(step_file_name(step)), {});
  for (const char* name : {".tmp-step-00000005.h5", "best.h5", ".tmp-best.h5", "notes.txt"})
    put_bytes(at(name), {});
  keep_newest(folder(), 5);
  EXPECT_EQ(steps(), (std::vector<std::int64_t>{1, 2, 3, 4}));
  keep_newest(folder(), 2);
  EXPECT_EQ(names_in(folder()), (std::vector<std::string>{".tmp-best.h5", "best.h5", "notes.txt",
                                                          "step-00000003.h5", "step-00000004.h5"}));
  error_of(ErrorKind::internal, [&] { keep_newest(folder(), 0); });
}

TEST_F(RetentionTest, FindsTheNewestGoodAndSaysWhyOthersAreNot) {
  for (const std::int64_t step : {1, 2, 3}) save(step);
  NewestGood found = find_newest_good(folder());
  ASSERT_TRUE(found.file && found.checkpoint);
  EXPECT_EQ(found.file->step, 3);
  expect_sample(*found.checkpoint, 3);
  EXPECT_TRUE(found.bad.empty());

  damage(3);
  std::filesystem::copy(at(step_file_name(1)), at(step_file_name(4)));
  found = find_newest_good(folder());
  ASSERT_TRUE(found.file);
  EXPECT_EQ(found.file->path, at(step_file_name(2)));
  ASSERT_EQ(found.bad.size(), 2);
  EXPECT_TRUE(contains(found.bad[0].reason, "holds step 1; it was renamed")) << found.bad[0].reason;
  EXPECT_EQ(found.bad[1].path, at(step_file_name(3)));
  EXPECT_TRUE(contains(found.bad[1].reason, "its digest is")) << found.bad[1].reason;

  EXPECT_EQ(find_newest_good(folder(), 1).file->step, 1);
  EXPECT_FALSE(find_newest_good(folder(), 0).file);
  damage(1);
  damage(2);
  found = find_newest_good(folder());
  EXPECT_FALSE(found.file || found.checkpoint);
  EXPECT_EQ(found.bad.size(), 4);
  EXPECT_FALSE(find_newest_good(at("none")).file);
}

}  // namespace

}  // namespace trainer::checkpoint
