#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "trainer/core/grammar.h"
#include "trainer/core/random.h"

namespace trainer {
namespace {

TEST(ParseInteger, TakesWholeWordsOnly) {
  EXPECT_EQ(parse_integer("0"), 0);
  EXPECT_EQ(parse_integer("-17"), -17);
  EXPECT_EQ(parse_integer("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  for (const char* word :
       {"", " 1", "1 ", "+1", "1.0", "1e3", "0x10", "9223372036854775808", "-", "1,", "one"}) {
    EXPECT_FALSE(parse_integer(word).has_value()) << word;
  }
}

TEST(ParseNumber, TakesFiniteWholeWordsOnly) {
  EXPECT_EQ(parse_number("0.1"), 0.1);
  EXPECT_EQ(parse_number("-1e-3"), -1e-3);
  EXPECT_EQ(parse_number(".5"), 0.5);
  EXPECT_EQ(parse_number("500"), 500.0);
  for (const char* word : {"", "nan", "NaN", "-nan", "inf", "-inf", "infinity", "1e999", "0x1p3", "1.5 ",
                           "+1", "1.2.3", "1e", "--1"}) {
    EXPECT_FALSE(parse_number(word).has_value()) << word;
  }
}

TEST(ParseBoolean, KnowsEightWords) {
  for (const char* word : {"true", "yes", "on", "1"}) EXPECT_EQ(parse_boolean(word), true) << word;
  for (const char* word : {"false", "no", "off", "0"}) EXPECT_EQ(parse_boolean(word), false) << word;
  for (const char* word : {"", "True", "2", "tru", "true "})
    EXPECT_FALSE(parse_boolean(word).has_value()) << word;
}

TEST(FormatNumber, IsTheShortest) {
  EXPECT_EQ(format_number(0.1), "0.1");
  EXPECT_EQ(format_number(0.1F), "0.1");
  EXPECT_EQ(format_number(1.0), "1");
  EXPECT_EQ(format_number(-0.0), "-0");
  EXPECT_EQ(format_number(0.9071), "0.9071");
  EXPECT_EQ(format_number(1e-5), "1e-05");
  EXPECT_EQ(format_number(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(format_number(-std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(format_number(-std::numeric_limits<float>::quiet_NaN()), "nan");
  EXPECT_EQ(format_number(-std::numeric_limits<double>::infinity()), "-inf");
  EXPECT_EQ(format_number(std::numeric_limits<float>::infinity()), "inf");
}

TEST(FormatNumber, ReadsBackExactly) {
  RandomStream stream(RandomKey(1, Purpose::self_test), 0);
  for (int i = 0; i < 50000; ++i) {
    const auto value = std::bit_cast<double>(stream.next_word64());
    const auto single = std::bit_cast<float>(stream.next_word());
    if (std::isfinite(value)) {
      ASSERT_EQ(std::strtod(format_number(value).c_str(), nullptr), value);
      ASSERT_EQ(parse_number(format_number(value)), value);
    }
    if (std::isfinite(single)) {
      ASSERT_EQ(std::strtof(format_number(single).c_str(), nullptr), single);
    }
  }
}

TEST(NearestName, FindsTypingErrors) {
  const std::vector<std::string> names{"dense", "dropout", "batch_norm", "relu", "gelu"};
  EXPECT_EQ(nearest_name("dens", names), "dense");
  EXPECT_EQ(nearest_name("dnese", names), "dense");
  EXPECT_EQ(nearest_name("batchnorm", names), "batch_norm");
  EXPECT_EQ(nearest_name("drop_out", names), "dropout");
  EXPECT_EQ(nearest_name("relu", names), "relu");
  EXPECT_EQ(nearest_name("rel", names), "relu");
}

TEST(NearestName, IsEmptyWhenNothingIsNear) {
  const std::vector<std::string> names{"dense", "dropout"};
  EXPECT_EQ(nearest_name("convolution", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name("dense", {}), "");
  EXPECT_EQ(nearest_name(std::string(60000, 'd'), names), "");
}

TEST(NearestName, AllowsOneErrorAndAThirdOfTheLength) {
  EXPECT_EQ(nearest_name("ab", {"xb"}), "xb");
  EXPECT_EQ(nearest_name("ab", {"ba"}), "ba") << "a swap is one error";
  EXPECT_EQ(nearest_name("ab", {"xy"}), "");
  EXPECT_EQ(nearest_name("abcdef", {"xyzdef"}), "xyzdef");
  EXPECT_EQ(nearest_name("abcdef", {"xyzwef"}), "");
}

}  // namespace
}  // namespace trainer
