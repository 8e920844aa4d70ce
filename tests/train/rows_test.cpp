// What the network is given: inputs and targets, augmented in training alone.
#include "trainer/train/rows.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "trainer/core/error.h"
#include "trainer/train/prepare.h"

namespace trainer::train {
namespace {

Prepared prepared(const std::string& data, const std::string& augment, const std::string& task = "") {
  Configuration configuration;
  configuration.data = data;
  configuration.model = "dense(8) relu dense(outputs)";
  configuration.batch_size = "32";
  configuration.augment = augment;
  configuration.task = task;
  const auto alone = comm::Communicator::alone();
  return prepare(alone, prepare_training_data(alone, alone, configuration), configuration, 1);
}

const std::string kBlobs = "generate:blobs(rows=100, features=4, classes=3)";

/// The first `count` rows of an epoch.
std::unique_ptr<ListedRows> taken(const Prepared& run, const data::EpochOrder& order, std::int64_t count,
                                  std::int64_t epoch = 2) {
  RowUse use{.reconstructs = run.data->reconstructs(),
             .augmentation = &run.augmentation,
             .outputs = run.network->model().outputs()};
  auto rows = std::make_unique<ListedRows>(*run.data->opened.train, run.data->scalings,
                                           std::vector<std::int64_t>{}, use);
  rows->take(order, epoch, 0, count);
  return rows;
}

TEST(ListedRows, MixedClassesAreDistributionsOfTheTwo) {
  const Prepared run = prepared(kBlobs, "mixup(0.5)");
  EXPECT_EQ(run.data->form, nn::TargetForm::classes);  // of the evaluation
  EXPECT_EQ(run.training_form(), nn::TargetForm::values);
  const data::EpochOrder order(1, run.data->split.training);
  const auto rows = taken(run, order, 40);
  std::vector<float> targets(40 * 3), inputs(40 * 4);
  rows->values({0, 40}, targets.data());
  rows->inputs({0, 40}, inputs.data());
  int mixed = 0;
  for (std::int64_t r = 0; r < 40; ++r) {
    const std::int64_t row = rows->sample(r);
    const data::Mix mix =
        run.augmentation.mix({*run.data->opened.train, run.data->scalings.inputs, order.rows(), 2}, row);
    EXPECT_TRUE(std::ranges::count(run.data->split.training.list(), mix.partner) == 1) << mix.partner;
    std::int32_t label[2];
    float x[2][4];
    run.data->opened.train->gather_classes(std::vector<std::int64_t>{row, mix.partner}, label);
    run.data->opened.train->gather_scaled(std::vector<std::int64_t>{row, mix.partner},
                                          run.data->scalings.inputs, x[0]);
    for (int k = 0; k < 3; ++k)
      EXPECT_NEAR(targets[static_cast<std::size_t>(r * 3 + k)],
                  (label[0] == k ? mix.share : 0) + (label[1] == k ? 1 - mix.share : 0), 1e-7);
    for (int j = 0; j < 4; ++j)
      EXPECT_NEAR(inputs[static_cast<std::size_t>(r * 4 + j)],
                  mix.share * x[0][j] + (1 - mix.share) * x[1][j], 1e-6);
    mixed += label[0] != label[1] ? 1 : 0;
  }
  EXPECT_GT(mixed, 10);
}

TEST(ListedRows, OneOutputMixesTheLabel) {
  Configuration configuration;
  configuration.data = "generate:circle(rows=100)";
  configuration.model = "dense(8) relu dense(1)";
  configuration.augment = "mixup(1)";
  const auto alone = comm::Communicator::alone();
  const Prepared run = prepare(alone, prepare_training_data(alone, alone, configuration), configuration, 1);
  const data::EpochOrder order(1, run.data->split.training);
  const auto rows = taken(run, order, 60);
  std::vector<float> targets(60);
  rows->values({0, 60}, targets.data());
  EXPECT_GT(std::ranges::count_if(targets, [](float t) { return t > 0 && t < 1; }), 15);
  EXPECT_TRUE(std::ranges::all_of(targets, [](float t) { return t >= 0 && t <= 1; }));
}

TEST(ListedRows, ARegressionMixesItsScaledTargets) {
  const Prepared run = prepared("generate:teacher(rows=100, features=4, outputs=2)", "mixup(1)");
  const data::EpochOrder order(1, run.data->split.training);
  const auto rows = taken(run, order, 20);
  std::vector<float> mixed(40);
  rows->values({0, 20}, mixed.data());
  for (std::int64_t r = 0; r < 20; ++r) {
    const std::int64_t row = rows->sample(r);
    const data::Mix mix =
        run.augmentation.mix({*run.data->opened.train, run.data->scalings.inputs, order.rows(), 2}, row);
    const ListedRows plain(*run.data->opened.train, run.data->scalings, {row, mix.partner});
    float y[2][2];
    plain.values({0, 2}, y[0]);
    for (int k = 0; k < 2; ++k)
      EXPECT_NEAR(mixed[static_cast<std::size_t>(r * 2 + k)], mix.share * y[0][k] + (1 - mix.share) * y[1][k],
                  1e-6);
  }
}

TEST(ListedRows, AnAutoencoderGivesBackItsInputsWithoutTheNoise) {
  const Prepared run = prepared(kBlobs, "noise(0.5)", "autoencoder");
  EXPECT_EQ(run.network->model().outputs(), 4);
  EXPECT_EQ(run.training_form(), nn::TargetForm::values);
  EXPECT_EQ(run.resolved.at("loss"), "mse");
  EXPECT_EQ(run.resolved.count("scale-targets"), 0u);
  EXPECT_EQ(run.metric_names, std::vector<std::string>{"loss"});
  const data::EpochOrder order(1, run.data->split.training);
  const auto rows = taken(run, order, 30);
  std::vector<float> inputs(120), targets(120), plain(120), evaluated(120);
  rows->inputs({0, 30}, inputs.data());
  rows->values({0, 30}, targets.data());
  std::vector<std::int64_t> list;
  for (std::int64_t r = 0; r < 30; ++r) list.push_back(rows->sample(r));
  run.data->opened.train->gather_scaled(list, run.data->scalings.inputs, plain.data());
  EXPECT_EQ(targets, plain);
  EXPECT_NE(inputs, plain);
  const ListedRows evaluation(*run.data->opened.train, run.data->scalings, list, {.reconstructs = true});
  evaluation.inputs({0, 30}, evaluated.data());
  EXPECT_EQ(evaluated, plain);
  evaluation.values({0, 30}, evaluated.data());
  EXPECT_EQ(evaluated, plain);
}

TEST(ListedRows, AnEpochAugmentsAnew) {
  const Prepared run = prepared(kBlobs, "noise(0.5)");
  const data::EpochOrder order(1, run.data->split.training, "none");  // the same rows every epoch
  std::vector<float> first(120), again(120), next(120);
  taken(run, order, 30, 0)->inputs({0, 30}, first.data());
  taken(run, order, 30, 0)->inputs({0, 30}, again.data());
  taken(run, order, 30, 1)->inputs({0, 30}, next.data());
  EXPECT_EQ(first, again);
  EXPECT_NE(first, next);
}

/// A folder of 10 pictures of 2 x 2 and labels of a type and content that fit no task of their own.
class LabelledFolder {
 public:
  LabelledFolder(char type, const std::string& labels) {
    std::string pattern = (std::filesystem::temp_directory_path() / "trainer-rows-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    std::string pixels;
    for (int i = 0; i < 40; ++i) pixels += static_cast<char>(i * 5);
    write("train-images-idx3-ubyte", {'\0', '\0', 8, 3, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 2}, pixels);
    write("train-labels-idx1-ubyte", {'\0', '\0', type, 1, 0, 0, 0, 10}, labels);
  }
  ~LabelledFolder() { std::filesystem::remove_all(path_); }
  LabelledFolder(const LabelledFolder&) = delete;
  LabelledFolder& operator=(const LabelledFolder&) = delete;
  std::string path() const { return path_.string(); }

 private:
  void write(const std::string& name, const std::vector<char>& header, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << std::string(header.begin(), header.end()) << content;
  }
  std::filesystem::path path_;
};

TEST(ListedRows, AnAutoencoderDoesNotLookAtTheTargets) {
  std::string floats, classes;  // big-endian: 0.5 each; 1,999 and so 2,000 classes
  for (int i = 0; i < 10; ++i) {
    floats += std::string("\x3f\0\0\0", 4);
    classes += std::string("\0\0\x07\xcf", 4);
  }
  const LabelledFolder of_floats(13, floats), of_classes(12, classes);
  for (const LabelledFolder* folder : {&of_floats, &of_classes}) {
    EXPECT_THROW(prepared(folder->path(), ""), Error);
    const Prepared run = prepared(folder->path(), "noise(0.1)", "autoencoder");
    EXPECT_EQ(run.network->model().outputs(), 4);
    EXPECT_EQ(std::ranges::count(run.notes, "task: autoencoder, the targets are the scaled inputs"), 1);
    const data::EpochOrder order(1, run.data->split.training);
    const auto rows = taken(run, order, 9);
    std::vector<float> targets(36);
    rows->values({0, 9}, targets.data());
    for (std::int64_t r = 0; r < 9; ++r)
      for (std::int64_t j = 0; j < 4; ++j)
        EXPECT_EQ(targets[static_cast<std::size_t>(r * 4 + j)],
                  static_cast<float>((rows->sample(r) * 4 + j) * 5) / 255.0f);
  }
}

/// A weight is that of the row of the data set, wherever the row stands in the order or the split.
TEST(ListedRows, WeightsAreThoseOfTheRowsOfTheDataSet) {
  const Prepared run = prepared(kBlobs, "");
  ASSERT_EQ(run.data->split.training.size(), 90);
  std::vector<float> weights(100);
  for (std::size_t row = 0; row < weights.size(); ++row) weights[row] = 1000 + static_cast<float>(row);
  const RowUse use{.weights = weights};
  ListedRows rows(*run.data->opened.train, run.data->scalings, {}, use);
  EXPECT_TRUE(rows.weighted());
  EXPECT_FALSE(ListedRows(*run.data->opened.train, run.data->scalings, {}).weighted());
  const data::EpochOrder order(1, run.data->split.training);
  std::int64_t moved = 0;
  for (const std::int64_t place : {0, 32, 64}) {
    const std::int64_t count = std::min<std::int64_t>(32, 90 - place);
    rows.take(order, 1, place, count);
    std::vector<std::int64_t> wanted(static_cast<std::size_t>(count));
    order.rows_at(1, place, wanted);
    for (const Range part : {Range{0, count}, Range{5, 20}}) {
      std::vector<float> found(static_cast<std::size_t>(part.size()));
      rows.weights(part, found.data());
      for (std::int64_t r = part.begin; r < part.end; ++r) {
        const std::int64_t row = wanted[static_cast<std::size_t>(r)];
        EXPECT_EQ(found[static_cast<std::size_t>(r - part.begin)], 1000 + static_cast<float>(row));
        EXPECT_EQ(rows.sample(r), row);
        EXPECT_EQ(std::ranges::count(run.data->split.validation.list(), row), 0);
        moved += row != place + r ? 1 : 0;
      }
    }
  }
  EXPECT_GT(moved, 100);  // of 135
  // The rows that are held back have their own.
  const ListedRows held(*run.data->opened.train, run.data->scalings, run.data->split.validation.list(), use);
  std::vector<float> found(10);
  held.weights({0, 10}, found.data());
  for (std::size_t r = 0; r < 10; ++r)
    EXPECT_EQ(found[r], 1000 + static_cast<float>(run.data->split.validation[r]));
}

TEST(ListedRows, AnAutoencoderTakesNoScalingOfTargets) {
  Configuration configuration;
  configuration.data = kBlobs;
  configuration.task = "autoencoder";
  configuration.scale_targets = "feature";
  const auto alone = comm::Communicator::alone();
  try {
    prepare(alone, prepare_training_data(alone, alone, configuration), configuration, 1);
    FAIL() << "was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("--scale-targets feature"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace trainer::train
