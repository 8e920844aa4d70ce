// Metrics on real ranks, against references that look at every row and every pair; and the same bits as one
// rank.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "trainer/comm/communicator.h"
#include "trainer/core/buffer.h"
#include "trainer/core/error.h"
#include "trainer/core/random.h"
#include "trainer/train/evaluator.h"

namespace trainer::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Rows of few different values, so that scores tie; the last class has no rows. One row may hold a nan.
class CoarseRows final : public nn::RowSource {
 public:
  CoarseRows(std::int64_t columns, std::int64_t outputs, std::int64_t poisoned = -1)
      : columns_(columns), outputs_(outputs), poisoned_(poisoned) {}
  void inputs(Range rows, float* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      RandomStream stream(RandomKey(5, Purpose::self_test, 1), static_cast<std::uint64_t>(r));
      for (std::int64_t c = 0; c < columns_; ++c) *out++ = std::floor(3 * stream.uniform_float());
      if (r == poisoned_) out[-1] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  void classes(Range rows, std::int32_t* out) const override {
    const std::int64_t used = outputs_ <= 2 ? 2 : outputs_ - 1;
    for (std::int64_t r = rows.begin; r < rows.end; ++r)
      *out++ = static_cast<std::int32_t>((5 * r + r / 3) % (used + 3) % used);
  }
  void values(Range rows, float* out) const override {
    for (std::int64_t r = rows.begin; r < rows.end; ++r) {
      RandomStream stream(RandomKey(5, Purpose::self_test, 2), static_cast<std::uint64_t>(r));
      // Large means, so that sums of squares would lose the variance; the last column is constant.
      for (std::int64_t k = 0; k < outputs_; ++k)
        *out++ = k == outputs_ - 1 ? 5.0f
                                   : static_cast<float>(1000 + stream.normal() * static_cast<double>(k + 1));
    }
  }
  std::int64_t sample(std::int64_t row) const override { return row; }

 private:
  std::int64_t columns_, outputs_, poisoned_;
};

/// A network, some rows and what it says of them.
struct Question {
  Question(std::int64_t rows_in, std::int64_t outputs_in, const std::string& loss_text,
           nn::TargetForm form_in, std::int64_t poisoned = -1)
      : rows(rows_in),
        outputs(outputs_in),
        form(form_in),
        loss(nn::Loss::parse(loss_text)),
        network(nn::join(nn::Model("dense(" + std::to_string(outputs) + ")", 2, outputs), loss), 3),
        source(2, outputs, poisoned),
        parameters(network.parameter_floats()) {
    network.initialise(3, parameters.data(), nullptr);
    facts = {form == nn::TargetForm::classes, form, outputs};
  }

  void ask_for(const std::string& metrics) { measures = MetricList(metrics, facts).measures(); }
  void ask_for_details(const std::string& metrics) {
    measures = MetricList(metrics, facts).measures().with_details(facts);
  }
  double figure(const std::string& metric, const Measured& measured) const {
    return MetricList(metric, facts).value(0, measured);
  }

  Measured run(const comm::Communicator& world, int threads) const {
    const Team team(threads);
    nn::InferencePass pass(network, loss, form, threads, Evaluator::sizes(rows));
    pass.set(parameters.data(), nullptr);
    return Evaluator(world, team, source, rows, facts, measures).run(pass, scaling);
  }

  /// [rows, outputs], and before the joint activation.
  std::vector<float> all_outputs() const { return all(false); }
  std::vector<float> all_raw() const { return all(true); }
  std::vector<float> all(bool raw) const {
    nn::InferencePass pass(network, loss, form, 1, Evaluator::sizes(rows));
    pass.set(parameters.data(), nullptr);
    std::vector<float> all(static_cast<std::size_t>(rows * outputs));
    for (std::int64_t r = 0; r < rows; r += 256) {
      float* place = all.data() + r * outputs;
      pass.run(source, {r, std::min(rows, r + 256)}, 0, raw ? nullptr : place, raw ? place : nullptr);
    }
    return all;
  }
  std::vector<std::int32_t> truth() const {
    std::vector<std::int32_t> all(static_cast<std::size_t>(rows));
    source.classes({0, rows}, all.data());
    return all;
  }

  std::int64_t rows, outputs;
  nn::TargetForm form;
  nn::Loss loss;
  nn::Network network;
  CoarseRows source;
  Buffer<float> parameters;
  RowFacts facts;
  Measures measures;
  data::Scaling scaling = data::Scaling::none(0);  ///< of the targets
};

/// Every pair of rows.
double brute_force_auc(const Question& question, std::int64_t column, std::int32_t wanted) {
  const auto outputs = question.outputs == 1 ? question.all_raw() : question.all_outputs();
  const auto truth = question.truth();
  double won = 0, pairs = 0;
  for (std::size_t i = 0; i < truth.size(); ++i)
    for (std::size_t j = 0; j < truth.size(); ++j) {
      if (truth[i] != wanted || truth[j] == wanted) continue;
      const float high =
          outputs[i * static_cast<std::size_t>(question.outputs) + static_cast<std::size_t>(column)];
      const float low =
          outputs[j * static_cast<std::size_t>(question.outputs) + static_cast<std::size_t>(column)];
      won += high > low ? 1 : (high == low ? 0.5 : 0);
      ++pairs;
    }
  return pairs > 0 ? won / pairs : kNan;
}

bool same(double a, double b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0 || (std::isnan(a) && std::isnan(b));
}

void expect_same(const std::vector<double>& found, const std::vector<double>& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(same(found[i], wanted[i])) << i << ": " << found[i] << ", not " << wanted[i];
}

void expect_same(const Measured& found, const Measured& wanted) {
  EXPECT_EQ(found.rows, wanted.rows);
  EXPECT_TRUE(same(found.sums.loss, wanted.sums.loss));
  EXPECT_EQ(found.sums.correct, wanted.sums.correct);
  EXPECT_EQ(found.class_rows, wanted.class_rows);
  EXPECT_EQ(found.predicted, wanted.predicted);
  EXPECT_EQ(found.hits, wanted.hits);
  EXPECT_EQ(found.confusion, wanted.confusion);
  EXPECT_EQ(found.top, wanted.top);
  expect_same(found.auc, wanted.auc);
  expect_same(found.rmse, wanted.rmse);
  expect_same(found.mae, wanted.mae);
  expect_same(found.r2, wanted.r2);
}

class MetricsTest : public testing::Test {
 protected:
  /// On all ranks, with 1 to 3 threads: the bits of one rank with one thread.
  Measured run_everywhere(const Question& question) {
    const Measured alone = question.run(world_.split(world_.rank()), 1);
    for (const int threads : {1, 2, 3}) expect_same(question.run(world_, threads), alone);
    return alone;
  }
  comm::Environment environment_{nullptr, nullptr};
  comm::Communicator world_ = comm::Communicator::world(environment_);
};

void expect_counts(const Question& question, const Measured& found) {
  const auto outputs = question.all_raw();
  const auto truth = question.truth();
  const auto classes = static_cast<std::size_t>(question.facts.classes());
  const double threshold = question.loss.kind == nn::LossKind::binary_cross_entropy ? 0 : 0.5;
  std::vector<std::int64_t> confusion(classes * classes);
  std::map<std::int64_t, std::int64_t> top;
  for (const std::int64_t k : question.measures.top) top[k] = 0;
  for (std::size_t r = 0; r < truth.size(); ++r) {
    std::vector<double> scores(classes);
    for (std::size_t c = 0; c < classes; ++c)
      scores[c] = question.outputs == 1
                      ? (c == 1 ? 1.0 : -1.0) * (static_cast<double>(outputs[r]) >= threshold ? 1 : -1)
                      : static_cast<double>(outputs[r * classes + c]);
    std::vector<std::size_t> order(classes);  // a stable sort puts the lower class of equals first
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    ++confusion[static_cast<std::size_t>(truth[r]) * classes + order[0]];
    for (auto& [k, count] : top)
      count += std::count(order.begin(), order.begin() + k, static_cast<std::size_t>(truth[r]));
  }
  EXPECT_EQ(found.confusion, confusion);
  EXPECT_EQ(found.top, top);
  for (std::size_t c = 0; c < classes; ++c) {
    std::int64_t rows = 0, predicted = 0;
    for (std::size_t d = 0; d < classes; ++d) {
      rows += confusion[c * classes + d];
      predicted += confusion[d * classes + c];
    }
    EXPECT_EQ(found.class_rows[c], rows);
    EXPECT_EQ(found.predicted[c], predicted);
    EXPECT_EQ(found.hits[c], confusion[c * classes + c]);
  }
}

TEST_F(MetricsTest, OfManyClasses) {
  for (const std::int64_t rows : {1, 256, 700, 1537}) {
    Question question(rows, 5, "softmax_cross_entropy", nn::TargetForm::classes);
    question.ask_for_details("top(1) top(2) top(5) f1 auc");
    const Measured found = run_everywhere(question);
    expect_counts(question, found);
    EXPECT_EQ(found.top.at(5), rows);
    ASSERT_EQ(found.auc.size(), 5);
    for (std::int32_t c = 0; c < 5; ++c)
      EXPECT_TRUE(same(found.auc[static_cast<std::size_t>(c)], brute_force_auc(question, c, c)))
          << rows << " rows, class " << c;
    EXPECT_TRUE(std::isnan(found.auc[4]));  // a class without rows, left out of the average
    const double average = question.figure("auc", found);
    if (rows > 1) {
      EXPECT_DOUBLE_EQ(average, (found.auc[0] + found.auc[1] + found.auc[2] + found.auc[3]) / 4);
    } else {
      EXPECT_TRUE(std::isnan(average));
    }
  }
}

TEST_F(MetricsTest, TiesAreThere) {  // or the tests above would prove nothing of them
  const Question question(700, 5, "softmax_cross_entropy", nn::TargetForm::classes);
  std::vector<float> scores = question.all_outputs();
  std::sort(scores.begin(), scores.end());
  const auto different = std::unique(scores.begin(), scores.end()) - scores.begin();
  EXPECT_LT(different, 100);
}

TEST_F(MetricsTest, OfTwoClassesWithOneOutputAndWithTwo) {
  for (const std::int64_t outputs : {1, 2}) {
    Question question(1000, outputs, outputs == 1 ? "binary_cross_entropy" : "softmax_cross_entropy",
                      nn::TargetForm::classes);
    question.ask_for_details("top(1) auc");
    const Measured found = run_everywhere(question);
    expect_counts(question, found);
    ASSERT_EQ(found.auc.size(), 1);
    EXPECT_EQ(found.auc[0], brute_force_auc(question, outputs - 1, 1));
  }
}

TEST_F(MetricsTest, ManyCountsAreAdded) {
  Question question(600, 150, "softmax_cross_entropy", nn::TargetForm::classes);  // 22,500 pairs of classes
  question.ask_for_details("");
  expect_counts(question, run_everywhere(question));
}

TEST_F(MetricsTest, NanPredictsNothingAndHasNoArea) {
  Question question(700, 5, "softmax_cross_entropy", nn::TargetForm::classes, 555);
  question.ask_for_details("top(5) auc");
  const Measured found = run_everywhere(question);
  EXPECT_EQ(std::accumulate(found.confusion.begin(), found.confusion.end(), std::int64_t{0}), 699);
  EXPECT_EQ(std::accumulate(found.class_rows.begin(), found.class_rows.end(), std::int64_t{0}), 700);
  EXPECT_EQ(found.top.at(5), 699);
  EXPECT_TRUE(std::isnan(question.figure("auc", found)));
}

/// Rows whose largest output is not alone.
std::int64_t tied_rows(const std::vector<float>& outputs, std::int64_t columns) {
  std::int64_t tied = 0;
  for (auto row = outputs.begin(); row != outputs.end(); row += columns)
    tied += std::count(row, row + columns, *std::max_element(row, row + columns)) > 1 ? 1 : 0;
  return tied;
}

// Activated outputs that are 1, 0 or 1/2 alike would be told apart by the number of their class.
TEST_F(MetricsTest, SaturatedOutputsAreToldApart) {
  const struct {
    const char* loss;
    std::int64_t outputs;
    float scale;
  } cases[] = {{"softmax_cross_entropy", 5, 300},
               {"binary_cross_entropy", 5, 300},
               {"binary_cross_entropy", 1, 1e-9f}};
  for (const auto& [loss, outputs, scale] : cases) {
    Question question(300, outputs, loss, nn::TargetForm::classes);
    for (std::int64_t i = 0; i < question.parameters.size(); ++i) question.parameters[i] *= scale;
    question.ask_for_details("top(1) top(2) auc");
    const Measured found = run_everywhere(question);
    expect_counts(question, found);
    EXPECT_EQ(static_cast<double>(found.top.at(1)), found.sums.correct) << loss << ", " << outputs;
    for (std::size_t c = 0; c < found.auc.size(); ++c) {
      const auto wanted = static_cast<std::int32_t>(outputs == 1 ? 1 : c);
      EXPECT_TRUE(same(found.auc[c], brute_force_auc(question, static_cast<std::int64_t>(c), wanted)));
    }
    if (question.loss.kind == nn::LossKind::binary_cross_entropy && outputs > 1) {
      EXPECT_GT(tied_rows(question.all_outputs(), outputs), 50);  // or this would prove nothing
      EXPECT_LT(tied_rows(question.all_raw(), outputs), 50);
    }
  }
}

TEST_F(MetricsTest, OneNanAmongTheOutputsPredictsNothing) {
  for (const char* loss : {"softmax_cross_entropy", "binary_cross_entropy", "mse"})
    for (const std::int64_t place : {0, 2, 4}) {
      Question question(300, 5, loss, nn::TargetForm::classes);
      const auto& bias = question.network.parameters().back();
      ASSERT_EQ(bias.path, "00_dense/bias");
      question.parameters[bias.offset + place] = std::numeric_limits<float>::quiet_NaN();
      question.ask_for_details("top(5)");
      const Measured found = run_everywhere(question);
      EXPECT_EQ(found.predicted, std::vector<std::int64_t>(5, 0)) << loss << ", nan at " << place;
      EXPECT_EQ(found.top.at(5), 0) << loss << ", nan at " << place;
      EXPECT_EQ(found.sums.correct, 0) << loss << ", nan at " << place;
    }
  Question question(300, 1, "binary_cross_entropy", nn::TargetForm::classes, 70);
  question.ask_for_details("top(2)");
  EXPECT_EQ(run_everywhere(question).top.at(2), 299);
}

TEST_F(MetricsTest, ErrorsAreInTheUnitsOfTheMoment) {
  Question question(700, 3, "mse", nn::TargetForm::values);
  question.ask_for("rmse mae");
  const Team team(1);
  nn::InferencePass pass(question.network, question.loss, question.form, 1, Evaluator::sizes(700));
  pass.set(question.parameters.data(), nullptr);
  Evaluator evaluator(world_, team, question.source, 700, question.facts, question.measures);
  const Measured plain = evaluator.run(pass, data::Scaling::none(0));
  const Measured scaled = evaluator.run(pass, data::Scaling("feature", {7, 8, 9}, {2, 4, 0.5}));
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(scaled.rmse[k], plain.rmse[k] * std::vector<double>({2, 4, 0.5})[k]);
    EXPECT_EQ(scaled.mae[k], plain.mae[k] * std::vector<double>({2, 4, 0.5})[k]);
  }
  EXPECT_THROW(evaluator.run(pass, data::Scaling::none(2)), Error);
}

TEST_F(MetricsTest, OfValues) {
  for (const std::int64_t rows : {1, 2, 256, 1537}) {
    Question question(rows, 3, "mse", nn::TargetForm::values);
    question.ask_for("r2 rmse mae");
    question.scaling = data::Scaling("feature", {0, 0, 0}, {1.0, 10.0, 0.5});
    const Measured found = run_everywhere(question);
    const auto outputs = question.all_outputs();
    std::vector<float> targets(static_cast<std::size_t>(3 * rows));
    question.source.values({0, rows}, targets.data());
    for (std::size_t k = 0; k < 3; ++k) {
      long double squares = 0, absolutes = 0, mean = 0, m2 = 0;
      const auto n = static_cast<long double>(rows);
      for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r)
        mean += static_cast<long double>(targets[3 * r + k]) / n;
      for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
        const auto target = static_cast<long double>(targets[3 * r + k]);
        const long double error = static_cast<long double>(outputs[3 * r + k]) - target;
        squares += error * error;
        absolutes += std::abs(error);
        m2 += (target - mean) * (target - mean);
      }
      const auto unit = static_cast<long double>(question.scaling.deviation()[k]);
      // Sums of n terms in double, pairwise over chunks of 256: the error is well below 256 eps.
      const double tolerance = 256 * std::numeric_limits<double>::epsilon();
      const auto near = [&](double value, long double wanted) {
        return std::abs(static_cast<long double>(value) - wanted) <= tolerance * std::abs(wanted);
      };
      EXPECT_TRUE(near(found.rmse[k], unit * std::sqrt(squares / n))) << rows << " rows, output " << k;
      EXPECT_TRUE(near(found.mae[k], unit * absolutes / n)) << rows << " rows, output " << k;
      if (rows < 2) {
        EXPECT_TRUE(std::isnan(found.r2[k]));
      } else if (k == 2) {
        EXPECT_EQ(found.r2[k], 0);  // a constant output that is not met
      } else {
        EXPECT_TRUE(near(found.r2[k], 1 - squares / m2))
            << rows << " rows, output " << k << ": " << found.r2[k];
      }
    }
  }
}

}  // namespace
}  // namespace trainer::train
