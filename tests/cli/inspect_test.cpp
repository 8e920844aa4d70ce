#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/cli/commands.h"
#include "trainer/core/error.h"

namespace trainer::cli {
namespace {

namespace fs = std::filesystem;

checkpoint::Checkpoint example() {
  checkpoint::Checkpoint file;
  file.root = {{"command", std::string("trainer")}, {"precision", std::string("f32")},
               {"isa", std::string("AVX2")},        {"arithmetic", std::string("abc")},
               {"created", std::string("today")},   {"seed", std::int64_t{1}}};
  file.model_attributes = {{"model", std::string("dense(2) batch_norm")},
                           {"loss", std::string("mse")},
                           {"task", std::string("regression")},
                           {"layers", std::vector<std::string>{"00_dense", "01_batch_norm"}},
                           {"input_size", std::int64_t{3}},
                           {"output_size", std::int64_t{2}}};
  file.model = {{"00_dense/weight", {2, 3}, {1, 2, 3, 4, 5, 6}},
                {"00_dense/bias", {2}, {0, 0}},
                {"01_batch_norm/scale", {2}, {1, 1}},
                {"01_batch_norm/shift", {2}, {0, 0}},
                {"01_batch_norm/running_mean", {2}, {0, 0}},
                {"01_batch_norm/running_variance", {2}, {1, 1}}};
  file.optimizer_attributes = {{"text", std::string("sgd")}, {"step", std::int64_t{40}}};
  file.progress = {{"epoch", std::int64_t{2}}, {"step", std::int64_t{40}}, {"row", std::int64_t{0}}};
  file.history = {{"step", {0, 20, 40}}, {"val_loss", {1.5, 1.25, 0.75}}};
  return file;
}

class InspectTest : public testing::Test {
 protected:
  InspectTest() : folder_(testing::TempDir() + "trainer-inspect-" + std::to_string(::getpid())) {
    fs::create_directories(folder_);
    path_ = folder_ / "best.h5";
    checkpoint::write(path_, example());
  }
  ~InspectTest() override { fs::remove_all(folder_); }

  fs::path folder_;
  fs::path path_;
};

TEST_F(InspectTest, PrintsWhatIsInTheFile) {
  for (const bool verify : {false, true}) {
    const std::string text = inspect_text(path_.string(), verify);
    for (const char* line : {"\nmodel.model dense(2) batch_norm\n", "\n/model/00_dense/weight 2 x 3\n",
                             "\nparameters 12\n", "\nprogress.step 40\n", "\noptimizer.text sgd\n",
                             "\nmetrics.val_loss 0.75\n", "\nseed 1\n", "\ndigest good\n"}) {
      EXPECT_NE(text.find(line), std::string::npos) << line << text;
    }
    EXPECT_NE(text.find("\nweights " + checkpoint::weights_digest(example().model) + "\n"), std::string::npos)
        << text;
  }
}

TEST_F(InspectTest, ARunFolderIsItsBestCheckpoint) {
  EXPECT_EQ(inspect_text(folder_.string(), true), inspect_text(path_.string(), true));
}

TEST_F(InspectTest, VerifyRefusesADamagedFile) {
  std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(-1, std::ios::end);
  const char last = static_cast<char>(file.get());
  file.seekp(-1, std::ios::end);
  file.put(static_cast<char>(last ^ 1));
  file.close();
  try {
    inspect_text(path_.string(), true);
    FAIL() << "the damage was not seen";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("best.h5"), std::string::npos);
  }
}

TEST_F(InspectTest, WhatIsNoCheckpointIsADataError) {
  for (const char* path : {"/no/such.h5", "/dev/null", "/etc/passwd"}) {
    for (const bool verify : {false, true}) {
      try {
        inspect_text(path, verify);
        FAIL() << path;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data) << path;
      }
    }
  }
}

}  // namespace
}  // namespace trainer::cli
