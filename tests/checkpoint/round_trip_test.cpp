#include <gtest/gtest.h>

#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/core/digest.h"
#include "trainer/h5/file.h"

namespace trainer::checkpoint {

namespace {

class RoundTripTest : public Scratch {};

TEST_F(RoundTripTest, WhatIsWrittenIsReadBack) {
  write(at("a.h5"), sample());
  EXPECT_EQ(names_in(folder()), std::vector<std::string>{"a.h5"});
  expect_sample(read(at("a.h5")));
  expect_sample(read(at("a.h5"), Check::contents));
  EXPECT_TRUE(verify(at("a.h5")).good);
  EXPECT_EQ(read_weights(at("a.h5")), sample().model);
}

TEST_F(RoundTripTest, AFileOfVersion1StaysReadable) {
  expect_sample(read(std::string(TRAINER_TEST_FOLDER) + "/version_1.h5"));
}

TEST_F(RoundTripTest, ReplacesAnOlderFileAndALeftOver) {
  write(at("a.h5"), sample(1));
  put_bytes(at(".tmp-a.h5"), {'x'});
  write(at("a.h5"), sample(2));
  expect_sample(read(at("a.h5")), 2);
  EXPECT_EQ(names_in(folder()), std::vector<std::string>{"a.h5"});
}

TEST_F(RoundTripTest, EqualContentGivesEqualBytesInWhateverOrder) {
  write(at("a.h5"), sample());
  Checkpoint shuffled = sample();
  std::reverse(shuffled.model.begin(), shuffled.model.end());
  std::reverse(shuffled.optimizer.begin(), shuffled.optimizer.end());
  write(at("b.h5"), shuffled);
  EXPECT_EQ(bytes_of(at("a.h5")), bytes_of(at("b.h5")));
  expect_sample(read(at("b.h5")));
}

TEST_F(RoundTripTest, TheFirstLineSaysWhatTheFileIs) {
  write(at("a.h5"), sample());
  const std::vector<char> bytes = bytes_of(at("a.h5"));
  const std::string digest = digest_of(bytes.data() + 512, bytes.size() - 512);
  EXPECT_EQ(std::string(bytes.data()),
            text("trainer checkpoint 1 xxh3-128 ", digest, ' ', bytes.size() - 512, '\n'));
}

TEST_F(RoundTripTest, EmptyPartsAreFine) {
  Checkpoint bare = sample();
  bare.model.clear();
  bare.optimizer.clear();
  bare.scaling.clear();
  bare.scaling_attributes.clear();
  bare.history.clear();
  bare.model.push_back({"00_dense/weight", {0, 3}, {}});
  write(at("a.h5"), bare);
  const Checkpoint found = read(at("a.h5"));
  EXPECT_EQ(found.model, bare.model);
  EXPECT_TRUE(found.optimizer.empty() && found.scaling.empty() && found.history.empty());
}

TEST_F(RoundTripTest, PathsAreInByteOrderEvenWhereGroupsWouldDiffer) {
  Checkpoint checkpoint = sample();
  checkpoint.model = {{"a/x", {1}, {1}}, {"a-b/x", {1}, {2}}, {"a0", {1}, {3}}};  // '-' < '/' < '0'
  write(at("a.h5"), checkpoint);
  std::vector<std::string> paths;
  for (const Tensor& tensor : read(at("a.h5")).model) paths.push_back(tensor.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"a-b/x", "a/x", "a0"}));
}

TEST_F(RoundTripTest, TheWeightsDigestIsOverPathsAndValuesInPathOrder) {
  const float weight[] = {1, 2};
  Digest digest;
  digest.add("/model/00_dense/bias");
  digest.add("\0\0\0\x3f", 4);  // 0.5
  digest.add("/model/00_dense/weight");
  digest.add(weight, sizeof weight);
  EXPECT_EQ(weights_digest({{"00_dense/weight", {1, 2}, {1, 2}}, {"00_dense/bias", {1}, {0.5F}}}),
            digest.hex());
  // The same from Python with xxhash (the lines in checkpoint.h).
  EXPECT_EQ(digest.hex(), "40dd82a8c3cb64d46188962bfe0fd5b5");
  EXPECT_NE(weights_digest({{"00_dense/weight", {1, 2}, {1, 2}}, {"00_dense/bias", {1}, {-0.5F}}}),
            digest.hex());
}

TEST_F(RoundTripTest, WeightsOfAnyHdf5FileAreRead) {
  h5::File file = h5::File::create(at("a.h5"));
  file.write("/model/00_dense/weight", std::vector<std::int64_t>{1, 2}, std::vector<double>{0.1, 2});
  file.write("/model/00_dense/bias", std::vector<std::int64_t>{1}, std::vector<float>{3});
  file.close();
  EXPECT_EQ(read_weights(at("a.h5")),
            (std::vector<Tensor>{{"00_dense/bias", {1}, {3}}, {"00_dense/weight", {1, 2}, {0.1F, 2}}}));
}

TEST_F(RoundTripTest, AttributesAreAskedForByTypeAndName) {
  const Attributes attributes = sample().progress;
  EXPECT_EQ(get<std::int64_t>(attributes, "epoch", "here"), 1);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { get<double>(attributes, "epoch", "here"); }),
                       "here: attribute 'epoch' is of the wrong type"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { get<double>(attributes, "none", "here"); }),
                       "'none' is missing"));
}

}  // namespace

}  // namespace trainer::checkpoint
