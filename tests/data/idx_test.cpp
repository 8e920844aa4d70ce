#include "trainer/data/idx.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "idx_writer.h"
#include "temporary_folder.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// The message of the Error(data) that `work` must throw.
std::string data_error(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

void expect_says(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "' does not say '" << part << "'";
}

class Idx : public testing::Test {
 protected:
  std::string write(const std::string& bytes) {
    const std::string path = folder_.file("file-" + std::to_string(++files_));
    write_file(path, bytes);
    return path;
  }
  std::string open_error(const std::string& bytes) {
    const std::string path = write(bytes);
    const std::string message = data_error([&] { IdxFile file(path); });
    expect_says(message, path);
    return message;
  }
  /// Opening must succeed, reading as floats must fail.
  std::string read_error(const std::string& bytes) {
    const std::string path = write(bytes);
    IdxFile file(path);
    std::vector<float> values(static_cast<std::size_t>(file.elements()));
    const std::string message = data_error([&] { file.read(values.data()); });
    expect_says(message, path);
    return message;
  }
  template <class T>
  void expect_round_trip(IdxType type, const std::vector<T>& values) {
    const std::string bytes = idx_bytes(type, {3, 2}, values);
    for (const std::string& stored : {bytes, gzip(bytes)}) {
      IdxFile file(write(stored));
      EXPECT_EQ(file.type(), type);
      EXPECT_EQ(file.shape(), (std::vector<std::int64_t>{3, 2}));
      ASSERT_EQ(file.elements(), 6);
      std::vector<float> read(6);
      file.read(read.data());
      for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(read[i], static_cast<float>(values[i])) << name_of(type);
    }
  }
  TemporaryFolder folder_;
  int files_ = 0;
};

TEST_F(Idx, ReadsEveryTypePlainAndCompressed) {
  expect_round_trip<std::uint8_t>(IdxType::uint8, {0, 1, 127, 128, 254, 255});
  expect_round_trip<std::int8_t>(IdxType::int8, {0, 1, 127, -128, -2, -1});
  expect_round_trip<std::int16_t>(IdxType::int16, {0, 1, 32767, -32768, -2, 258});
  expect_round_trip<std::int32_t>(IdxType::int32, {0, 1, 16777216, -2147483647 - 1, -2, 65538});
  expect_round_trip<float>(IdxType::float32, {0.0f, -0.5f, 3.25f, 1e30f, -1e-30f, 7.0f});
  expect_round_trip<double>(IdxType::float64, {0.0, -0.5, 3.25, 1e30, 0.1, 7.0});
}

TEST_F(Idx, ReadsBytesAndLabelsAsTheyAre) {
  const std::vector<std::uint8_t> values{9, 0, 255, 3};
  IdxFile bytes(write(idx_bytes(IdxType::uint8, {4}, values)));
  std::vector<std::uint8_t> read(4);
  bytes.read(read.data());
  EXPECT_EQ(read, values);

  IdxFile labels(write(idx_bytes<std::int32_t>(IdxType::int32, {3}, {70000, 0, -5})));
  std::vector<std::int32_t> classes(3);
  labels.read(classes.data());
  EXPECT_EQ(classes, (std::vector<std::int32_t>{70000, 0, -5}));

  IdxFile floats(write(idx_bytes<float>(IdxType::float32, {1}, {1.0f})));
  expect_says(data_error([&] { floats.read(classes.data()); }), "float32");
  IdxFile halves(write(idx_bytes<std::int16_t>(IdxType::int16, {1}, {1})));
  expect_says(data_error([&] { halves.read(read.data()); }), "int16");
}

TEST_F(Idx, ReadsLongFilesAcrossItsBlocks) {
  std::vector<std::int16_t> values(3 * 20011);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int16_t>(i * 7919);
  IdxFile file(write(gzip(idx_bytes(IdxType::int16, {20011, 3}, values))));
  std::vector<float> read(values.size());
  file.read(read.data());
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(read[i], static_cast<float>(values[i])) << i;
}

TEST_F(Idx, ReadsGzipOfSeveralMembers) {
  const std::string bytes = idx_bytes<std::uint8_t>(IdxType::uint8, {4}, {1, 2, 3, 4});
  IdxFile file(write(gzip(bytes.substr(0, 6)) + gzip(bytes.substr(6))));
  std::vector<std::uint8_t> read(4);
  file.read(read.data());
  EXPECT_EQ(read, (std::vector<std::uint8_t>{1, 2, 3, 4}));
}

TEST_F(Idx, ReadsManyDimensions) {
  const std::vector<std::uint32_t> shape(255, 1);
  IdxFile file(write(idx_bytes<std::uint8_t>(IdxType::uint8, shape, {42})));
  EXPECT_EQ(file.shape().size(), 255u);
  std::uint8_t value = 0;
  file.read(&value);
  EXPECT_EQ(value, 42);
}

TEST_F(Idx, RefusesWhatIsNoIdxFile) {
  expect_says(open_error(""), "first 4 bytes");
  expect_says(open_error(std::string(3, '\0')), "first 4 bytes");
  expect_says(open_error("PK\x03\x04 something else entirely"), "two zero bytes");
  expect_says(open_error(std::string("\0\0\x0A\x01\0\0\0\x01", 8)), "found 10");
  expect_says(open_error(std::string("\0\0\x08\0", 4)), "no dimensions");
  expect_says(open_error(std::string("\0\0\x08\x03\0\0\0\x01", 8)), "3 dimensions");
  expect_says(open_error(idx_header(IdxType::uint8, {5, 0})), "size 0");
}

TEST_F(Idx, RefusesSizesThatCannotBeTrue) {
  const std::uint32_t huge = 0xFFFFFFFF;
  expect_says(open_error(idx_header(IdxType::uint8, {huge, huge, huge})), "more than can be addressed");
  expect_says(open_error(idx_header(IdxType::float64, {huge, huge})), "more than can be addressed");
  expect_says(open_error(idx_header(IdxType::uint8, {huge, 0x10000}) + "xy"), "2 bytes follow");
  expect_says(open_error(gzip(idx_header(IdxType::uint8, {huge, 0x10000}) + "xy")), "can hold");
  expect_says(open_error(gzip(idx_header(IdxType::uint8, {huge, huge, huge}))), "more than can be addressed");
}

TEST_F(Idx, RefusesTruncatedAndTrailingBytes) {
  const std::string good = idx_bytes<std::uint8_t>(IdxType::uint8, {2, 3}, {1, 2, 3, 4, 5, 6});
  expect_says(open_error(good.substr(0, good.size() - 1)), "truncated");
  expect_says(open_error(good + "x"), "longer than it says");
  expect_says(read_error(gzip(good.substr(0, good.size() - 1))), "truncated");
  expect_says(read_error(gzip(good + "x")), "goes on after");
}

TEST_F(Idx, RefusesDamagedGzip) {
  std::vector<std::uint8_t> noise(20000);
  std::uint32_t state = 1;
  for (std::uint8_t& value : noise)
    value = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  const std::string packed = gzip(idx_bytes(IdxType::uint8, {100, 200}, noise));
  // Cut anywhere: within gzip's header, the data, the checksum.
  for (const std::size_t length :
       {std::size_t{2}, std::size_t{9}, packed.size() / 2, packed.size() - 8, packed.size() - 1}) {
    const std::string path = write(packed.substr(0, length));
    const std::string message = data_error([&] {
      IdxFile file(path);
      std::vector<std::uint8_t> values(static_cast<std::size_t>(file.elements()));
      file.read(values.data());
    });
    expect_says(message, "truncated");
  }
  std::string flipped = packed;
  flipped[packed.size() / 2] =
      static_cast<char>(flipped[packed.size() / 2] ^ 4);  // stored blocks: only the CRC can tell
  expect_says(read_error(flipped), "corrupt");
  std::string wrong_checksum = packed;
  wrong_checksum[packed.size() - 7] = static_cast<char>(wrong_checksum[packed.size() - 7] ^ 1);
  expect_says(read_error(wrong_checksum), "corrupt");
  expect_says(read_error(packed + "rubbish"), "corrupt");
}

TEST_F(Idx, RefusesNumbersThatAreNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string message = read_error(idx_bytes<float>(IdxType::float32, {2, 3}, {0, 1, 2, 3, 4, nan}));
  expect_says(message, "row 1, column 2");
  expect_says(message, "not a finite number");
  expect_says(read_error(idx_bytes<double>(IdxType::float64, {3, 1}, {0, -1e300, 2})),
              "row 1, column 0: -1e+300 does not fit");
  expect_says(read_error(idx_bytes<double>(IdxType::float64, {1}, {-INFINITY})), "row 0, column 0");
}

TEST_F(Idx, RefusesWhatIsNoRegularFile) {
  expect_says(data_error([&] { IdxFile file(folder_.file("absent")); }), "No such file");
  expect_says(data_error([&] { IdxFile file(folder_.path()); }), "not a regular file");
  const std::string pipe = folder_.file("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  expect_says(data_error([&] { IdxFile file(pipe); }),
              "not a regular file");  // and does not wait for a writer
}

/// Every prefix and every flipped byte of a small file ends in an Error(data) or in a read; nothing else.
TEST_F(Idx, SurvivesEveryDamageToASmallFile) {
  const std::string plain = idx_bytes<std::int16_t>(IdxType::int16, {2, 3}, {1, 2, 3, 4, 5, 6});
  for (const std::string& good : {plain, gzip(plain)}) {
    for (std::size_t place = 0; place < good.size(); ++place) {
      for (const int flip : {0, 1, 0x80, 0xff}) {
        std::string bad = flip == 0 ? good.substr(0, place) : good;
        if (flip != 0) bad[place] = static_cast<char>(bad[place] ^ flip);
        const std::string path = write(bad);
        try {
          IdxFile file(path);
          ASSERT_LE(file.elements(), 1032 * 100);
          std::vector<float> values(static_cast<std::size_t>(file.elements()));
          file.read(values.data());
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::data);
        }
        std::filesystem::remove(path);
      }
    }
  }
}

}  // namespace
}  // namespace trainer::data
