#include <gtest/gtest.h>

#include <cstdlib>

#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"

namespace trainer::checkpoint {

namespace {

int run(const std::string& command) { return std::system(command.c_str()); }

// Whether h5py, a library that is not ours, reads what we write, and we what it writes. Skipped where it is
// not installed.
class WithPythonTest : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    for (const char* candidate : {"python3", "/usr/bin/python3"}) {
      if (run(text(candidate, " -c 'import h5py' 2>/dev/null")) == 0) python_ = candidate;
    }
    if (python_.empty()) GTEST_SKIP() << "no python3 with h5py here (Debian: python3-h5py)";
  }
  int script(const std::string& action, const std::string& name) const {
    return run(
        text(python_, " '", TRAINER_TEST_FOLDER, "/with_h5py.py' ", action, " '", at(name).string(), "'"));
  }
  std::string python_;
};

TEST_F(WithPythonTest, H5pyReadsACheckpoint) {
  write(at("a.h5"), sample());
  EXPECT_EQ(script("read", "a.h5"), 0);
}

TEST_F(WithPythonTest, PythonRecomputesTheWeightsDigest) {
  if (run(python_ + " -c 'import xxhash' 2>/dev/null") != 0)
    GTEST_SKIP() << "no xxhash for " << python_ << " (Debian: python3-xxhash)";
  write(at("a.h5"), sample());
  EXPECT_EQ(script("digest", "a.h5"), 0);
}

TEST_F(WithPythonTest, AFileChangedWithH5pyIsRefusedButForItsWeights) {
  write(at("a.h5"), sample());
  ASSERT_EQ(script("change", "a.h5"), 0);
  EXPECT_FALSE(verify(at("a.h5")).good);
  std::vector<Tensor> expected = sample().model;
  expected[0].values[0] = 0.25F;
  EXPECT_EQ(read(at("a.h5"), Check::contents).model, expected);
  EXPECT_EQ(read_weights(at("a.h5")), expected);
}

TEST_F(WithPythonTest, WeightsWrittenByH5pyAreRead) {
  ASSERT_EQ(script("make", "a.h5"), 0);
  EXPECT_EQ(read_weights(at("a.h5")),
            (std::vector<Tensor>{{"00_dense/bias", {2}, {0.5F, -1}},
                                 {"00_dense/weight", {2, 3}, {0, 0.1F, 0.2F, 0.3F, 0.4F, 0.5F}}}));
  ASSERT_EQ(script("compress", "a.h5"), 0);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_weights(at("a.h5")); }), "h5repack"));
}

}  // namespace

}  // namespace trainer::checkpoint
