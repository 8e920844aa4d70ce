#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"

namespace trainer::checkpoint {

/// A small checkpoint with something of every kind in it.
inline Checkpoint sample(std::int64_t step = 12) {
  using Words = std::vector<std::string>;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Checkpoint checkpoint;
  checkpoint.root = {{"created", std::string("2024-05-01T12:00:00Z")},
                     {"command", std::string("trainer --seed 3")},
                     {"precision", std::string("f32")},
                     {"isa", std::string("AVX2")},
                     {"arithmetic", std::string("0123456789abcdef0123456789abcdef")},
                     {"seed", std::int64_t{3}}};
  checkpoint.model_attributes = {
      {"model", std::string("dense(2) batch_norm relu residual(dense(2)) dense(outputs)")},
      {"layers", Words{"00_dense", "01_batch_norm", "02_relu", "03_residual", "04_dense"}},
      {"loss", std::string("softmax_cross_entropy")},
      {"task", std::string("classification")},
      {"input_size", std::int64_t{3}},
      {"output_size", std::int64_t{2}},
      {"class_names", Words{"robe d'été", "sneaker"}}};
  checkpoint.model = {{"00_dense/bias", {2}, {0.5F, -0.0F}},
                      {"00_dense/weight", {2, 3}, {1, 2, 3, 4, 5, 0.1F}},
                      {"01_batch_norm/running_mean", {2}, {1e-40F, 3}},
                      {"03_residual/00_dense/weight", {2, 2}, {7, 8, 9, 10}},
                      {"04_dense/weight", {2, 2}, {static_cast<float>(step), -2, -3, -4}}};
  checkpoint.scaling_attributes = {{"inputs", std::string("feature")}};
  checkpoint.scaling = {{"deviation", {1, 2, 0.1}}, {"mean", {0.1, 0, -3}}};
  checkpoint.optimizer_attributes = {{"text", std::string("adam")}, {"step", step}};
  checkpoint.optimizer = {{"00_dense/bias/first_moment", {2}, {1, 2}},
                          {"00_dense/weight/first_moment", {2, 3}, {1, 2, 3, 4, 5, 6}}};
  checkpoint.progress = {{"epoch", std::int64_t{1}},
                         {"step", step},
                         {"row", std::int64_t{256}},
                         {"best", kInfinity},
                         {"sums", std::vector<double>{0.1, 0.2}}};
  checkpoint.history = {
      {"step", {0, 10}}, {"epoch", {0, 1}}, {"val_loss", {std::numeric_limits<double>::quiet_NaN(), 0.7}}};
  return checkpoint;
}

/// What a reader gives back for sample(step).
inline void expect_sample(const Checkpoint& found, std::int64_t step = 12) {
  Checkpoint expected = sample(step);
  expected.root["format"] = std::string("trainer");
  expected.root["version"] = std::int64_t{1};
  expected.root["weights"] = weights_digest(expected.model);
  EXPECT_EQ(found.root, expected.root);
  EXPECT_EQ(found.model_attributes, expected.model_attributes);
  EXPECT_EQ(found.model, expected.model);
  EXPECT_EQ(found.scaling_attributes, expected.scaling_attributes);
  EXPECT_EQ(found.scaling, expected.scaling);
  EXPECT_EQ(found.optimizer_attributes, expected.optimizer_attributes);
  EXPECT_EQ(found.optimizer, expected.optimizer);
  EXPECT_EQ(found.progress, expected.progress);
  ASSERT_EQ(found.history.size(), expected.history.size());
  for (std::size_t i = 0; i < expected.history.size(); ++i) {
    EXPECT_EQ(found.history[i].first, expected.history[i].first);
    ASSERT_EQ(found.history[i].second.size(), 2);
    EXPECT_EQ(found.history[i].second[1], expected.history[i].second[1]);
  }
  EXPECT_TRUE(std::isnan(found.history[2].second[0]));
}

inline std::vector<char> bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void put_bytes(const std::filesystem::path& path, const std::vector<char>& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// The names in a folder, sorted.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// The message of the Error(kind) that `work` throws; anything else is a failure.
template <class Work>
std::string error_of(ErrorKind kind, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

inline bool contains(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

/// A folder of its own for each test, deleted after it; what is printed on standard error while the test runs
/// is a failure.
class Scratch : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ =
        std::filesystem::temp_directory_path() / text("trainer-checkpoint-", ::getpid(), '-', test->name());
    std::filesystem::create_directories(folder_);
    testing::internal::CaptureStderr();
  }
  void TearDown() override {
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    std::filesystem::remove_all(folder_);
  }
  std::filesystem::path at(const std::string& name) const { return folder_ / name; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

}  // namespace trainer::checkpoint
