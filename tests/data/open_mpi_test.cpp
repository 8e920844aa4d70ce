#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#include "idx_writer.h"
#include "temporary_folder.h"
#include "trainer/comm/communicator.h"
#include "trainer/core/error.h"
#include "trainer/core/random.h"
#include "trainer/data/generate.h"
#include "trainer/data/idx.h"
#include "trainer/data/open.h"
#include "trainer/data/scaling.h"

namespace trainer::data {
namespace {

namespace fs = std::filesystem;

/// The value of image `row`, pixel `j` in the files below.
std::uint8_t pixel(std::int64_t row, std::int64_t j) {
  return static_cast<std::uint8_t>(row * 31 + j * 7 + 5);
}

std::vector<std::uint8_t> pixels(std::int64_t rows, std::int64_t columns) {
  std::vector<std::uint8_t> out;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) out.push_back(pixel(i, j));
  }
  return out;
}

std::string images(std::uint32_t rows) { return idx_bytes(IdxType::uint8, {rows, 2, 3}, pixels(rows, 6)); }

std::string labels(std::uint32_t rows, std::uint32_t classes = 3) {
  std::vector<std::uint8_t> out;
  for (std::uint32_t i = 0; i < rows; ++i) out.push_back(static_cast<std::uint8_t>(i % classes));
  return idx_bytes(IdxType::uint8, {rows}, out);
}

void write_train(const fs::path& folder, std::uint32_t rows = 10) {
  fs::create_directories(folder);
  write_file(folder / "train-images-idx3-ubyte", images(rows));
  write_file(folder / "train-labels-idx1-ubyte", labels(rows));
}

void write_test(const fs::path& folder, std::uint32_t rows = 4) {
  write_file(folder / "t10k-images-idx3-ubyte.gz", gzip(images(rows)));
  write_file(folder / "t10k-labels-idx1-ubyte.gz", gzip(labels(rows)));
}

PeekedData peek(const std::string& spec, const std::string& task) {
  Request request;
  request.data = spec;
  request.task = task;
  return peek_data(request);
}

class Open : public testing::Test {
 protected:
  Open()
      : environment_(nullptr, nullptr),
        world_(comm::Communicator::world(environment_)),
        node_(world_.node()) {
    if (world_.rank() == 0) folder_ = std::make_unique<TemporaryFolder>();
    root_ = world_.broadcast(folder_ ? folder_->path() : "", 0);
    before_ = fs::current_path();
  }
  ~Open() override {
    fs::current_path(before_);
    unsetenv("TRAINER_DATA");
    world_.barrier();
  }
  /// Rank 0 writes what all will read.
  void prepare(const std::function<void(const fs::path&)>& write) {
    if (world_.rank() == 0) write(root_);
    world_.barrier();
  }
  OpenedData open(const std::string& spec, const std::string& task = "") {
    Request request;
    request.data = spec;
    request.task = task;
    return open_data(world_, node_, request, memory_limit(world_, "60 %"));
  }
  /// The error that every rank must meet alike; returns its message.
  std::string error_of(ErrorKind kind, const std::string& spec, const std::string& task = "") {
    std::string message;
    try {
      open(spec, task);
      ADD_FAILURE() << spec << " was opened";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      message = error.what();
    }
    for (const std::string& other : world_.all_gather(message)) EXPECT_EQ(other, message);
    return message;
  }
  std::string path(const std::string& name = "") const { return (root_ / name).string(); }

  comm::Environment environment_;
  comm::Communicator world_;
  comm::Communicator node_;
  std::unique_ptr<TemporaryFolder> folder_;
  fs::path root_;
  fs::path before_;
};

void expect_says(const std::string& message, const std::string& part) {
  EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "' does not say '" << part << "'";
}

void expect_pixels(const DataSet& data) {
  const std::vector<std::int64_t> rows{3, 0, 3, data.facts().rows - 1, 1};
  std::vector<float> inputs(rows.size() * 6);
  data.gather(rows, inputs.data());
  std::vector<std::int32_t> classes(rows.size());
  const bool labelled = data.facts().kind == TargetKind::classes;
  if (labelled) data.gather_classes(rows, classes.data());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::int64_t j = 0; j < 6; ++j) {
      EXPECT_EQ(inputs[i * 6 + static_cast<std::size_t>(j)], static_cast<float>(pixel(rows[i], j)));
    }
    EXPECT_EQ(classes[i], labelled ? rows[i] % 3 : 0);
  }
}

TEST_F(Open, AFolderOfIdxFilesOnEveryRank) {
  prepare([](const fs::path& root) {
    write_train(root / "digits");
    write_test(root / "digits");
  });
  const OpenedData opened = open(path("digits/"));
  const DataFacts& facts = opened.train->facts();
  EXPECT_EQ(facts.name, "digits");
  EXPECT_EQ(facts.rows, 10);
  EXPECT_EQ(facts.features, 6);
  EXPECT_EQ(facts.feature_shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(facts.kind, TargetKind::classes);
  EXPECT_EQ(facts.targets, 3);
  EXPECT_TRUE(facts.class_names.empty());
  EXPECT_EQ(facts.element_type, "uint8");
  EXPECT_EQ(facts.fingerprint.size(), 32u);
  ASSERT_NE(opened.test, nullptr);
  EXPECT_EQ(opened.test->facts().rows, 4);
  EXPECT_EQ(opened.test->facts().targets, 3);
  EXPECT_NE(opened.test->facts().fingerprint, facts.fingerprint);
  EXPECT_GE(opened.notes.size(), 2u);
  expect_pixels(*opened.train);
  expect_pixels(*opened.test);
}

TEST_F(Open, ScaledRowsHaveTheBitsOfTheTwoStepsInAnyType) {
  prepare([](const fs::path& root) {
    write_train(root / "bytes");
    fs::create_directories(root / "floats");
    std::vector<double> values;
    RandomStream draws(RandomKey(3, Purpose::self_test), 0);
    for (int i = 0; i < 10 * 37; ++i) values.push_back(100 + draws.normal());
    write_file(root / "floats/train-images-idx2-double", idx_bytes(IdxType::float64, {10, 37}, values));
    write_file(root / "floats/train-labels-idx1-ubyte", labels(10));
  });
  std::vector<std::int64_t> rows{9, 2, 2, 0, 5, 7};
  for (const char* name : {"bytes", "floats"}) {
    const OpenedData opened = open(path(name));
    for (const char* mode : {"", "feature", "global", "none"}) {
      const Scaling scaling = input_scaling(world_, *opened.train, RowSet({{0, 1}, {2, 3}, {5, 10}}), mode);
      const auto size = rows.size() * static_cast<std::size_t>(opened.train->facts().features);
      std::vector<float> raw(size);
      std::vector<float> expected(size);
      std::vector<float> scaled(size);
      opened.train->gather(rows, raw.data());
      scaling.apply(raw.data(), static_cast<std::int64_t>(rows.size()), expected.data());
      opened.train->gather_scaled(rows, scaling, scaled.data());
      EXPECT_EQ(std::memcmp(scaled.data(), expected.data(), size * 4), 0) << name << " " << mode;
    }
    EXPECT_THROW(opened.train->gather_scaled(rows, Scaling::none(1), nullptr), Error);
    EXPECT_THROW(opened.train->gather_values(rows, nullptr), Error);
  }
}

TEST_F(Open, TargetsMayBeNumbers) {
  prepare([](const fs::path& root) {
    fs::create_directories(root);
    write_file(root / "train-images-idx2-float",
               idx_bytes<float>(IdxType::float32, {2, 2}, {0.1f, 0.5f, 1, 2}));
    write_file(root / "train-labels-idx2-double",
               idx_bytes<double>(IdxType::float64, {2, 3}, {0.05, 0.95, 7, 8, 9, 10}));
  });
  const OpenedData opened = open(path(), "regression");
  EXPECT_EQ(opened.train->facts().kind, TargetKind::values);
  EXPECT_EQ(opened.train->facts().targets, 3);
  EXPECT_EQ(opened.test, nullptr);
  const std::vector<std::int64_t> rows{1, 0};
  std::vector<float> values(6);
  opened.train->gather_values(rows, values.data());
  EXPECT_EQ(values, (std::vector<float>{8, 9, 10, 0.05f, 0.95f, 7}));
  EXPECT_THROW(opened.train->gather_classes(rows, nullptr), Error);
  expect_says(error_of(ErrorKind::data, path()), "--task regression");
}

TEST_F(Open, ABuiltInNameIsLookedForInItsPlaces) {
  prepare([](const fs::path& root) {
    write_train(root / "env/mnist");
    write_train(root / "cwd/datasets/mnist", 9);
    fs::create_directories(root / "empty");
    std::vector<std::uint8_t> ten{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    write_file(root / "env/mnist/train-labels-idx1-ubyte", idx_bytes(IdxType::uint8, {10}, ten));
  });
  fs::current_path(root_ / "cwd");
  EXPECT_EQ(open("mnist").train->facts().rows, 9);
  EXPECT_TRUE(open("mnist").train->facts().class_names.empty());  // 3 classes cannot be the ten digits
  setenv("TRAINER_DATA", path("env").c_str(), 1);
  const OpenedData opened = open("mnist");
  EXPECT_EQ(opened.train->facts().rows, 10);
  EXPECT_EQ(opened.train->facts().name, "mnist");
  EXPECT_EQ(opened.train->facts().class_names.size(), 10u);
  fs::current_path(root_ / "empty");
  setenv("TRAINER_DATA", path("empty").c_str(), 1);
  const std::string message = error_of(ErrorKind::data, "mnist");
  expect_says(message, path("empty/mnist"));
  expect_says(message, path("empty/datasets/mnist"));
  expect_says(message, "/usr/share/datasets/mnist");
}

TEST_F(Open, FilesMissingOnOneRankAreAnErrorOnAllThatNamesIt) {
  if (world_.size() == 1) GTEST_SKIP() << "needs two ranks";
  prepare([](const fs::path& root) {
    write_train(root / "here/data");
    fs::create_directories(root / "away/data");
  });
  const int lacking = world_.size() - 1;
  fs::current_path(root_ / (world_.rank() == lacking ? "away" : "here"));
  const std::string message = error_of(ErrorKind::data, "data");
  expect_says(message, "rank " + std::to_string(lacking) + " on ");
  expect_says(message, path("away/data"));
}

TEST_F(Open, RanksThatSeeOtherFilesAreAnError) {
  if (world_.size() == 1) GTEST_SKIP() << "needs two ranks";
  prepare([](const fs::path& root) {
    write_train(root / "here/data");
    write_train(root / "away/data", 11);
    write_train(root / "changed/data");
    std::string other = images(10);
    other.back() ^= 1;
    write_file(root / "changed/data/train-images-idx3-ubyte", other);
  });
  const bool last = world_.rank() == world_.size() - 1;
  fs::current_path(root_ / (last ? "away" : "here"));
  expect_says(error_of(ErrorKind::communication, "data"), "rank " + std::to_string(world_.size() - 1));
  // Other content in files of the same size, on what is made another node.
  node_ = world_.split(world_.rank());
  fs::current_path(root_ / (last ? "changed" : "here"));
  expect_says(error_of(ErrorKind::communication, "data"), "rank " + std::to_string(world_.size() - 1));
}

TEST_F(Open, DamageFoundByTheReadingRankOnlyEndsAllRanks) {
  prepare([](const fs::path& root) {
    write_train(root);
    std::string packed = gzip(images(10));
    packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 1);
    fs::remove(root / "train-images-idx3-ubyte");
    write_file(root / "train-images-idx3-ubyte.gz", packed);
  });
  const std::string message = error_of(ErrorKind::data, path());
  expect_says(message, "train-images-idx3-ubyte.gz");
  expect_says(message, "corrupt");
}

TEST_F(Open, CountsAndShapesThatDisagreeAreErrors) {
  prepare([](const fs::path& root) {
    write_train(root / "counts");
    write_file(root / "counts/train-labels-idx1-ubyte", labels(9));
    write_train(root / "alone");
    fs::remove(root / "alone/train-labels-idx1-ubyte");
    write_train(root / "shapes");
    write_file(root / "shapes/t10k-images-idx3-ubyte", idx_bytes(IdxType::uint8, {2, 3, 2}, pixels(2, 6)));
    write_file(root / "shapes/t10k-labels-idx1-ubyte", labels(2));
    write_train(root / "negative");
    write_file(root / "negative/train-labels-idx1-byte", idx_bytes<std::int8_t>(IdxType::int8, {1}, {-1}));
    fs::remove(root / "negative/train-labels-idx1-ubyte");
    write_file(root / "negative/train-images-idx3-ubyte", images(1));
    write_train(root / "many", 1);
    fs::remove(root / "many/train-labels-idx1-ubyte");
    write_file(root / "many/train-labels-idx1-int", idx_bytes<std::int32_t>(IdxType::int32, {1}, {1000}));
    write_train(root / "too-many", 1);
    fs::remove(root / "too-many/train-labels-idx1-ubyte");
    write_file(root / "too-many/train-labels-idx1-int",
               idx_bytes<std::int32_t>(IdxType::int32, {1}, {2147483647}));
    fs::create_directories(root / "nothing");
    write_file(root / "file", "x");
  });
  expect_says(error_of(ErrorKind::data, path("counts")), "holds 10 rows but");
  expect_says(error_of(ErrorKind::data, path("alone")), "no train-labels-idx1-ubyte");
  expect_says(error_of(ErrorKind::data, path("shapes")), "differ in shape");
  expect_says(error_of(ErrorKind::data, path("negative")), "label -1");
  expect_says(error_of(ErrorKind::data, path("many")), "--task classification");
  EXPECT_EQ(open(path("many"), "classification").train->facts().targets, 1001);
  EXPECT_EQ(open(path("many"), "regression").train->facts().targets, 1);
  expect_says(error_of(ErrorKind::data, path("too-many"), "classification"), "limit");
  expect_says(error_of(ErrorKind::data, path("nothing")), "train-images-idx3-ubyte");
  expect_says(error_of(ErrorKind::data, path("file")), "neither HDF5 nor CSV");
  expect_says(error_of(ErrorKind::data, path("absent")), "does not exist");
  expect_says(error_of(ErrorKind::data, "fashon-mnist"), "did you mean fashion-mnist?");
  error_of(ErrorKind::usage, "");
  error_of(ErrorKind::usage, path("counts"), "clasification");
}

TEST_F(Open, AnAutoencoderNeedsNoTargets) {
  prepare([](const fs::path& root) {
    const auto folder = [&](const char* name) {
      write_train(root / name);
      fs::remove(root / name / "train-labels-idx1-ubyte");
      return root / name;
    };
    folder("alone");
    write_file(folder("floats") / "train-labels-idx1-float",
               idx_bytes<float>(IdxType::float32, {10}, std::vector<float>(10, 0.5f)));
    write_file(folder("table") / "train-labels-idx2-ubyte",
               idx_bytes(IdxType::uint8, {10, 2}, std::vector<std::uint8_t>(20)));
    write_file(folder("negative") / "train-labels-idx1-byte",
               idx_bytes(IdxType::int8, {10}, std::vector<std::int8_t>(10, -1)));
    write_file(folder("many") / "train-labels-idx1-int",
               idx_bytes(IdxType::int32, {10}, std::vector<std::int32_t>(10, 1999)));
    write_file(folder("counts") / "train-labels-idx1-ubyte", labels(9));
    write_file(folder("broken") / "train-labels-idx1-ubyte", "x");
    write_train(root / "tested");
    write_file(root / "tested/t10k-images-idx3-ubyte", images(4));
    fs::create_directories(root / "labels");
    write_file(root / "labels/train-labels-idx1-ubyte", labels(10));
  });
  std::string fingerprint;
  for (const char* name : {"alone", "floats", "table", "negative", "many", "counts", "broken", "tested"}) {
    const OpenedData opened = open(path(name), "autoencoder");
    const DataFacts& facts = opened.train->facts();
    EXPECT_EQ(facts.kind, TargetKind::none) << name;
    EXPECT_EQ(facts.targets, 0) << name;
    EXPECT_EQ(opened.notes.at(1), "task: autoencoder, the targets are the scaled inputs");
    EXPECT_EQ(opened.notes.size(), 2u);
    expect_pixels(*opened.train);
    EXPECT_THROW(opened.train->gather_classes(std::vector<std::int64_t>{0}, nullptr), Error);
    EXPECT_THROW(opened.train->gather_values(std::vector<std::int64_t>{0}, nullptr), Error);
    EXPECT_EQ(target_scaling(world_, *opened.train, RowSet::all(1), "").features(), 0);
    if (fingerprint.empty()) fingerprint = facts.fingerprint;
    EXPECT_EQ(facts.fingerprint, fingerprint) << name;  // the labels are no part of the data
    EXPECT_EQ(opened.test != nullptr, std::string(name) == "tested");
    const PeekedData peeked = peek(path(name), "autoencoder");
    EXPECT_EQ(peeked.train.kind, TargetKind::none);
    EXPECT_EQ(peeked.notes, opened.notes);
  }
  const std::string message = error_of(ErrorKind::data, path("labels"), "autoencoder");
  expect_says(message, "train-images-idx3-ubyte");
  EXPECT_EQ(message.find("train-labels"), std::string::npos) << message;
  for (const char* spec : {"generate:sine(rows=50)", "generate:spiral(rows=50)"}) {
    const OpenedData opened = open(spec, "autoencoder"), plain = open(spec);
    EXPECT_EQ(opened.train->facts().kind, TargetKind::none);
    std::vector<float> found(50 * 2), wanted(50 * 2);
    std::vector<std::int64_t> rows(50);
    std::iota(rows.begin(), rows.end(), std::int64_t{0});
    opened.train->gather(rows, found.data());
    plain.train->gather(rows, wanted.data());
    EXPECT_EQ(found, wanted);
    EXPECT_NE(opened.train->facts().fingerprint, plain.train->facts().fingerprint);
  }
}

TEST_F(Open, ALabelThatNoRowHasIsNoted) {
  prepare([](const fs::path& root) {
    write_train(root, 3);
    write_file(root / "train-labels-idx1-ubyte", idx_bytes<std::uint8_t>(IdxType::uint8, {3}, {0, 3, 3}));
  });
  const OpenedData opened = open(path());
  EXPECT_EQ(opened.train->facts().targets, 4);
  ASSERT_EQ(opened.notes.size(), 3u);
  expect_says(opened.notes[2], "1, 2");
}

TEST_F(Open, TheFingerprintIsThatOfContentNotOfPlaceOrPacking) {
  prepare([](const fs::path& root) {
    write_train(root / "one");
    fs::create_directories(root / "two/three");
    write_file(root / "two/three/train-images-idx3-ubyte.gz", gzip(images(10)));
    write_file(root / "two/three/train-labels-idx1-ubyte.gz", gzip(labels(10)));
    write_train(root / "other");
    write_file(root / "other/train-labels-idx1-ubyte", labels(10, 2));
  });
  const std::string one = open(path("one")).train->facts().fingerprint;
  EXPECT_EQ(open(path("two/three")).train->facts().fingerprint, one);
  EXPECT_NE(open(path("other")).train->facts().fingerprint, one);
}

TEST_F(Open, MadeUpDataAreTheSameOnEveryRank) {
  const std::string formula = "spiral(rows=50, classes=3, noise=0.1, seed=4)";
  const OpenedData opened = open("generate:" + formula);
  EXPECT_EQ(opened.train->facts().name, "generate:spiral");
  EXPECT_EQ(opened.train->facts().targets, 3);
  EXPECT_EQ(opened.train->facts().element_type, "float32");
  EXPECT_EQ(opened.test, nullptr);
  const Generator generator(formula);
  std::vector<float> expected(100);
  std::vector<std::int32_t> expected_classes(50);
  generator.fill(0, 50, expected.data(), expected_classes.data(), nullptr);
  std::vector<std::int64_t> rows(50);
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  std::vector<float> inputs(100);
  std::vector<std::int32_t> classes(50);
  opened.train->gather(rows, inputs.data());
  opened.train->gather_classes(rows, classes.data());
  EXPECT_EQ(inputs, expected);
  EXPECT_EQ(classes, expected_classes);
  EXPECT_EQ(open("generate:sine").train->facts().kind, TargetKind::values);
  error_of(ErrorKind::usage, "generate:sine", "classification");
  error_of(ErrorKind::usage, "generate:circle", "regression");
  expect_says(error_of(ErrorKind::usage, "generate:spirall"), "spiral");
  expect_says(error_of(ErrorKind::usage, "generate:circle(rows=1000000000000000000)"), "whole number");
}

TEST_F(Open, AFileCountsOnceAndForOnePurpose) {
  prepare([](const fs::path& root) {
    fs::create_directories(root / "in");
    for (const char* name : {"in/a.csv", "in/b.csv", "c.csv"}) write_file(root / name, "x,y\n1,0\n2,1\n");
    fs::create_symlink(root / "in/b.csv", root / "link.csv");
    fs::create_hard_link(root / "in/a.csv", root / "in/hard.csv");
    write_file(root / "twice.list", "in/a.csv\nc.csv\nin/../in/a.csv\n");
    write_file(root / "linked.list", "in/b.csv\nlink.csv\n");
    write_file(root / "once.list", "in/a.csv\nin/b.csv\n");
    write_train(root / "idx");
  });
  const std::string twice = error_of(ErrorKind::usage, path("twice.list"));
  for (const char* part : {"in/a.csv", "in/../in/a.csv", "same file", "name it once"})
    expect_says(twice, part);
  expect_says(error_of(ErrorKind::usage, path("linked.list")), "link.csv");
  expect_says(error_of(ErrorKind::usage, path("in")), "hard.csv");  // the whole folder

  Request request;
  request.data = path("once.list");
  request.trains = true;
  const auto error = [&](std::string Request::*option, const std::string& files) {
    Request asked = request;
    asked.*option = files;
    try {
      open_data(world_, node_, asked, memory_limit(world_, "60 %"));
    } catch (const Error& failure) {
      EXPECT_EQ(failure.kind(), ErrorKind::usage) << failure.what();
      return std::string(failure.what());
    }
    return std::string();
  };
  const std::string test = error(&Request::test, path("link.csv"));
  for (const char* part : {"--test", "link.csv", "in/b.csv of --data", "--validation 0.1"})
    expect_says(test, part);
  expect_says(error(&Request::validation, path("in/a.csv")), "--validation");
  expect_says(error(&Request::validation, path("in/a.csv")), "is a file of --data, too");
  EXPECT_EQ(error(&Request::validation, path("c.csv")), "");
  request.trains = false;  // a model that was trained with this file is looked at
  EXPECT_EQ(error(&Request::test, path("link.csv")), "");
  request.trains = true;
  request.data = path("idx");
  expect_says(error(&Request::validation, path("idx/.")), "train-images-idx3-ubyte");
}

TEST_F(Open, ALookWithoutMpiTellsTheSameFacts) {
  prepare([](const fs::path& root) {
    write_train(root / "digits");
    write_test(root / "digits");
    write_train(root / "counts");
    write_file(root / "counts/train-labels-idx1-ubyte", labels(9));
  });
  const std::vector<std::pair<std::string, std::string>> cases{{path("digits"), ""},
                                                               {path("digits"), "regression"},
                                                               {"generate:spiral(classes=4)", ""},
                                                               {"generate:teacher(outputs=3)", ""}};
  for (const auto& [spec, task] : cases) {
    const OpenedData opened = open(spec, task);
    const PeekedData peeked = peek(spec, task);
    for (const bool test : {false, true}) {
      ASSERT_EQ(peeked.test.has_value(), opened.test != nullptr);
      if (test && !peeked.test) continue;
      const DataFacts& known = test ? opened.test->facts() : opened.train->facts();
      const DataFacts& seen = test ? *peeked.test : peeked.train;
      EXPECT_EQ(seen.name, known.name);
      EXPECT_EQ(seen.rows, known.rows);
      EXPECT_EQ(seen.feature_shape, known.feature_shape);
      EXPECT_EQ(seen.kind, known.kind);
      EXPECT_EQ(seen.targets, known.targets);
      EXPECT_EQ(seen.class_names, known.class_names);
      EXPECT_EQ(seen.element_type, known.element_type);
    }
    EXPECT_EQ(peeked.notes, opened.notes);
  }
  EXPECT_THROW(peek(path("counts"), ""), Error);
  EXPECT_THROW(peek("generate:circle(rows=1000000000000)", ""), Error);
}

TEST_F(Open, FashionMnist) {
  if (!fs::exists("/usr/share/datasets/fashion-mnist"))
    GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const OpenedData opened = open("fashion-mnist");
  const DataFacts& facts = opened.train->facts();
  EXPECT_EQ(facts.rows, 60000);
  EXPECT_EQ(facts.feature_shape, (std::vector<std::int64_t>{28, 28}));
  EXPECT_EQ(facts.targets, 10);
  EXPECT_EQ(facts.class_names[9], "Ankle boot");
  EXPECT_EQ(opened.test->facts().rows, 10000);
  const std::vector<std::int64_t> rows{0, 1, 59999};  // as published: 9, 0, 5
  std::vector<std::int32_t> classes(3);
  opened.train->gather_classes(rows, classes.data());
  EXPECT_EQ(classes, (std::vector<std::int32_t>{9, 0, 5}));
  // The mean that everybody quotes for it: 0.2860.
  std::vector<std::int64_t> all(60000);
  std::iota(all.begin(), all.end(), std::int64_t{0});
  EXPECT_NEAR(input_scaling(world_, *opened.train, RowSet::of(all), "global").mean()[0] / 255, 0.2860, 5e-5);
  EXPECT_NEAR(input_scaling(world_, *opened.train, RowSet::of(all), "global").deviation()[0] / 255, 0.3530,
              5e-5);
}

}  // namespace
}  // namespace trainer::data
