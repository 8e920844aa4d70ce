#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/core/random.h"
#include "trainer/h5/file.h"

namespace trainer::checkpoint {

namespace {

class DamageTest : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    write(at("good.h5"), sample());
    good_ = bytes_of(at("good.h5"));
  }

  std::string error_with(const std::vector<char>& bytes) const {
    put_bytes(at("bad.h5"), bytes);
    const std::string message = error_of(ErrorKind::data, [&] { read(at("bad.h5")); });
    EXPECT_TRUE(contains(message, "bad.h5")) << message;
    const Verdict verdict = verify(at("bad.h5"));
    EXPECT_FALSE(verdict.good);
    EXPECT_EQ(verdict.reason, message);
    return message;
  }

  std::vector<char> with_flipped_bit(std::size_t place, unsigned bit) const {
    std::vector<char> bytes = good_;
    bytes[place] = static_cast<char>(bytes[place] ^ (1 << bit));
    return bytes;
  }

  std::vector<char> good_;
};

TEST_F(DamageTest, AFlippedBitAnywhereIsRefused) {
  for (std::size_t place = 0; place < 512; ++place) error_with(with_flipped_bit(place, place % 8));
  RandomStream random(RandomKey(1, Purpose::self_test), 0);
  for (int i = 0; i < 500; ++i) {
    const std::size_t place = 512 + random.below(good_.size() - 512);
    const std::string message = error_with(with_flipped_bit(place, static_cast<unsigned>(random.below(8))));
    EXPECT_TRUE(contains(message, "its digest is")) << message;
  }
}

TEST_F(DamageTest, AFileOfAnotherLengthIsRefused) {
  const std::size_t size = good_.size();
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{511}, std::size_t{512}}) {
    EXPECT_TRUE(contains(error_with({good_.begin(), good_.begin() + static_cast<std::ptrdiff_t>(length)}),
                         "too few"));
  }
  for (const std::size_t length : {std::size_t{513}, size / 2, size - 1}) {
    EXPECT_TRUE(contains(error_with({good_.begin(), good_.begin() + static_cast<std::ptrdiff_t>(length)}),
                         text(size - 512, " were written")));
  }
  std::vector<char> longer = good_;
  longer.push_back(0);
  EXPECT_TRUE(contains(error_with(longer), text(size - 512, " were written")));
}

TEST_F(DamageTest, SwappedHalvesAreRefused) {
  std::vector<char> swapped = good_;
  const auto half = static_cast<std::ptrdiff_t>((good_.size() - 512) / 2);
  std::swap_ranges(swapped.begin() + 512, swapped.begin() + 512 + half, swapped.begin() + 512 + half);
  EXPECT_TRUE(contains(error_with(swapped), "its digest is"));
}

TEST_F(DamageTest, ANewerVersionIsNamed) {
  std::vector<char> newer = good_;
  newer[std::string("trainer checkpoint ").size()] = '2';
  EXPECT_TRUE(contains(error_with(newer), "has version 2; this trainer reads up to version 1"));
}

TEST_F(DamageTest, ADigestThatIsNoneIsNotPrinted) {
  for (const char wrong : {'\x1b', '\f', 'g', 'A'}) {
    std::vector<char> bytes = good_;
    bytes[std::string("trainer checkpoint 1 xxh3-128 ").size() + 5] = wrong;
    EXPECT_TRUE(contains(error_with(bytes), "its first 512 bytes are damaged"));
  }
}

TEST_F(DamageTest, ASizeThatNoMemoryHoldsIsRefusedBeforeItIsAllocated) {
  std::vector<char> hostile(600, 0);
  const std::string line =
      "trainer checkpoint 1 xxh3-128 00000000000000000000000000000000 9000000000000000000\n";
  std::copy(line.begin(), line.end(), hostile.begin());
  EXPECT_TRUE(
      contains(error_with(hostile), "88 bytes after its first block where 9000000000000000000 were written"));
}

TEST_F(DamageTest, WhatIsNoCheckpointIsNamedSo) {
  EXPECT_TRUE(contains(error_with(std::vector<char>(2000, 'x')), "is not a checkpoint of trainer"));
  h5::File plain = h5::File::create(at("plain.h5"));
  plain.write("/model/weight", std::vector<std::int64_t>{1000}, std::vector<float>(1000));
  plain.close();
  EXPECT_TRUE(contains(error_with(bytes_of(at("plain.h5"))), "is not a checkpoint of trainer"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read(folder()); }), "is not a file"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read(at("none.h5")); }), "No such file"));
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);  // must not wait for a writer
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read(at("pipe")); }), "is not a file"));
}

}  // namespace

}  // namespace trainer::checkpoint
