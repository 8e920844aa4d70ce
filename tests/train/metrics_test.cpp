#include "trainer/train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "trainer/core/error.h"
#include "trainer/train/stopping.h"

namespace trainer::train {
namespace {

RowFacts classes(std::int64_t outputs) { return {.outputs = outputs}; }

RowFacts values(std::int64_t outputs) {
  return {.classification = false, .form = nn::TargetForm::values, .outputs = outputs};
}

double figure(const std::string& metric, const Measured& measured, const RowFacts& facts) {
  return MetricList(metric, facts).value(0, measured);
}

TEST(MetricList, NamesAndPartsFollowTheText) {
  const MetricList list("top(5) f1 top(2) auc", classes(10));
  EXPECT_EQ(list.names(), (std::vector<std::string>{"top_5", "f1", "top_2", "auc"}));
  EXPECT_EQ(list.measures().top, (std::vector<std::int64_t>{5, 2}));
  EXPECT_TRUE(list.measures().class_counts);
  EXPECT_TRUE(list.measures().ranking);
  EXPECT_FALSE(list.measures().confusion);
  EXPECT_FALSE(list.measures().errors);
  EXPECT_TRUE(MetricList("rmse", values(3)).measures().errors);
}

TEST(MetricList, NoneCostsNothing) {
  EXPECT_TRUE(MetricList("", classes(10)).names().empty());
  EXPECT_FALSE(MetricList("", classes(10)).measures().any());
}

TEST(MetricList, EverythingFits) {
  EXPECT_EQ(MetricList(MetricList::everything(classes(4), 100), classes(4)).names().size(), 5);
  EXPECT_EQ(MetricList::everything(values(4), 100), "r2 rmse mae");
}

TEST(MetricList, EverythingLeavesOutWhatWouldTakeTooMuchMemory) {
  const auto has_auc = [](std::int64_t outputs, std::int64_t rows) {
    return MetricList(MetricList::everything(classes(outputs), rows), classes(outputs)).measures().ranking;
  };
  EXPECT_TRUE(has_auc(1000, 100'000));
  EXPECT_FALSE(has_auc(1000, 100'001));
  EXPECT_TRUE(has_auc(1, 50'000'000));
  EXPECT_FALSE(has_auc(2, 50'000'001));
  EXPECT_FALSE(has_auc(3, std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(MetricList::everything(values(1000), 1'000'000), "r2 rmse mae");
}

std::string complaint(const std::string& source, const RowFacts& facts) {
  try {
    const MetricList list(source, facts);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "taken";
}

TEST(MetricList, BadTextsAreUsageErrorsThatNameWhatFits) {
  EXPECT_EQ(complaint("f1 r2", classes(3)),
            "--metrics: r2 is for values as targets; classification has top(k), precision, recall, f1, "
            "balanced_accuracy, auc\n  f1 r2\n     ^");
  EXPECT_EQ(
      complaint("auc", values(3)),
      "--metrics: auc is for classification; a task with values as targets has r2, rmse, mae\n  auc\n  ^");
  EXPECT_NE(complaint("f3", classes(3)).find("did you mean f1?"), std::string::npos);
  for (const char* bad :
       {"top", "top(0)", "top(4)", "top(1.5)", "f1 f1", "top(2) top(2)", "f1(2)", "loss", "accuracy"})
    EXPECT_NE(complaint(bad, classes(3)), "taken") << bad;
}

// Values of scikit-learn 1.x for the rows 0 0 0 1 1 3, predicted 0 0 1 1 4 0: class 2 does not occur, class 4
// only among the predictions, class 3 is never predicted. precision 2/3 1/2 0 0, recall 2/3 1/2 0 -.
TEST(MetricList, AveragesAreThoseOfScikitLearn) {
  Measured m;
  m.rows = 6;
  m.class_rows = {3, 2, 0, 1, 0};
  m.predicted = {3, 2, 0, 0, 1};
  m.hits = {2, 1, 0, 0, 0};
  EXPECT_DOUBLE_EQ(figure("precision", m, classes(5)), (2.0 / 3 + 1.0 / 2) / 4);
  EXPECT_DOUBLE_EQ(figure("recall", m, classes(5)), (2.0 / 3 + 1.0 / 2) / 4);
  EXPECT_DOUBLE_EQ(figure("f1", m, classes(5)), (2.0 / 3 + 1.0 / 2) / 4);
  EXPECT_DOUBLE_EQ(figure("balanced_accuracy", m, classes(5)), (2.0 / 3 + 1.0 / 2) / 3);
  EXPECT_EQ(m.precision(2), 0);
  EXPECT_EQ(m.recall(4), 0);
  EXPECT_EQ(m.f1(2), 0);
}

TEST(MetricList, OfTwoClassesTheFiguresAreThoseOfClassOne) {
  Measured m;
  m.rows = 10;
  m.class_rows = {6, 4};
  m.predicted = {5, 5};
  m.hits = {4, 3};
  for (const std::int64_t outputs : {1, 2}) {
    EXPECT_DOUBLE_EQ(figure("precision", m, classes(outputs)), 3.0 / 5);
    EXPECT_DOUBLE_EQ(figure("recall", m, classes(outputs)), 3.0 / 4);
    EXPECT_DOUBLE_EQ(figure("f1", m, classes(outputs)), 6.0 / 9);
    EXPECT_DOUBLE_EQ(figure("balanced_accuracy", m, classes(outputs)), (4.0 / 6 + 3.0 / 4) / 2);
  }
}

TEST(MetricList, WithoutRowsThereIsNoFigure) {
  EXPECT_TRUE(std::isnan(figure("top(2)", {}, classes(3))));
  EXPECT_TRUE(std::isnan(figure("rmse", {}, values(3))));
}

TEST(Metrics, KnowTheirDirection) {
  for (const char* name : {"val_loss", "train_loss", "val_rmse", "val_mae"})
    EXPECT_FALSE(larger_is_better(name)) << name;
  for (const char* name :
       {"val_accuracy", "val_top_5", "val_balanced_accuracy", "val_r2", "val_auc", "val_f1"})
    EXPECT_TRUE(larger_is_better(name)) << name;
  EXPECT_TRUE(larger_is_better("balanced_accuracy"));
  EXPECT_FALSE(larger_is_better("loss"));
  for (const char* name : {"val_top", "val_top_k", "val_fun", "rate", "", "val_", "other_f1"}) {
    try {
      (void)larger_is_better(name);
      FAIL() << name << " has a direction";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::internal) << name;
    }
  }
}

TEST(Metrics, AreWhatCanBeAskedFor) {
  for (const char* name : {"f1", "top_5", "auc", "mae"}) EXPECT_TRUE(is_metric(name)) << name;
  for (const char* name : {"loss", "accuracy", "top", "top_", "f2"}) EXPECT_FALSE(is_metric(name)) << name;
}

TEST(Metrics, StoppingSaysWhatAFigureNeeds) {
  const std::vector<std::string> available = {"train_loss", "train_accuracy", "val_loss", "val_accuracy",
                                              "val_f1"};
  const auto said = [&](const std::string& source) {
    try {
      const Stopping stopping(source, available, "val_loss");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("taken");
  };
  EXPECT_EQ(said("val_f1(patience=3)"), "taken");
  EXPECT_NE(said("train_f1").find("take val_f1"), std::string::npos);
  EXPECT_NE(said("val_top_5").find("name it in --metrics"), std::string::npos);
  EXPECT_NE(said("val_fun").find("there is no metric"), std::string::npos);
}

}  // namespace
}  // namespace trainer::train
