// Every operation against a plain calculation in double precision, the distribution of what is drawn, and
// that it is the same however rows are asked for.
#include "trainer/data/augmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <thread>

#include "trainer/core/error.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

constexpr std::uint64_t kSeed = 5;
constexpr std::int64_t kEpoch = 3;

/// Images whose every value differs, from 1 to 256.
class Images final : public DataSet {
 public:
  explicit Images(std::vector<std::int64_t> shape, std::int64_t rows = 20) {
    facts_.name = "pictures";
    facts_.rows = rows;
    facts_.features = 1;
    for (const std::int64_t size : shape) facts_.features *= size;
    facts_.feature_shape = std::move(shape);
    facts_.element_type = "float32";
    values.resize(static_cast<std::size_t>(rows * facts_.features));
    RandomStream draws(RandomKey(1, Purpose::self_test), 0);
    for (float& value : values) value = 1 + 255 * draws.uniform_float();
  }
  const DataFacts& facts() const override { return facts_; }
  void gather(std::span<const std::int64_t> rows, float* out) const override {
    for (const std::int64_t row : rows)
      out = std::copy_n(values.data() + row * facts_.features, facts_.features, out);
  }
  void gather_scaled(std::span<const std::int64_t> rows, const Scaling& scaling, float* out) const override {
    for (const std::int64_t row : rows) {
      scaling.apply(values.data() + row * facts_.features, 1, out);
      out += facts_.features;
    }
  }
  void gather_classes(std::span<const std::int64_t>, std::int32_t*) const override {}
  void gather_values(std::span<const std::int64_t>, float*) const override {}

  std::vector<std::int64_t> all() const {
    std::vector<std::int64_t> rows;
    for (std::int64_t row = 0; row < facts_.rows; ++row) rows.push_back(row);
    return rows;
  }
  std::vector<float> row(std::int64_t row) const {
    return {values.begin() + row * facts_.features, values.begin() + (row + 1) * facts_.features};
  }
  std::vector<float> values;

 private:
  DataFacts facts_;
};

/// Augmented rows of `data`; as they are without `scaling`.
std::vector<float> augmented(const Images& data, const std::string& text, std::span<const std::int64_t> rows,
                             std::int64_t epoch = kEpoch, const Scaling* scaling = nullptr) {
  const Scaling none = Scaling::none(data.facts().features);
  const Augmentation augmentation(text, data.facts(), kSeed);
  const RowSet all = RowSet::of(data.all());
  std::vector<float> out(rows.size() * static_cast<std::size_t>(data.facts().features));
  augmentation.inputs({data, scaling != nullptr ? *scaling : none, all, epoch}, rows, out.data());
  return out;
}
std::vector<float> augmented(const Images& data, const std::string& text, std::int64_t row) {
  return augmented(data, text, {&row, 1});
}

RandomStream draws_of(std::int64_t row, std::uint32_t place = 0) {
  return {RandomKey(kSeed, Purpose::augment, kEpoch, place), static_cast<std::uint64_t>(row)};
}

/// An image as a function of whole places, 0 outside.
struct Picture {
  std::int64_t height, width, channels;
  std::vector<float> values;
  double at(std::int64_t y, std::int64_t x, std::int64_t c) const {
    if (y < 0 || y >= height || x < 0 || x >= width) return 0;
    return static_cast<double>(values[static_cast<std::size_t>((y * width + x) * channels + c)]);
  }
  /// Bilinear: every pixel spreads as a tent over its neighbourhood.
  double between(double y, double x, std::int64_t c) const {
    double sum = 0;
    for (std::int64_t i = 0; i < height; ++i)
      for (std::int64_t j = 0; j < width; ++j)
        sum += std::max(0.0, 1 - std::abs(y - static_cast<double>(i))) *
               std::max(0.0, 1 - std::abs(x - static_cast<double>(j))) * at(i, j, c);
    return sum;
  }
};

Picture picture(const Images& data, std::int64_t row) {
  const auto& shape = data.facts().feature_shape;
  return {shape[0], shape[1], shape.size() > 2 ? shape[2] : 1, data.row(row)};
}

const std::vector<std::vector<std::int64_t>> kShapes = {{9, 7}, {6, 8, 3}, {28, 28}, {1, 5}, {40, 1}};

/// Compares all pixels with wanted(picture, row, y, x, channel).
void compare(const Images& data, const std::string& text, double tolerance,
             const std::function<double(const Picture&, std::int64_t, std::int64_t, std::int64_t,
                                        std::int64_t)>& wanted) {
  for (const std::int64_t row : data.all()) {
    const Picture before = picture(data, row);
    const std::vector<float> found = augmented(data, text, row);
    std::size_t i = 0;
    for (std::int64_t y = 0; y < before.height; ++y)
      for (std::int64_t x = 0; x < before.width; ++x)
        for (std::int64_t c = 0; c < before.channels; ++c, ++i) {
          const double difference = std::abs(static_cast<double>(found[i]) - wanted(before, row, y, x, c));
          ASSERT_TRUE(difference <= tolerance)
              << text << " row " << row << " at " << y << ", " << x << ": " << difference;
        }
  }
}

TEST(Augmentation, ShiftMovesWholePixelsExactly) {
  for (const auto& shape : kShapes) {
    compare(Images(shape), "shift(3)", 0,
            [](const Picture& image, std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t c) {
              RandomStream draws = draws_of(row);
              const auto right = static_cast<std::int64_t>(draws.below(7)) - 3,
                         down = static_cast<std::int64_t>(draws.below(7)) - 3;
              return image.at(y - down, x - right, c);
            });
  }
}

TEST(Augmentation, FlipChangesLeftAndRightExactly) {
  for (const auto& shape : kShapes) {
    compare(Images(shape), "flip(0.3)", 0,
            [](const Picture& image, std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t c) {
              return draws_of(row).uniform() < 0.3 ? image.at(y, image.width - 1 - x, c) : image.at(y, x, c);
            });
  }
}

TEST(Augmentation, EraseCutsASquareOut) {
  for (const std::int64_t size : {1, 3, 4, 9}) {
    for (const auto& shape : kShapes) {
      if (2 * std::max(shape[0], shape[1]) < size) continue;
      compare(
          Images(shape), text("erase(", size, ", probability=0.7)"), 0,
          [=](const Picture& image, std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t c) {
            RandomStream draws = draws_of(row);
            if (draws.uniform() >= 0.7) return image.at(y, x, c);
            const auto left =
                static_cast<std::int64_t>(draws.below(static_cast<std::uint64_t>(image.width))) - size / 2;
            const auto top =
                static_cast<std::int64_t>(draws.below(static_cast<std::uint64_t>(image.height))) - size / 2;
            const bool inside = x >= left && x < left + size && y >= top && y < top + size;
            return inside ? 0.0 : image.at(y, x, c);
          });
    }
  }
}

/// Places are floats with an error of some 2^-24 times the size; the image changes by up to 256 a pixel each
/// way.
double tolerance_of(const std::vector<std::int64_t>& shape, double alpha = 0) {
  const double reach = static_cast<double>(shape[0] + shape[1]) + alpha;
  return 2 * 256 * (8 * reach * 0x1p-24) + 256 * 8 * 0x1p-24;
}

TEST(Augmentation, RotateTurnsAboutTheCentre) {
  for (const auto& shape : kShapes) {
    compare(Images(shape, 8), "rotate(60)", tolerance_of(shape),
            [](const Picture& image, std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t c) {
              const double angle = 60 * (2 * draws_of(row).uniform() - 1) * std::numbers::pi / 180;
              const double middle_y = static_cast<double>(image.height - 1) / 2,
                           middle_x = static_cast<double>(image.width - 1) / 2;
              const double up = middle_y - static_cast<double>(y), right = static_cast<double>(x) - middle_x;
              // Turned clockwise, as seen, to where it came from.
              const double from_right = std::cos(angle) * right + std::sin(angle) * up;
              const double from_up = -std::sin(angle) * right + std::cos(angle) * up;
              return image.between(middle_y - from_up, middle_x + from_right, c);
            });
  }
}

TEST(Augmentation, ScaleZoomsAboutTheCentre) {
  for (const auto& shape : kShapes) {
    compare(Images(shape, 8), "scale(0.4)", 2 * tolerance_of(shape),
            [](const Picture& image, std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t c) {
              const double zoom = 1 + 0.4 * (2 * draws_of(row).uniform() - 1);
              const double middle_y = static_cast<double>(image.height - 1) / 2,
                           middle_x = static_cast<double>(image.width - 1) / 2;
              return image.between(middle_y + (static_cast<double>(y) - middle_y) / zoom,
                                   middle_x + (static_cast<double>(x) - middle_x) / zoom, c);
            });
  }
}

/// alpha times a smoothed field at (y, x): the sum over the plane at once.
double displacement(const Picture& image, const std::vector<std::uint32_t>& words, std::int64_t y,
                    std::int64_t x, double alpha, double sigma) {
  const auto reach = static_cast<std::int64_t>(4 * sigma + 0.5);
  const auto bell = [&](std::int64_t k) {
    return std::exp(-static_cast<double>(k * k) / (2 * sigma * sigma));
  };
  double whole = 0, sum = 0;
  for (std::int64_t k = -reach; k <= reach; ++k) whole += bell(k);
  for (std::int64_t i = std::max<std::int64_t>(0, y - reach); i <= std::min(image.height - 1, y + reach); ++i)
    for (std::int64_t j = std::max<std::int64_t>(0, x - reach); j <= std::min(image.width - 1, x + reach);
         ++j)
      sum += bell(i - y) * bell(j - x) *
             (std::floor(words[static_cast<std::size_t>(j * image.height + i)] / 256.0) / 8388608 - 1);
  return alpha * sum / (whole * whole);
}

TEST(Augmentation, ElasticDisplacesByASmoothedField) {
  constexpr double kAlpha = 12;
  for (const double sigma : {0.7, 2.0, 6.0}) {
    for (const auto& shape : kShapes) {
      std::map<std::int64_t, std::vector<std::uint32_t>> words;
      compare(
          Images(shape, 3), text("elastic(", kAlpha, ", sigma=", sigma, ")"), tolerance_of(shape, 8 * kAlpha),
          [&](const Picture& image, std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t c) {
            const auto pixels = static_cast<std::size_t>(image.height * image.width);
            auto& mine = words[row];
            if (mine.empty()) {
              RandomStream draws = draws_of(row);
              while (mine.size() < 2 * pixels) mine.push_back(draws.next_word());
            }
            const std::vector<std::uint32_t> second(mine.begin() + static_cast<std::ptrdiff_t>(pixels),
                                                    mine.end());
            return image.between(static_cast<double>(y) + displacement(image, second, y, x, kAlpha, sigma),
                                 static_cast<double>(x) + displacement(image, mine, y, x, kAlpha, sigma), c);
          });
    }
  }
}

TEST(Augmentation, PlacesFarOutsideAreBackground) {
  const Images data({9, 7});
  for (const float value : augmented(data, "elastic(10000, 0.1)", data.all()))
    ASSERT_TRUE(value >= 0 && value <= 256) << value;
}

TEST(Augmentation, OperationsOnPixelsComeBeforeTheScaling) {
  const Images data({9, 7});
  const std::vector<double> mean(63, 100), deviation(63, 50);
  const Scaling scaling("global", mean, deviation);
  const std::vector<float> raw = augmented(data, "shift(2)", data.all());
  std::vector<float> wanted(raw.size());
  scaling.apply(raw.data(), 20, wanted.data());
  EXPECT_EQ(augmented(data, "shift(2)", data.all(), kEpoch, &scaling), wanted);
  EXPECT_TRUE(std::ranges::count(wanted, -2.0f) > 0);  // the background
  // Noise is added to what was scaled.
  const std::vector<float> noisy = augmented(data, "shift(2) noise(0.5)", data.all(), kEpoch, &scaling);
  double squares = 0;
  for (std::size_t i = 0; i < noisy.size(); ++i) {
    const double noise = static_cast<double>(noisy[i] - wanted[i]);
    squares += noise * noise;
  }
  const auto count = static_cast<double>(noisy.size());
  EXPECT_NEAR(squares / count, 0.25, 5 * 0.25 * std::sqrt(2 / count));
}

TEST(Augmentation, ShiftAndFlipAreUniform) {
  constexpr std::int64_t kRows = 20000, kSize = 7;
  Images data({kSize, kSize}, kRows);
  std::fill(data.values.begin(), data.values.end(), 0.0f);
  for (std::int64_t row = 0; row < kRows; ++row)
    data.values[static_cast<std::size_t>(row * 49 + 3 * 7 + 3)] = 1;
  std::map<std::int64_t, int> places;
  const std::vector<float> shifted = augmented(data, "shift(2)", data.all());
  for (std::int64_t i = 0; i < kRows * 49; ++i)
    if (shifted[static_cast<std::size_t>(i)] != 0) ++places[i % 49];
  ASSERT_EQ(places.size(), 25u);
  double chi = 0;
  for (const auto& [place, times] : places) {
    EXPECT_TRUE(std::abs(place / 7 - 3) <= 2 && std::abs(place % 7 - 3) <= 2) << place;
    chi += (times - kRows / 25.0) * (times - kRows / 25.0) / (kRows / 25.0);
  }
  EXPECT_LT(chi, 24 + 5 * std::sqrt(2 * 24.0));
  const Images pair({1, 2}, kRows);
  const std::vector<float> flipped = augmented(pair, "flip", pair.all());
  int times = 0;
  for (std::size_t i = 0; i < flipped.size(); i += 2) times += flipped[i] != pair.values[i] ? 1 : 0;
  EXPECT_NEAR(times, kRows / 2, 5 * std::sqrt(kRows) / 2);
}

TEST(Augmentation, TheShareOfAMixIsBetaAndThePartnerUniform) {
  constexpr std::int64_t kRows = 20000;
  const Images data({1, 2}, kRows);
  const Scaling none = Scaling::none(2);
  const RowSet partners({{4, 5}, {7, 8}, {9, 10}, {11, 12}});
  for (const double alpha : {0.05, 0.2, 1.0, 5.0}) {
    const Augmentation augmentation(text("mixup(", alpha, ")"), data.facts(), kSeed);
    double moments[5] = {};
    std::map<std::int64_t, int> times;
    for (const std::int64_t row : data.all()) {
      const Mix mix = augmentation.mix({data, none, partners, kEpoch}, row);
      ASSERT_TRUE(mix.share >= 0 && mix.share <= 1);
      for (int k = 1; k <= 4; ++k) moments[k] += std::pow(static_cast<double>(mix.share), k) / kRows;
      ++times[mix.partner];
    }
    double wanted[9] = {1};  // E x^k = product of (alpha + j) / (2 alpha + j)
    for (int k = 1; k <= 8; ++k) wanted[k] = wanted[k - 1] * (alpha + k - 1) / (2 * alpha + k - 1);
    for (int k = 1; k <= 4; ++k)
      EXPECT_NEAR(moments[k], wanted[k], 5 * std::sqrt((wanted[2 * k] - wanted[k] * wanted[k]) / kRows))
          << alpha << " " << k;
    ASSERT_EQ(times.size(), 4u);
    for (const std::int64_t partner : partners.list())
      EXPECT_NEAR(times[partner], kRows / 4, 5 * std::sqrt(kRows * 3.0 / 16));
  }
}

TEST(Augmentation, MixupMixesWithThePartnerAsAugmented) {
  const Images data({6, 5});
  const Scaling none = Scaling::none(30);
  const std::vector<std::int64_t> all = data.all();
  const std::string before = "shift(2) noise(3)";
  const Augmentation augmentation(before + " mixup(1)", data.facts(), kSeed);
  for (const std::int64_t row : all) {
    const Mix mix = augmentation.mix({data, none, RowSet::of(all), kEpoch}, row);
    const std::vector<float> mine = augmented(data, before, row),
                             other = augmented(data, before, mix.partner);
    const std::vector<float> found = augmented(data, before + " mixup(1)", row);
    for (std::size_t i = 0; i < found.size(); ++i)
      ASSERT_EQ(found[i], mix.share * mine[i] + (1 - mix.share) * other[i]) << row;
  }
}

TEST(Augmentation, DrawsAreTheSameHoweverRowsAreAskedFor) {
  for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{9, 7}, {6, 8, 3}}) {
    const Images data(shape, 24);
    const std::string text =
        "rotate(20) shift(1) flip scale(0.1) elastic(6, 2) erase(3) noise(0.1) mixup(0.4) noise(2)";
    const std::vector<float> whole = augmented(data, text, data.all());
    const auto width = static_cast<std::size_t>(data.facts().features);
    const std::vector<std::int64_t> all = data.all();
    for (const std::size_t piece : {1u, 5u, 23u})
      for (std::size_t begin = 0; begin < all.size(); begin += piece) {
        const auto count = std::min(piece, all.size() - begin);
        std::vector<float> part;
        std::thread([&] { part = augmented(data, text, std::span(all).subspan(begin, count)); }).join();
        ASSERT_TRUE(
            std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin * width)));
      }
    const std::vector<std::int64_t> twice = {17, 3, 17};
    const std::vector<float> again = augmented(data, text, twice);
    EXPECT_TRUE(std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(width),
                           whole.begin() + static_cast<std::ptrdiff_t>(17 * width)));
    EXPECT_TRUE(std::equal(again.begin(), again.begin() + static_cast<std::ptrdiff_t>(width),
                           again.end() - static_cast<std::ptrdiff_t>(width)));
    EXPECT_NE(augmented(data, text, all, kEpoch + 1), whole);
  }
}

TEST(Augmentation, EachOperationDrawsForItself) {
  const Images data({9, 9}, 50);
  int alike = 0;
  for (const std::int64_t row : data.all()) {
    RandomStream first = draws_of(row, 0), second = draws_of(row, 1);
    if (first.below(5) == second.below(5)) ++alike;
  }
  EXPECT_LT(alike, 30);
  // The second shift of a text is drawn at its place.
  compare(data, "flip(1) shift(2)", 0,
          [](const Picture& image, std::int64_t row, std::int64_t y, std::int64_t x, std::int64_t c) {
            RandomStream draws = draws_of(row, 1);
            const auto right = static_cast<std::int64_t>(draws.below(5)) - 2,
                       down = static_cast<std::int64_t>(draws.below(5)) - 2;
            return x - right < 0 ? 0.0 : image.at(y - down, image.width - 1 - (x - right), c);
          });
}

TEST(Augmentation, WhatAnAutoencoderGivesBackHasNoNoise) {
  const Images data({9, 7});
  const Scaling none = Scaling::none(63);
  const std::vector<std::int64_t> all = data.all();
  const Augmentation augmentation("shift(2) erase(3, 1) rotate(30) noise(1) mixup(1)", data.facts(), kSeed);
  std::vector<float> clean(data.values.size());
  augmentation.clean_inputs({data, none, RowSet::of(all), kEpoch}, all, clean.data());
  // The same places in the text, so the same draws.
  const std::vector<float> wanted = augmented(data, "shift(2) flip(1e-300) rotate(30)", all);
  EXPECT_EQ(clean, wanted);
}

TEST(Augmentation, NothingIsDoneWithoutAText) {
  const Images data({9, 7});
  EXPECT_EQ(augmented(data, "", data.all()), data.values);
  EXPECT_TRUE(Augmentation("", data.facts(), 1).is_empty());
  EXPECT_FALSE(Augmentation("flip", data.facts(), 1).is_empty());
  EXPECT_FALSE(Augmentation("flip", data.facts(), 1).mixes());
  const Scaling scaling("global", std::vector<double>(63, 100), std::vector<double>(63, 50));
  const std::vector<std::int64_t> all = data.all();
  std::vector<float> wanted(data.values.size()), found(data.values.size());
  data.gather_scaled(all, scaling, wanted.data());
  const AugmentationSource source{data, scaling, {}, kEpoch};
  Augmentation::none().inputs(source, all, found.data());
  EXPECT_EQ(found, wanted);
  found.assign(found.size(), 0);
  Augmentation::none().clean_inputs(source, all, found.data());
  EXPECT_EQ(found, wanted);
  EXPECT_TRUE(Augmentation::none().is_empty());
}

std::string refusal(const std::string& text, std::vector<std::int64_t> shape) {
  try {
    const Augmentation augmentation(text, Images(std::move(shape), 1).facts(), 1);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << text;
    EXPECT_NE(std::string(error.what()).find('^'), std::string::npos) << error.what();
    return error.what();
  }
  return "";
}

TEST(Augmentation, WrongTextsAreUsageErrorsWithACaret) {
  for (const char* text :
       {"shift",         "shift()",         "shift(0)", "shift(-1)", "shift(1.5)",  "shift(28)",
        "shift(2, 3)",   "shift(far=2)",    "flip(0)",  "flip(1.1)", "flip(nan)",   "rotate",
        "rotate(0)",     "rotate(181)",     "scale(1)", "scale(0)",  "elastic(8)",  "elastic(0, 1)",
        "elastic(1, 0)", "elastic(1e9, 1)", "erase(0)", "erase(57)", "erase(3, 2)", "noise",
        "noise(0)",      "noise(-1)",       "mixup",    "mixup(0)",  "mixup(inf)",  "mixup(1) mixup(1)",
        "turn(3)",       "shift(flip)",     "shift(2"})
    EXPECT_NE(refusal(text, {28, 28}), "") << text;
  EXPECT_EQ(refusal("shift(27) flip erase(56) noise(1) mixup(1) noise(1)", {28, 28}), "");
  EXPECT_NE(refusal("shitf(2)", {28, 28}).find("did you mean shift?"), std::string::npos);
  EXPECT_NE(refusal("blur(2)", {28, 28}).find("elastic"), std::string::npos);  // all names
  EXPECT_NE(refusal("noise(1) shift(2)", {28, 28}).find("before noise"), std::string::npos);
  EXPECT_NE(refusal("mixup(1) flip", {28, 28}).find("before noise and mixup"), std::string::npos);
}

TEST(Augmentation, RowsHaveALimit) {
  for (const std::string text : {"noise(1)", "shift(1)", "rotate(5)", "mixup(1)"}) {
    DataFacts facts;
    facts.name = "panorama";
    facts.feature_shape = {1, (1 << 24) + 1};
    facts.features = (1 << 24) + 1;
    try {
      const Augmentation augmentation(text, facts, 1);
      EXPECT_EQ(text, "mixup(1)");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(text, "mixup(1)");
      for (const char* part : {"16777216 values", "16777217", "panorama"})
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
    facts.feature_shape = {1, 1 << 24};
    facts.features = 1 << 24;
    if (text == "noise(1)") {
      EXPECT_FALSE(Augmentation(text, facts, 1).is_empty());
    }
  }
}

TEST(Augmentation, OperationsOnPixelsNeedImages) {
  for (const char* text : {"shift(1)", "flip", "rotate(5)", "scale(0.1)", "elastic(1, 1)", "erase(1)"}) {
    const std::string message = refusal(text, {11});
    EXPECT_NE(message.find("height x width"), std::string::npos) << message;
    EXPECT_NE(message.find("pictures are 11"), std::string::npos) << message;
    EXPECT_NE(refusal(text, {3, 32, 32}).find("3 x 32 x 32"), std::string::npos);  // channels first
    EXPECT_NE(refusal(text, {4, 4, 4, 4}), "");
    EXPECT_EQ(refusal(text, {32, 32, 3}), "");
  }
  EXPECT_EQ(refusal("noise(0.1) mixup(0.2)", {11}), "");
}

}  // namespace
}  // namespace trainer::data
