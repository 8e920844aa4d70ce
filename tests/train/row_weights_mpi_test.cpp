#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <numeric>
#include <vector>

#include "row_weights.h"
#include "trainer/core/error.h"
#include "trainer/h5/row_writer.h"

namespace trainer::train {
namespace {

constexpr std::int64_t kRows = 1001;

std::int32_t label_of(std::int64_t row) {
  return row % 50 == 0 ? 2 : static_cast<std::int32_t>(row % 3 == 0);
}

/// Labels alone, of which each that is read counts.
class Labels final : public data::DataSet {
 public:
  Labels() {
    facts_.name = "labels";
    facts_.rows = kRows;
    facts_.features = 1;
    facts_.feature_shape = {1};
    facts_.targets = 4;  // of the last there is no row
  }
  const data::DataFacts& facts() const override { return facts_; }
  void gather(std::span<const std::int64_t>, float*) const override { ADD_FAILURE() << "inputs are read"; }
  void gather_scaled(std::span<const std::int64_t>, const data::Scaling&, float*) const override {
    ADD_FAILURE() << "inputs are read";
  }
  void gather_classes(std::span<const std::int64_t> rows, std::int32_t* classes) const override {
    for (const std::int64_t row : rows) *classes++ = label_of(row);
    read += std::ssize(rows);
  }
  void gather_values(std::span<const std::int64_t>, float*) const override {}

  mutable std::int64_t read = 0;

 private:
  data::DataFacts facts_;
};

class RowWeights : public testing::Test {
 protected:
  RowWeights() : environment_(nullptr, nullptr), world_(comm::Communicator::world(environment_)) {
    auto labels = std::make_unique<Labels>();
    labels_ = labels.get();
    data_.opened.train = std::move(labels);
    data_.task = "classification";
    data_.split.training = data::RowSet({{0, 40}, {100, 700}, {701, kRows}});
    if (world_.rank() == 0) {
      std::string pattern = (std::filesystem::temp_directory_path() / "trainer-weights-XXXXXX").string();
      folder_ = mkdtemp(pattern.data());
    }
    folder_ = world_.broadcast(folder_, 0);
  }
  ~RowWeights() override {
    world_.barrier();
    if (world_.rank() == 0) std::filesystem::remove_all(folder_);
  }

  /// FILE.h5:PATH of factors 1, 2, 3, ...
  std::string file_of(std::int64_t rows) {
    const std::string path = folder_ + "/weights.h5";
    if (world_.rank() == 0) {
      std::vector<float> values(static_cast<std::size_t>(rows));
      std::iota(values.begin(), values.end(), 1.0f);
      h5::RowWriter writer(path, rows, {{.path = "/w"}}, {});
      writer.write(0, 0, std::span<const float>(values));
      writer.finish();
    }
    world_.barrier();
    return path + ":w";
  }

  std::string error_of(const Configuration& configuration) {
    try {
      row_weights(world_, configuration, data_);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  comm::Environment environment_;
  comm::Communicator world_;
  PreparedData data_;
  const Labels* labels_ = nullptr;
  std::string folder_;
};

TEST_F(RowWeights, AreBalancedByASharedPassOverTheLabels) {
  std::vector<std::int64_t> counts(4, 0);
  for (const std::int64_t row : data_.split.training.list())
    ++counts[static_cast<std::size_t>(label_of(row))];
  const auto training = static_cast<double>(data_.split.training.size());
  const std::string file = file_of(kRows);
  for (const bool both : {false, true}) {
    Configuration configuration;
    configuration.class_weights = "balanced";
    if (both) configuration.sample_weights = file;
    labels_->read = 0;
    const std::vector<float> weights = row_weights(world_, configuration, data_);
    ASSERT_EQ(std::ssize(weights), kRows);
    for (std::int64_t row = 0; row < kRows; ++row) {
      const auto of_class = static_cast<double>(counts[static_cast<std::size_t>(label_of(row))]);
      const float expected =
          (both ? static_cast<float>(row + 1) : 1.0f) * static_cast<float>(training / (4 * of_class));
      ASSERT_EQ(weights[static_cast<std::size_t>(row)], expected) << row;
    }
    std::vector<std::int64_t> read{labels_->read};
    world_.sum(read);
    EXPECT_EQ(read.front(), kRows);  // each label by one rank, once
    EXPECT_LE(labels_->read, kRows / world_.size() + 1);
  }
}

TEST_F(RowWeights, OfAListAreThoseOfTheClasses) {
  Configuration configuration;
  configuration.class_weights = "1, 2.5, 0, 7";
  const std::vector<float> weights = row_weights(world_, configuration, data_);
  for (std::int64_t row = 0; row < kRows; ++row)
    ASSERT_EQ(weights[static_cast<std::size_t>(row)],
              (std::vector{1.0f, 2.5f, 0.0f})[static_cast<std::size_t>(label_of(row))]);
  configuration.class_weights = "1,2";
  EXPECT_NE(error_of(configuration).find("2 factors for 4 classes"), std::string::npos);
}

TEST_F(RowWeights, AreForTheRowsThatMissingDropLeaves) {
  Configuration configuration;
  configuration.sample_weights = file_of(kRows + 3);
  EXPECT_NE(
      error_of(configuration).find("holds 1004 values on 1 axes for 1001 rows of --data; give one axis"),
      std::string::npos);
  configuration.missing = "drop";
  EXPECT_NE(error_of(configuration)
                .find("1001 rows of --data that --missing drop has left; give one for each row that"),
            std::string::npos);
  configuration.sample_weights = file_of(kRows);
  EXPECT_EQ(row_weights(world_, configuration, data_).back(), static_cast<float>(kRows));
}

}  // namespace
}  // namespace trainer::train
