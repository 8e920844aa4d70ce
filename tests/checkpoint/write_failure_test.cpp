#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"

namespace trainer::checkpoint {

namespace {

class WriteFailureTest : public Scratch {};

// Files may not grow over `bytes` while one lives: a full disk as far as write() can tell, also for root.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(WriteFailureTest, AFullDiskLeavesTheOlderFileAndNothingElse) {
  write(at("a.h5"), sample(1));
  const auto size = std::filesystem::file_size(at("a.h5"));
  for (const rlim_t bytes : {rlim_t{0}, rlim_t{512}, rlim_t{size / 2}, rlim_t{size - 1}}) {
    std::string message;
    {
      const SmallDisk disk(bytes);
      message = error_of(ErrorKind::data, [&] { write(at("a.h5"), sample(2)); });
    }
    EXPECT_TRUE(contains(
        message, at("a.h5").string() + ": cannot be written (write): File too large; free some space"))
        << message;
    expect_sample(read(at("a.h5")), 1);
    EXPECT_EQ(names_in(folder()), std::vector<std::string>{"a.h5"});
  }
  const SmallDisk disk(size);
  write(at("a.h5"), sample(2));
  expect_sample(read(at("a.h5")), 2);
}

TEST_F(WriteFailureTest, FoldersThatCannotBeWritten) {
  put_bytes(at("file"), {'x'});
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { write(at("file/a.h5"), sample()); }),
                       "Not a directory; check the path"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { write(at("none/a.h5"), sample()); }),
                       "No such file or directory; check the path"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { write("/proc/a.h5", sample()); }),
                       "/proc/a.h5: cannot be written (open)"));
}

TEST_F(WriteFailureTest, ARenameThatFailsLeavesNothing) {
  std::filesystem::create_directories(at("a.h5/in_the_way"));
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { write(at("a.h5"), sample()); }), "(rename): Is a directory"));
  EXPECT_EQ(names_in(folder()), std::vector<std::string>{"a.h5"});
}

TEST_F(WriteFailureTest, ANonFiniteStateIsNeverSaved) {
  write(at("a.h5"), sample(1));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  Checkpoint bad = sample(2);
  bad.model[1].values[4] = nan;
  EXPECT_TRUE(contains(error_of(ErrorKind::numeric, [&] { write(at("a.h5"), bad); }),
                       "/model/00_dense/weight: element 4 of 6 is nan"));
  bad = sample(2);
  bad.optimizer[0].values[1] = -infinity;
  EXPECT_TRUE(contains(error_of(ErrorKind::numeric, [&] { write(at("a.h5"), bad); }),
                       "/optimizer/00_dense/bias/first_moment: element 1 of 2 is infinite"));
  bad = sample(2);
  bad.scaling["mean"][0] = nan;
  EXPECT_TRUE(contains(error_of(ErrorKind::numeric, [&] { write(at("a.h5"), bad); }), "/scaling/mean"));
  expect_sample(read(at("a.h5")), 1);
  EXPECT_EQ(names_in(folder()), std::vector<std::string>{"a.h5"});
}

TEST_F(WriteFailureTest, ContentAgainstTheRulesIsADefect) {
  const auto expect_defect = [&](const std::string& part, const auto& change) {
    Checkpoint bad = sample();
    change(bad);
    const std::string message = error_of(ErrorKind::internal, [&] { write(at("a.h5"), bad); });
    EXPECT_TRUE(contains(message, part)) << message;
  };
  expect_defect("'model' is missing", [](Checkpoint& bad) { bad.model_attributes.erase("model"); });
  expect_defect("'seed' is of the wrong type", [](Checkpoint& bad) { bad.root["seed"] = 3.0; });
  expect_defect("2 values where the shape asks for 3", [](Checkpoint& bad) { bad.model[0].shape = {3}; });
  expect_defect("asks for -1", [](Checkpoint& bad) {
    bad.model[0].shape = {std::int64_t{1} << 40, std::int64_t{1} << 40};
  });
  expect_defect("is there twice", [](Checkpoint& bad) { bad.model[0].path = bad.model[1].path; });
  expect_defect("/history/epoch: 1 rows", [](Checkpoint& bad) { bad.history[1].second.pop_back(); });
  for (const char* path : {"", "/a", "a/", "a//b", "a/../b", ".", "a b", "é"}) {
    expect_defect("is not a name for a data set", [&](Checkpoint& bad) { bad.model[0].path = path; });
  }
  EXPECT_TRUE(names_in(folder()).empty());
}

}  // namespace

}  // namespace trainer::checkpoint
