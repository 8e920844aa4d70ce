#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "trainer/core/grammar.h"

namespace trainer {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Reads the first term of `source` with `read`, then finish(); the message of the error, or "".
std::string error_of(const std::string& source, const std::function<void(ArgumentReader&)>& read) {
  const ParsedText text("--x", source);
  ArgumentReader reader(text, text.sequence().front());
  try {
    read(reader);
    reader.finish();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

void read_dense(ArgumentReader& reader) {
  EXPECT_EQ(reader.integer("units", 1, 1000), 512);
  EXPECT_FALSE(reader.boolean("bias", true));
  EXPECT_EQ(reader.number("scale", 0, 1, 0.25), 0.25);
}

TEST(ArgumentReader, TakesPositionsAndKeysInAnyMixture) {
  for (const char* source :
       {"dense(512, false)", "dense(512, bias=no)", "dense(bias=off, units=512)", "dense(bias=0, 512)",
        "dense(512, false, 0.25)", "dense(scale=0.25, 512, false)"}) {
    EXPECT_EQ(error_of(source, read_dense), "") << source;
  }
}

TEST(ArgumentReader, MissingArgument) {
  EXPECT_EQ(error_of("relu dense()", [](ArgumentReader&) {}), "");
  EXPECT_EQ(error_of("dense", [](ArgumentReader& reader) { reader.integer("units", 1, 9); }),
            "--x: \"dense\" needs units: a whole number in [1, 9]\n  dense\n  ^");
  EXPECT_EQ(
      error_of("dense()", [](ArgumentReader& reader) { EXPECT_EQ(reader.integer("units", 1, 9, 4), 4); }),
      "");
}

TEST(ArgumentReader, IntegersAreChecked) {
  const auto read = [](ArgumentReader& reader) { reader.integer("units", 1, 9); };
  for (const char* value : {"0", "10", "-1", "1.0", "x", "1e1", "99999999999999999999", "3(1)", "3()"}) {
    const std::string message = error_of("dense(" + std::string(value) + ")", read);
    EXPECT_TRUE(message.starts_with("--x: units of \"dense\" must be a whole number in [1, 9], found \""))
        << message;
    EXPECT_TRUE(message.ends_with("\n        ^")) << message;
  }
  EXPECT_EQ(error_of("dense(units=4 rows)", read),
            "--x: units of \"dense\" takes one value, found 2\n  dense(units=4 rows)\n                ^");
}

TEST(ArgumentReader, NumbersAreChecked) {
  const auto half_open = [](ArgumentReader& reader) {
    reader.number("rate", 0, 1, std::nullopt, false, true);
  };
  EXPECT_EQ(error_of("dropout(0)", half_open), "");
  EXPECT_EQ(error_of("dropout(1)", half_open),
            "--x: rate of \"dropout\" must be a number in [0, 1), found \"1\"\n  dropout(1)\n          ^");
  const auto positive = [](ArgumentReader& reader) { reader.number("rate", 0, kInfinity, 1.0, true); };
  EXPECT_EQ(error_of("x(1e300)", positive), "");
  for (const char* value : {"0", "-1", "nan", "inf", "1e999", "one"}) {
    const std::string message = error_of("x(" + std::string(value) + ")", positive);
    EXPECT_TRUE(message.starts_with("--x: rate of \"x\" must be a number > 0, found \"")) << message;
  }
}

TEST(ArgumentReader, WordsAreChosenFromAList) {
  const auto read = [](ArgumentReader& reader) { reader.word("statistics", {"global", "shard"}, "global"); };
  EXPECT_EQ(error_of("batch_norm", read), "");
  EXPECT_EQ(error_of("batch_norm(shard)", read), "");
  EXPECT_EQ(error_of("batch_norm(statistics=globl)", read),
            "--x: statistics of \"batch_norm\" must be one of global, shard, found \"globl\"; did you mean "
            "global?\n"
            "  batch_norm(statistics=globl)\n"
            "                        ^");
}

TEST(ArgumentReader, TermsMayHaveArguments) {
  EXPECT_EQ(error_of("dense(init=normal(0.5))",
                     [](ArgumentReader& reader) {
                       const Term* init = reader.term("init");
                       ASSERT_NE(init, nullptr);
                       EXPECT_EQ(init->name, "normal");
                       EXPECT_EQ(init->arguments.front().sequence.front().name, "0.5");
                       EXPECT_EQ(reader.term("other"), nullptr);
                     }),
            "");
}

TEST(ArgumentReader, ValuesMayHaveSeveralWords) {
  const auto read = [](ArgumentReader& reader) {
    const std::span<const Term> every = reader.sequence("every");
    ASSERT_EQ(every.size(), 2U);
    EXPECT_EQ(every[0].name + " " + every[1].name, "2 epochs");
    EXPECT_EQ(reader.number("factor", 0, 1), 0.5);
    EXPECT_TRUE(reader.sequence("other").empty());
  };
  for (const char* source :
       {"step(2 epochs, 0.5)", "step(every=2 epochs, factor=0.5)", "step(factor=0.5, 2 epochs)"}) {
    EXPECT_EQ(error_of(source, read), "") << source;
  }
}

TEST(ArgumentReader, NestedSequencesJoinThePositionsLeft) {
  const auto names = [](const std::vector<Term>& terms) {
    std::string result;
    for (const Term& term : terms) result += term.name + " ";
    return result;
  };
  EXPECT_EQ(error_of("repeat(3, dense(2) relu, projection=auto, tanh)",
                     [&](ArgumentReader& reader) {
                       EXPECT_EQ(reader.integer("times", 1, 100), 3);
                       EXPECT_EQ(names(reader.nested_sequence()), "dense relu tanh ");
                       EXPECT_EQ(reader.word("projection", {"auto"}), "auto");
                     }),
            "");
  EXPECT_EQ(error_of("residual()", [](ArgumentReader& reader) { reader.nested_sequence(); }),
            "--x: \"residual\" needs a sequence between its parentheses\n  residual()\n  ^");
}

TEST(ArgumentReader, UnaskedArgumentsAreRefused) {
  const auto read = [](ArgumentReader& reader) {
    reader.integer("units", 1, 1000, 1);
    reader.boolean("bias", true);
  };
  EXPECT_EQ(error_of("dense(1, true, 3)", read),
            "--x: too many arguments: \"dense\" takes units, bias\n  dense(1, true, 3)\n                 ^");
  EXPECT_EQ(error_of("dense(1, bais=true)", read),
            "--x: \"dense\" has no argument \"bais\"; it takes units, bias; did you mean bias?\n"
            "  dense(1, bais=true)\n"
            "           ^");
  EXPECT_EQ(error_of("relu(1)", [](ArgumentReader&) {}),
            "--x: too many arguments: \"relu\" takes no arguments\n  relu(1)\n       ^");
  EXPECT_EQ(error_of("dense(units=1, units=2)", read),
            "--x: units is given twice\n  dense(units=1, units=2)\n                 ^");
}

TEST(ArgumentReader, LongWordsAreShortened) {
  const std::string message = error_of("dense(" + std::string(50000, 'x') + ")",
                                       [](ArgumentReader& reader) { reader.integer("units", 1, 9); });
  EXPECT_LT(message.size(), 500U);
}

}  // namespace
}  // namespace trainer
