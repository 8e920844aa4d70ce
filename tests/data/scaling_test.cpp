#include "trainer/data/scaling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "memory_data.h"
#include "trainer/core/error.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

constexpr std::int64_t kFeatures = 5;

/// Columns of very different means and deviations, the last one constant.
std::vector<float> made_up(std::int64_t rows) {
  std::vector<float> out;
  RandomStream draws(RandomKey(1, Purpose::self_test), 0);
  for (std::int64_t i = 0; i < rows; ++i) {
    out.push_back(static_cast<float>(draws.normal()));
    out.push_back(static_cast<float>(1e6 + draws.normal()));  // E[x^2] - E[x]^2 in float would be noise
    out.push_back(static_cast<float>(1e-20 * draws.uniform()));
    out.push_back(static_cast<float>(1e20 * draws.normal()));
    out.push_back(0.1f);
  }
  return out;
}

const comm::Communicator& alone() {
  static const comm::Communicator kAlone = comm::Communicator::alone();
  return kAlone;
}

std::vector<std::int64_t> counting(std::int64_t size) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(size));
  std::iota(rows.begin(), rows.end(), std::int64_t{0});
  return rows;
}

struct Reference {
  std::vector<long double> mean = std::vector<long double>(kFeatures);
  std::vector<long double> deviation = std::vector<long double>(kFeatures);
};

Reference reference(const std::vector<float>& all, const std::vector<std::int64_t>& rows) {
  Reference out;
  const auto count = static_cast<long double>(rows.size());
  for (std::size_t j = 0; j < kFeatures; ++j) {
    const auto at = [&](std::int64_t row) {
      return static_cast<long double>(all[static_cast<std::size_t>(row * kFeatures) + j]);
    };
    for (const std::int64_t row : rows) out.mean[j] += at(row) / count;
    for (const std::int64_t row : rows)
      out.deviation[j] += (at(row) - out.mean[j]) * (at(row) - out.mean[j]) / count;
    out.deviation[j] = std::sqrt(out.deviation[j]);
  }
  return out;
}

TEST(Scaling, MeansAndDeviationsAreThoseOfTheGivenRows) {
  const std::vector<float> all = made_up(3000);
  const MemoryData data(kFeatures, all, 1, std::vector<float>(3000));
  for (const std::int64_t size : {2, 3, 255, 256, 257, 512, 513, 1000, 2999}) {
    std::vector<std::int64_t> rows = counting(size);
    for (std::int64_t& row : rows) row = 1 + row * 2999 / size;  // not the first ones only
    const Scaling scaling = input_scaling(alone(), data, RowSet::of(rows), "");
    const Reference expected = reference(all, rows);
    EXPECT_EQ(scaling.mode(), Scaling::Mode::feature);
    for (std::size_t j = 0; j + 1 < kFeatures; ++j) {
      // Rounding of sums in double: some hundred eps of the magnitude, relative to the deviation.
      const auto magnitude = static_cast<double>(std::abs(expected.mean[j]) + expected.deviation[j]);
      const double tolerance = 1000 * std::numeric_limits<double>::epsilon() * magnitude;
      EXPECT_NEAR(scaling.mean()[j], static_cast<double>(expected.mean[j]), tolerance) << size << " " << j;
      EXPECT_NEAR(scaling.deviation()[j], static_cast<double>(expected.deviation[j]), tolerance)
          << size << " " << j;
    }
  }
}

TEST(Scaling, AConstantColumnBecomesExactlyZero) {
  const std::vector<float> all = made_up(1000);
  const MemoryData data(kFeatures, all, 1, std::vector<float>(1000));
  const Scaling scaling = input_scaling(alone(), data, RowSet::of(counting(1000)), "feature");
  EXPECT_EQ(scaling.mean()[4], static_cast<double>(0.1f));
  EXPECT_EQ(scaling.deviation()[4], 1.0);
  std::vector<float> scaled(all.size());
  scaling.apply(all.data(), 1000, scaled.data());
  for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(scaled[i * kFeatures + 4], 0.0f);
  // One row: every column is constant.
  const Scaling one = input_scaling(alone(), data, RowSet::of(counting(1)), "feature");
  for (const double deviation : one.deviation()) EXPECT_EQ(deviation, 1.0);
}

TEST(Scaling, AppliesOneExpressionInEveryMode) {
  const std::vector<float> all = made_up(300);
  const MemoryData data(kFeatures, all, 1, std::vector<float>(300));
  for (const char* mode : {"feature", "global", "none"}) {
    const Scaling scaling = input_scaling(alone(), data, RowSet::of(counting(300)), mode);
    EXPECT_EQ(scaling.mode_name(), mode);
    std::vector<float> scaled(all.size());
    scaling.apply(all.data(), 300, scaled.data());
    std::vector<float> back(all.size());
    scaling.invert(scaled.data(), 300, back.data());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto mean = static_cast<float>(scaling.mean()[i % kFeatures]);
      const auto deviation = static_cast<float>(scaling.deviation()[i % kFeatures]);
      const float expected = (all[i] - mean) / deviation;
      ASSERT_EQ(std::memcmp(&scaled[i], &expected, 4), 0) << mode << " " << i;
      ASSERT_NEAR(back[i], all[i],
                  4 * std::numeric_limits<float>::epsilon() * (std::abs(all[i]) + std::abs(mean)));
    }
  }
}

TEST(Scaling, GlobalIsOneMeanAndDeviationOfAllColumns) {
  const MemoryData data(2, {1, 2, 3, 4, 5, 9}, 1, {0, 0, 0});
  const Scaling scaling = input_scaling(alone(), data, RowSet::of(counting(3)), "global");
  EXPECT_TRUE(scaling.is_uniform());
  EXPECT_NEAR(scaling.mean()[0], 4.0, 1e-14);
  EXPECT_NEAR(scaling.deviation()[1], std::sqrt(40.0 / 6), 1e-14);
  EXPECT_EQ(scaling.mean()[0], scaling.mean()[1]);
}

TEST(Scaling, UnitIsExactlyTheByteOver255) {
  std::vector<float> bytes(256);
  std::iota(bytes.begin(), bytes.end(), 0.0f);
  const MemoryData data(256, bytes, 1, {0}, "uint8");
  const Scaling scaling = input_scaling(alone(), data, RowSet::of(counting(1)), "");
  EXPECT_EQ(scaling.mode(), Scaling::Mode::unit);
  std::vector<float> scaled(256);
  scaling.apply(bytes.data(), 1, scaled.data());
  for (std::size_t b = 0; b < 256; ++b) {
    EXPECT_EQ(scaled[b], static_cast<float>(static_cast<double>(b) / 255.0)) << b;
  }
}

TEST(Scaling, TargetsOfARegressionHaveTheirOwn) {
  MemoryData data(1, {0, 0, 0, 0}, 2, {1, 10, 2, 10, 3, 10, 4, 10});
  const Scaling scaling = target_scaling(alone(), data, RowSet::of(counting(4)), "");
  EXPECT_EQ(scaling.mean(), (std::vector<double>{2.5, 10}));
  EXPECT_EQ(scaling.deviation(), (std::vector<double>{std::sqrt(1.25), 1}));
  EXPECT_EQ(target_scaling(alone(), data, RowSet::of(counting(4)), "none").deviation(),
            (std::vector<double>{1, 1}));
  EXPECT_THROW(target_scaling(alone(), data, RowSet::of(counting(4)), "unit"), Error);
  data.pretend_classes();
  EXPECT_EQ(target_scaling(alone(), data, RowSet::of(counting(4)), "").features(), 0);
  EXPECT_THROW(target_scaling(alone(), data, RowSet::of(counting(4)), "feature"), Error);
}

TEST(Scaling, OfLogarithmsComesBackInOriginalUnits) {
  const std::vector<float> values{1e-3f, 7, 1, 7, 1e3f, 7, 1e6f, 7};
  const MemoryData data(1, {0, 0, 0, 0}, 2, values);
  const Scaling scaling = target_scaling(alone(), data, RowSet::of(counting(4)), "log");
  EXPECT_EQ(scaling.mode_name(), "log");
  EXPECT_FALSE(scaling.is_uniform());
  const double step = std::log(1e3);  // the logarithms of the first column are -1, 0, 1, 2 of these
  EXPECT_NEAR(scaling.mean()[0], 0.5 * step, 1e-6);
  EXPECT_NEAR(scaling.deviation()[0], std::sqrt(1.25) * step, 1e-6);
  EXPECT_EQ(scaling.mean()[1], static_cast<double>(static_cast<float>(std::log(7.0))));
  EXPECT_EQ(scaling.deviation()[1], 1);
  std::vector<float> scaled(8);
  scaling.apply(values.data(), 4, scaled.data());
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(scaled[2 * i], (static_cast<double>(i) - 1.5) / std::sqrt(1.25), 1e-6) << i;
    EXPECT_EQ(scaled[2 * i + 1], 0) << i;
  }
  scaling.invert(scaled.data(), 4, scaled.data());
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(scaled[i] / values[i], 1, 4e-6) << i;
  const Scaling stored("log", scaling.mean(), scaling.deviation());
  EXPECT_EQ(stored.mode(), Scaling::Mode::log);
  EXPECT_THROW(input_scaling(alone(), data, RowSet::of(counting(4)), "log"), Error);
}

TEST(Scaling, OfLogarithmsNamesATargetThatHasNone) {
  for (const float bad : {0.0f, -2.5f}) {
    const MemoryData data(1, {0, 0, 0, 0}, 2, {1, 10, 2, 10, 3, bad, 4, 10});
    require_positive_targets(alone(), data, RowSet({{0, 2}, {3, 4}}));
    require_positive_targets(alone(), data, RowSet::none());
    try {
      require_positive_targets(alone(), data, RowSet({{1, 4}}));
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      const std::string message = error.what();
      for (const std::string& part :
           {text("row 2 of "), text("the target ", bad, " in column 1"), text("--scale-targets log")})
        EXPECT_NE(message.find(part), message.npos) << message;
    }
  }
}

TEST(Scaling, ComesBackFromWhatACheckpointStores) {
  const std::vector<float> all = made_up(100);
  const MemoryData data(kFeatures, all, 1, std::vector<float>(100));
  for (const char* mode : {"feature", "global", "none"}) {
    const Scaling original = input_scaling(alone(), data, RowSet::of(counting(100)), mode);
    const Scaling restored(original.mode_name(), original.mean(), original.deviation());
    std::vector<float> one(all.size());
    std::vector<float> other(all.size());
    original.apply(all.data(), 100, one.data());
    restored.apply(all.data(), 100, other.data());
    EXPECT_EQ(std::memcmp(one.data(), other.data(), one.size() * 4), 0);
  }
}

TEST(Scaling, RefusesBadNamesAndBadStoredValues) {
  const MemoryData data(1, {1, 2}, 1, {0, 0});
  for (const char* bad : {"unit", "features", "mean", "None"}) {
    try {
      input_scaling(alone(), data, RowSet::of(counting(2)), bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    }
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(Scaling("other", {0}, {1}), Error);
  EXPECT_THROW(Scaling("feature", {0, 1}, {1}), Error);
  EXPECT_THROW(Scaling("feature", {nan}, {1}), Error);
  EXPECT_THROW(Scaling("feature", {0}, {0}), Error);
  EXPECT_THROW(Scaling("feature", {0}, {-1}), Error);
  EXPECT_THROW(Scaling("feature", {1e300}, {1}), Error);
  EXPECT_THROW(Scaling("feature", {0}, {1e-300}), Error);
  EXPECT_THROW(Scaling("unit", {0}, {1}), Error);
  EXPECT_THROW(Scaling("none", {1}, {1}), Error);
  EXPECT_THROW(Scaling("global", {0, 1}, {1, 1}), Error);
}

}  // namespace
}  // namespace trainer::data
