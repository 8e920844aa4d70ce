#include "trainer/data/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

struct Rows {
  explicit Rows(const std::string& text) : Rows(Generator(text)) {}
  explicit Rows(const Generator& g) : features(g.features()), targets(g.targets()), rows(g.rows()) {
    x.resize(static_cast<std::size_t>(rows * features));
    c.resize(static_cast<std::size_t>(rows));
    y.resize(static_cast<std::size_t>(rows * targets));
    g.fill(0, rows, x.data(), c.data(), y.data());
  }
  double in(std::int64_t row, std::int64_t j) const {
    return static_cast<double>(x[static_cast<std::size_t>(row * features + j)]);
  }
  int c_at(std::int64_t row) const { return c[static_cast<std::size_t>(row)]; }
  double y_at(std::int64_t row, std::int64_t o = 0) const {
    return static_cast<double>(y[static_cast<std::size_t>(row * targets + o)]);
  }

  std::int64_t features, targets, rows;
  std::vector<float> x;
  std::vector<std::int32_t> c;
  std::vector<float> y;
};

const std::vector<std::string> kAll{"circle(300)",         "xor(300)",
                                    "gauss(300)",          "spiral(300, classes=3)",
                                    "plane(300)",          "gaussian(300)",
                                    "sine(rows=300)",      "blobs(300)",
                                    "teacher(rows=300)",   "teacher(rows=300, outputs=2, noise=0.5)",
                                    "table(xor, rows=300)"};

TEST(Generate, EveryRowIsAFunctionOfSeedAndRowAlone) {
  for (const std::string& text : kAll) {
    const Generator g(text);
    const Rows whole(g);
    for (const std::int64_t row : {0, 1, 17, 299}) {
      std::vector<float> x(static_cast<std::size_t>(g.features()));
      std::vector<float> y(static_cast<std::size_t>(g.targets()));
      std::int32_t c = 0;
      g.fill(row, 1, x.data(), &c, y.data());
      EXPECT_EQ(std::memcmp(x.data(), whole.x.data() + row * g.features(), x.size() * 4), 0) << text;
      if (g.kind() == TargetKind::classes)
        EXPECT_EQ(c, whole.c_at(row)) << text;
      else
        EXPECT_EQ(std::memcmp(y.data(), whole.y.data() + row * g.targets(), y.size() * 4), 0) << text;
    }
  }
}

TEST(Generate, SeedsAndRowsDiffer) {
  for (const char* name :
       {"circle", "xor", "gauss", "spiral", "plane", "gaussian", "sine", "blobs", "teacher"}) {
    const Rows one(std::string(name) + "(seed=1)");
    const Rows other(std::string(name) + "(seed=2)");
    EXPECT_EQ(one.rows, 1000);
    EXPECT_NE(one.x, other.x) << name;
    const std::set<float> distinct(one.x.begin(), one.x.end());
    EXPECT_GT(distinct.size(), one.x.size() * 9 / 10) << name;
  }
}

TEST(Generate, ClassificationsFollowTheirFormulas) {
  const Rows circle("circle(2000)");
  const Rows exclusive("xor(2000)");
  const Rows spiral("spiral(2001, classes=3)");
  for (std::int64_t i = 0; i < 2000; ++i) {
    const double radius = std::hypot(circle.in(i, 0), circle.in(i, 1));
    EXPECT_TRUE(circle.c_at(i) == 0 ? radius <= 2.5 : radius >= 3.5 - 1e-6 && radius <= 5) << radius;
    EXPECT_EQ(exclusive.c_at(i) == 1, exclusive.in(i, 0) * exclusive.in(i, 1) < 0);
    EXPECT_GE(std::abs(exclusive.in(i, 0)), 0.3 - 1e-6);
    const double along = std::hypot(spiral.in(i, 0), spiral.in(i, 1)) / 5;
    const double angle = 2 * M_PI * (1.75 * along + spiral.c_at(i) / 3.0);
    EXPECT_NEAR(spiral.in(i, 0), 5 * along * std::sin(angle), 1e-4);
    EXPECT_NEAR(spiral.in(i, 1), 5 * along * std::cos(angle), 1e-4);
  }
  EXPECT_EQ(std::count(circle.c.begin(), circle.c.end(), 1), 1000);
  EXPECT_EQ(std::count(spiral.c.begin(), spiral.c.end(), 2), 667);
  EXPECT_NEAR(static_cast<double>(std::count(exclusive.c.begin(), exclusive.c.end(), 1)), 1000, 6 * 22.4);
}

TEST(Generate, RegressionsFollowTheirFormulas) {
  const Rows plane("plane");
  const Rows sine("sine");
  const Rows gaussian("gaussian");
  EXPECT_EQ(sine.features, 1);
  for (std::int64_t i = 0; i < 1000; ++i) {
    EXPECT_NEAR(plane.y_at(i), (plane.in(i, 0) + plane.in(i, 1)) / 10, 1e-6);
    EXPECT_NEAR(sine.y_at(i), std::sin(sine.in(i, 0)), 1e-6);
    double bumps = 0;
    for (int k = 0; k < 6; ++k) {
      const double dx = gaussian.in(i, 0) - 4.0 * (k % 3 - 1);
      const double dy = gaussian.in(i, 1) - (k < 3 ? 2.5 : -2.5);
      bumps += (k == 0 || k == 2 || k == 4 ? 1 : -1) * std::exp(-(dx * dx + dy * dy) / 2);
    }
    EXPECT_NEAR(gaussian.y_at(i), bumps, 1e-5);
  }
}

TEST(Generate, NoiseHasTheDeviationAskedFor) {
  const Rows clean("sine(4000)");
  const Rows noisy("sine(4000, noise=0.25)");
  EXPECT_EQ(clean.x, noisy.x);
  double sum = 0;
  for (std::int64_t i = 0; i < 4000; ++i) sum += std::pow(noisy.y_at(i) - clean.y_at(i), 2);
  EXPECT_NEAR(std::sqrt(sum / 4000), 0.25, 6 * 0.25 / std::sqrt(8000.0));
  const Rows gauss("gauss(4000, noise=0.5)");
  double squares = 0;
  for (std::int64_t i = 0; i < 4000; ++i)
    squares += std::pow(gauss.in(i, 1) - (gauss.c_at(i) == 0 ? 2 : -2), 2);
  EXPECT_NEAR(std::sqrt(squares / 4000), 0.5, 6 * 0.5 / std::sqrt(8000.0));
}

TEST(Generate, BlobsLieAroundFixedCentres) {
  const Rows exact("blobs(rows=20, features=7, classes=4, noise=0)");
  for (std::int64_t i = 4; i < 20; ++i) {
    EXPECT_EQ(exact.c_at(i), i % 4);
    for (std::int64_t j = 0; j < 7; ++j) EXPECT_EQ(exact.in(i, j), exact.in(i % 4, j));
  }
  EXPECT_NE(exact.in(0, 0), exact.in(1, 0));
  EXPECT_EQ(Generator("blobs").targets(), 3);
}

TEST(Generate, TeacherMakesClassesOrValues) {
  const Rows classes("teacher(rows=2000, features=30, classes=5)");
  EXPECT_EQ(classes.targets, 5);
  for (int c = 0; c < 5; ++c) EXPECT_GT(std::count(classes.c.begin(), classes.c.end(), c), 20) << c;
  const Rows values("teacher(rows=2000, features=30, outputs=3)");
  EXPECT_EQ(Generator("teacher(outputs=3)").kind(), TargetKind::values);
  double sum = 0;
  for (const float v : values.y) sum += static_cast<double>(v) * static_cast<double>(v);
  EXPECT_GT(sum / 6000, 0.05);
  EXPECT_LT(sum / 6000, 2.0);
}

TEST(Generate, TablesAreTheTruth) {
  const int expected[3][4] = {{0, 1, 1, 0}, {0, 0, 0, 1}, {0, 1, 1, 1}};
  int which = 0;
  for (const char* name : {"table(xor)", "table(and)", "table(or)"}) {
    const Rows table(name);
    ASSERT_EQ(table.rows, 4);
    for (std::int64_t i = 0; i < 4; ++i) {
      EXPECT_EQ(table.in(i, 0), static_cast<double>(i / 2));
      EXPECT_EQ(table.in(i, 1), static_cast<double>(i % 2));
      EXPECT_EQ(table.c_at(i), expected[which][i]) << name;
    }
    ++which;
  }
}

std::string usage_error(const std::string& text) {
  try {
    const Generator g(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "'" << text << "' was taken";
  return "";
}

TEST(Generate, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(usage_error("cirlce").find("did you mean circle"), std::string::npos);
  EXPECT_NE(usage_error("cirlce").find('^'), std::string::npos);
  EXPECT_NE(usage_error("zzzzzz").find("expected one of"), std::string::npos);
  for (const char* bad :
       {"", "circle xor", "circle(rows=0)", "circle(rows=-1)", "circle(classes=3)", "circle(noise=-1)",
        "circle(noise=nan)", "spiral(classes=1)", "table", "table(nand)", "teacher(classes=2, outputs=2)",
        "teacher(classes=1)", "blobs(features=0)", "blobs(features=1000000, classes=1000000)",
        "circle(rows=1e3)", "circle(row=5)", "teacher(hidden=1000000, features=1000000)", "circle(seed=-1)",
        "circle("}) {
    usage_error(bad);
  }
}

/// The numbers that a seed means must not change from one version to the next.
TEST(Generate, SeedsKeepTheirMeaning) {
  const Rows circle("circle(rows=2, seed=5)");
  const Rows blobs("blobs(rows=2, seed=5)");
  const Rows teacher("teacher(rows=2, outputs=1, seed=5)");
  EXPECT_NEAR(circle.in(1, 0), 2.5504739, 1e-6);
  EXPECT_NEAR(blobs.in(1, 0), -1.9793347, 1e-6);
  EXPECT_NEAR(teacher.y_at(1), -0.4750122, 1e-6);
}

}  // namespace
}  // namespace trainer::data
