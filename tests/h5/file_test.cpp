#include "trainer/h5/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <barrier>
#include <csignal>
#include <cstring>
#include <fstream>
#include <limits>
#include <thread>

#include "scratch.h"

namespace trainer::h5 {

namespace {

using Shape = std::vector<std::int64_t>;

const std::vector<float> kFloats{
    1.5F, -0.0F, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max(), 0.1F, -3.0F};
const std::vector<double> kDoubles{0.1, -1e300, std::numeric_limits<double>::infinity()};
const std::vector<std::int64_t> kIntegers{std::numeric_limits<std::int64_t>::min(), -1, 0,
                                          std::numeric_limits<std::int64_t>::max()};
const Attributes kAttributes{{"whole", std::int64_t{-7}},
                             {"number", 0.1},
                             {"word", std::string("épöque")},
                             {"nothing", std::string()},
                             {"whole_list", std::vector<std::int64_t>{1, 2, 3}},
                             {"number_list", std::vector<double>{0.5, 1e-300}},
                             {"words", std::vector<std::string>{"T-shirt/top", "", "sac à dos"}},
                             {"no_wholes", std::vector<std::int64_t>{}},
                             {"no_words", std::vector<std::string>{}}};

void fill(File& file) {
  file.create_group("/empty/nested");
  file.set_attributes("/", kAttributes);
  file.write("/a/b/f32", Shape{1, 2, 3}, kFloats);
  file.write("/a/f64", Shape{3}, kDoubles);
  file.write("/i64", Shape{2, 2}, kIntegers);
  file.write("/a/scalar", Shape{}, std::vector<float>{42.0F});
  file.write("/a/none", Shape{0}, std::vector<double>{});
  file.set_attributes("/a/b/f32", kAttributes);
}

void expect_filled(const File& file) {
  EXPECT_EQ(file.attributes("/"), kAttributes);
  EXPECT_EQ(file.attributes("/a/b/f32"), kAttributes);
  EXPECT_TRUE(file.attributes("/empty").empty());
  const std::vector<float> floats = file.read_f32("/a/b/f32");
  ASSERT_EQ(floats.size(), kFloats.size());
  EXPECT_EQ(std::memcmp(floats.data(), kFloats.data(), sizeof(float) * floats.size()), 0);
  EXPECT_EQ(file.read_f64("/a/f64"), kDoubles);
  EXPECT_EQ(file.read_i64("/i64"), kIntegers);
  EXPECT_EQ(file.read_f32("/a/scalar"), std::vector<float>{42.0F});
  EXPECT_TRUE(file.read_f64("/a/none").empty());
  EXPECT_EQ(file.describe("/a/b/f32").shape, (Shape{1, 2, 3}));
  EXPECT_EQ(file.describe("/a/scalar").shape, Shape{});
  EXPECT_EQ(file.groups("/"), (std::vector<std::string>{"/a", "/empty"}));
  std::vector<std::string> paths;
  for (const DataSet& found : file.data_sets("/")) paths.push_back(found.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"/a/b/f32", "/a/f64", "/a/none", "/a/scalar", "/i64"}));
  EXPECT_EQ(file.data_sets("/a/b").size(), 1);
  EXPECT_TRUE(file.has("/empty/nested"));
  EXPECT_FALSE(file.has("/empty/nested/more"));
  EXPECT_FALSE(file.has("/i64/below"));
}

std::vector<std::byte> image_of(std::int64_t user_block_bytes, std::int64_t expected_bytes) {
  File file = File::create_in_memory(user_block_bytes, expected_bytes);
  fill(file);
  const auto image = file.image();
  return {image.begin(), image.end()};
}

class FileTest : public Scratch {};

TEST_F(FileTest, WhatIsWrittenToDiskIsReadBack) {
  File file = File::create(at("a.h5"));
  fill(file);
  file.close();
  expect_filled(File::open_read(at("a.h5")));
}

TEST_F(FileTest, AnImageReadsBackFromMemoryAndFromDisk) {
  for (const std::int64_t user_block_bytes : {0, 512, 2048}) {
    const auto image = image_of(user_block_bytes, 0);
    expect_filled(File::open_image("memory", image));
    std::ofstream(at("a.h5"), std::ios::binary)
        .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
    expect_filled(File::open_read(at("a.h5")));
    for (std::int64_t i = 0; i < user_block_bytes; ++i)
      ASSERT_EQ(image[static_cast<std::size_t>(i)], std::byte{0});
    // The file ends where its data ends: one byte less is noticed.
    EXPECT_THROW(File::open_image("memory", {image.begin(), image.end() - 1}), Error);
  }
}

TEST_F(FileTest, EqualContentGivesEqualBytes) {
  const auto first = image_of(512, 0);
  std::vector<std::vector<char>> dirty;
  for (std::size_t size = 16; size < 100'000; size = size * 3 / 2) dirty.emplace_back(size, 'x');
  dirty.clear();  // what malloc gives next is not zero
  EXPECT_EQ(image_of(512, 0), first);
  EXPECT_EQ(image_of(512, 1'000'000), first);
}

TEST_F(FileTest, ManyFilesInMemoryAreOpenAtOnce) {
  std::vector<File> files;
  for (float i = 0; i < 20; ++i) {
    File written = File::create_in_memory(0, 0);
    written.write("/x", Shape{1}, std::vector<float>{i});
    const auto image = written.image();
    files.push_back(File::open_image("memory", {image.begin(), image.end()}));
  }
  for (std::size_t i = 0; i < files.size(); ++i)
    EXPECT_EQ(files[i].read_f32("/x"), std::vector<float>{static_cast<float>(i)});
}

TEST_F(FileTest, ThreadsUseDifferentFilesAtOnce) {
  constexpr int kThreads = 4;
  std::barrier start(kThreads);
  std::atomic<int> errors = 0;
  const auto work = [&] {
    start.arrive_and_wait();
    for (int i = 0; i < 150; ++i) {
      try {
        File file = File::create_in_memory(512, 0);
        fill(file);
        const auto image = file.image();
        expect_filled(File::open_image("memory", {image.begin(), image.end()}));
        error_of(ErrorKind::data, [] { File::open_image("noise", std::vector<std::byte>(1000)); });
      } catch (const Error&) {
        ++errors;
      }
    }
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work);
  threads.clear();
  EXPECT_EQ(errors, 0);
}

TEST_F(FileTest, FloatsOfEitherWidthAreReadAsFloats) {
  File file = File::create_in_memory(0, 0);
  file.write("/f64", Shape{2}, std::vector<double>{0.1, 2});
  file.write("/f32", Shape{2}, std::vector<float>{0.1F, 2});
  const auto image = file.image();
  const File read = File::open_image("memory", {image.begin(), image.end()});
  EXPECT_EQ(read.read_floats("/f64"), read.read_floats("/f32"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read.read_f32("/f64"); }),
                       "/f64: its values are not 32-bit floats"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read.read_i64("/f64"); }), "not whole numbers"));
}

TEST_F(FileTest, AFullDiskIsAnError) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 64 * 1024;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = error_of(ErrorKind::data, [&] {
    File file = File::create(at("full.h5"));
    file.write("/x", Shape{100'000}, std::vector<float>(100'000));
    file.close();
  });
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(contains(message, "full.h5")) << message;
  EXPECT_TRUE(contains(message, "File too large")) << message;
  File after = File::create(at("after.h5"));  // the library goes on working
  fill(after);
  after.close();
  expect_filled(File::open_read(at("after.h5")));
}

TEST_F(FileTest, MisuseAndImpossibleContentAreDefects) {
  File file = File::create_in_memory(0, 0);
  EXPECT_TRUE(contains(error_of(ErrorKind::internal, [&] { file.read_f32("/x"); }), "not open for reading"));
  EXPECT_TRUE(
      contains(error_of(ErrorKind::internal, [&] { file.write("/x", Shape{3}, std::vector<float>{1}); }),
               "1 values for a shape of 3"));
  EXPECT_TRUE(contains(
      error_of(ErrorKind::internal, [&] { file.write("/x", Shape{-1}, std::vector<float>{1}); }), "-1"));
  EXPECT_TRUE(contains(
      error_of(ErrorKind::internal, [&] { file.set_attribute("/", "a", std::string("a\0b", 3)); }), "NUL"));
  EXPECT_TRUE(contains(
      error_of(ErrorKind::internal, [&] { file.set_attribute("/", "a", std::vector<double>(9000)); }),
      "72000"));
  file.set_attribute("/", "a", std::string(1 << 20, 'a'));  // text lies elsewhere and may be long
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { file.set_attribute("/", "a", 1.0); }), "attribute 'a' of /"));
  file.image();
  EXPECT_TRUE(
      contains(error_of(ErrorKind::internal, [&] { file.create_group("/y"); }), "not open for writing"));
}

}  // namespace

}  // namespace trainer::h5
