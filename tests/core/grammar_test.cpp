#include "trainer/core/grammar.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "trainer/core/random.h"

namespace trainer {
namespace {

/// The parsed text written out again, in one canonical way.
std::string written(const std::vector<Term>& sequence) {
  std::string result;
  for (const Term& term : sequence) {
    result += (result.empty() ? "" : " ") + term.name;
    if (!term.has_parentheses) continue;
    std::string arguments;
    for (const Argument& argument : term.arguments) {
      arguments += (arguments.empty() ? "" : ", ") + (argument.key.empty() ? "" : argument.key + "=");
      arguments += written(argument.sequence);
    }
    result += "(" + arguments + ")";
  }
  return result;
}

std::string round_trip(const std::string& source) {
  return written(ParsedText("--model", source).sequence());
}

std::string message_of(const std::string& source) {
  try {
    const ParsedText parsed("--model", source);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "no error";
}

TEST(ParsedText, ReadsSequencesAndArguments) {
  const ParsedText text("--model", "dense(512, bias=false) relu  dropout( 0.2 )");
  const std::vector<Term>& terms = text.sequence();
  ASSERT_EQ(terms.size(), 3U);
  EXPECT_EQ(terms[0].name, "dense");
  EXPECT_TRUE(terms[0].has_parentheses);
  ASSERT_EQ(terms[0].arguments.size(), 2U);
  EXPECT_EQ(terms[0].arguments[0].key, "");
  EXPECT_EQ(terms[0].arguments[0].sequence[0].name, "512");
  EXPECT_EQ(terms[0].arguments[0].offset, 6U);
  EXPECT_EQ(terms[0].arguments[1].key, "bias");
  EXPECT_EQ(terms[0].arguments[1].sequence[0].name, "false");
  EXPECT_EQ(terms[0].arguments[1].offset, 11U);
  EXPECT_EQ(terms[0].arguments[1].sequence[0].offset, 16U);
  EXPECT_EQ(terms[1].name, "relu");
  EXPECT_FALSE(terms[1].has_parentheses);
  EXPECT_EQ(terms[1].offset, 23U);
  EXPECT_EQ(terms[2].arguments[0].sequence[0].name, "0.2");
}

TEST(ParsedText, KeepsWhatTheOptionsNeed) {
  for (const char* source :
       {"relu", "relu()", "500 steps", "step(every=500 steps, factor=0.1)", "512-512", "table(xor|and|or)",
        "residual(dense(64) relu dense(64), projection=auto)", "repeat(3, dense(64, init=normal(0.1)) relu)",
        "val_loss(patience=5, min_delta=0)", "tail(0.1)", "-1e-3", "groups(/data/site)", "32..8192",
        "adam(beta1=0.9)"}) {
    EXPECT_EQ(round_trip(source), source);
  }
}

TEST(ParsedText, WhiteSpaceMeansNothing) {
  EXPECT_EQ(round_trip("\n\tdense (\n 512 ,bias = true )relu\t"), "dense(512, bias=true) relu");
}

TEST(ParsedText, ErrorsShowTheTextWithACaret) {
  EXPECT_EQ(message_of("dense(512) dens(10))"),
            "--model: expected a name or the end of the text, found \")\"\n"
            "  dense(512) dens(10))\n"
            "                     ^");
  EXPECT_EQ(message_of("dense(512 relu"),
            "--model: this \"(\" is never closed; expected \",\" or \")\"\n"
            "  dense(512 relu\n"
            "       ^");
  EXPECT_EQ(message_of("adam(0.1,,)"), "--model: expected a value, found \",\"\n  adam(0.1,,)\n           ^");
  EXPECT_EQ(message_of("adam(beta1=)"),
            "--model: expected a value, found \")\"\n  adam(beta1=)\n             ^");
  EXPECT_EQ(message_of("adam(beta1="),
            "--model: expected a value, found the end of the text\n  adam(beta1=\n             ^");
  EXPECT_EQ(message_of("a(b=c=d)"), "--model: expected \",\" or \")\", found \"=\"\n  a(b=c=d)\n       ^");
  EXPECT_EQ(message_of("lr=0.1"),
            "--model: expected a name or the end of the text, found \"=\"\n  lr=0.1\n    ^");
  EXPECT_EQ(message_of(""), "--model: the text is empty; expected a name");
  EXPECT_EQ(message_of("(a)"), "--model: expected a name or the end of the text, found \"(\"\n  (a)\n  ^");
}

TEST(ParsedText, FailAtIsForCallersToo) {
  const ParsedText text("--model", "dense(512) dens(10)");
  try {
    text.fail_at(text.sequence()[1].offset, "unknown layer \"dens\"; did you mean dense?");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "--model: unknown layer \"dens\"; did you mean dense?\n"
                 "  dense(512) dens(10)\n"
                 "             ^");
  }
  EXPECT_THROW(text.fail_at(1000, "beyond the end"), Error);
}

TEST(ParsedText, LongTextsShowAWindow) {
  std::string source;
  for (int i = 0; i < 2000; ++i) source += "relu ";
  source[5000] = ')';
  const std::string message = message_of(source);
  const std::string shown = message.substr(message.find("\n  ") + 3);
  const std::string text_line = shown.substr(0, shown.find('\n'));
  EXPECT_LE(text_line.size(), 110U);
  EXPECT_TRUE(text_line.starts_with("... ")) << text_line;
  EXPECT_TRUE(text_line.ends_with(" ...")) << text_line;
  const std::string caret_line = shown.substr(shown.find('\n') + 3);
  EXPECT_EQ(text_line[caret_line.find('^')], ')');
}

TEST(ParsedText, CaretCountsCharactersNotBytes) {
  EXPECT_EQ(message_of("gr\u00f6\u00dfe )"),
            "--model: expected a name or the end of the text, found \")\"\n"
            "  gr\u00f6\u00dfe )\n"
            "        ^");
}

TEST(ParsedText, MessagesDoNotDriveTheTerminal) {
  EXPECT_EQ(message_of("a\x1b[31m \xc2\x9b \xff )"),
            "--model: expected a name or the end of the text, found \")\"\n"
            "  a [31m   ? )\n"
            "             ^");
  const ParsedText text("--model", "a");
  try {
    text.fail_at(0, "bad \x1b[2J\nword");
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "--model: bad  [2J word\n  a\n  ^");
  }
}

std::string nested(int depth) {
  std::string result;
  for (int i = 0; i < depth; ++i) result += "a(";
  return result + "b" + std::string(static_cast<std::size_t>(depth), ')');
}

TEST(ParsedText, LimitsDepthAndLength) {
  EXPECT_EQ(round_trip(nested(32)), nested(32));
  EXPECT_NE(message_of(nested(33)).find("nested deeper than 32"), std::string::npos);
  EXPECT_NE(message_of(nested(20000)).find("nested deeper than 32"), std::string::npos);
  EXPECT_EQ(message_of(std::string(65536, 'a')), "no error");
  EXPECT_NE(message_of(std::string(65537, 'a')).find("65537 bytes"), std::string::npos);
}

/// An error message is one line, the text, and a caret under it; nothing in it drives a terminal.
void expect_well_formed(const std::string& message, const std::string& source) {
  const auto lines = std::ranges::count(message, '\n');
  ASSERT_TRUE(lines == 2 || lines == 0) << message;
  const auto is_control = [](char c) { return (c >= 0 && c < 0x20 && c != '\n') || c == 0x7f; };
  ASSERT_TRUE(std::ranges::none_of(message, is_control)) << message;
  ASSERT_LT(message.size(), 2000U) << source.size();
  if (lines == 2) {
    ASSERT_EQ(message.back(), '^') << message;
  }
}

TEST(ParsedText, SurvivesRandomMutations) {
  const std::vector<std::string> seeds{
      "dense(512) batch_norm relu dropout(0.2) dense(outputs)",
      "repeat(3, residual(dense(64, init=normal(0.1)) relu, projection=auto)) dense(10)",
      "adam(beta1=0.9, beta2=0.999, epsilon=1e-8)", "step(every=500 steps, factor=0.1)"};
  const std::string alphabet("(),= \t\n\x00\x1b\xc3\xa9\xff.-10az", 18);
  RandomStream random(RandomKey(1, Purpose::self_test), 0);
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string source = seeds[random.below(seeds.size())];
    const std::uint64_t changes = 1 + random.below(6);
    for (std::uint64_t i = 0; i < changes && !source.empty(); ++i) {
      const std::size_t place = random.below(source.size());
      const char character = alphabet[random.below(alphabet.size())];
      switch (random.below(4)) {
        case 0:
          source[place] = character;
          break;
        case 1:
          source.insert(place, 1, character);
          break;
        case 2:
          source.erase(place, 1 + random.below(8));
          break;
        default:
          source.insert(place, source.substr(random.below(source.size()), 40));
          break;
      }
    }
    try {
      const ParsedText parsed("--model", source);
      const std::string canonical = written(parsed.sequence());
      ASSERT_EQ(round_trip(canonical), canonical);
      ++accepted;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::usage);
      expect_well_formed(error.what(), source);
      ++refused;
    }
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace trainer
