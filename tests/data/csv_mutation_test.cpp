// Files with damage of every kind, always the same: each is read or refused with an Error, in pieces as a
// whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "csv_encoding.h"
#include "csv_harness.h"
#include "trainer/core/random.h"

namespace trainer::data {
namespace {

class CsvDamage {
 public:
  explicit CsvDamage(std::uint64_t seed) : random_(RandomKey(seed, Purpose::self_test), 0) {}

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_.below(n)); }

  std::string damaged(std::string bytes) {
    for (std::size_t left = 1 + below(4); left > 0 && !bytes.empty(); --left) damage(bytes);
    return bytes;
  }

 private:
  void damage(std::string& bytes) {
    static constexpr std::string_view kTokens[] = {"\"",  "\"\"",         ",", ";",   "\n",   "\r\n", "\r",
                                                   "nan", "1e999",        "-", "inf", " ",    "\t",   "|",
                                                   "0x1", "\xef\xbb\xbf", "x", "1",   "\n\n", ",,"};
    const std::size_t at = below(bytes.size());
    const std::size_t some = 1 + below(std::min<std::size_t>(bytes.size() - at, 40));
    switch (below(8)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random_.next_word());
        break;
      case 2:
        bytes.erase(at, some);
        break;
      case 3:
        bytes.insert(at, bytes.substr(below(bytes.size()), some));
        break;
      case 4:
        bytes.resize(at);
        break;
      case 5:
        bytes.insert(at, some, bytes[at]);
        break;
      default:
        bytes.insert(at, kTokens[below(std::size(kTokens))]);
        break;
    }
  }

  RandomStream random_;
};

class CsvMutationTest : public CsvTest {
 protected:
  /// What reading gives: content, or the message of the Error.
  std::pair<std::optional<CsvContent>, std::string> outcome(const std::string& path, const Asked& asked,
                                                            std::int64_t piece_bytes) {
    try {
      return {content({path}, asked, piece_bytes), ""};
    } catch (const Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::data || error.kind() == ErrorKind::usage) << error.what();
      return {std::nullopt, error.what()};
    }
  }
};

const std::string kOriginals[] = {
    "width,color,kind\n1.5,red,b\n2,blue,a\n-3e1,red,b\n0.25,\"a, \"\"b\"\"\",c\n7,green,a\n",
    "1 2 3 0\n4 5 6 1\n7 8 9 2\n1 1 1 0\n",
    "\xef\xbb\xbf\"a\nb\";y\r\n\"u\n\";x\r\n\r\n\"v,\"\"\";\"y\nz\"\r\nw;x",
    "a\tb\ty\n1\t2\t0.5\n\t3\t0.25\nnan\t4\t1\n5\t6\t7\n"};

TEST_F(CsvMutationTest, EveryDamagedFileIsReadOrRefused) {
  constexpr int kMutants = 2'000;
  CsvDamage damage(1);
  int read = 0;
  for (int tried = 0; tried < kMutants; ++tried) {
    const std::string bytes = damage.damaged(kOriginals[damage.below(std::size(kOriginals))]);
    const std::string path = write(bytes);
    const Asked asked{.task = damage.below(2) == 0 ? "" : "autoencoder",
                      .missing = damage.below(2) == 0 ? "error" : "drop"};
    const auto whole = outcome(path, asked, kPiece);
    const auto cut = outcome(path, asked, 1 + static_cast<std::int64_t>(damage.below(20)));
    ASSERT_EQ(whole.second, cut.second) << "mutant " << tried << ":\n" << bytes;
    ASSERT_EQ(whole.first.has_value(), cut.first.has_value());
    if (!whole.first) continue;
    ++read;
    ASSERT_TRUE(*whole.first == *cut.first) << "mutant " << tried << ":\n" << bytes;
    for (const float value : whole.first->inputs) ASSERT_TRUE(std::isfinite(value)) << bytes;
    // What was read once gives the same inputs by its encoding.
    const auto again = outcome(
        path, {.missing = asked.missing, .encoding = whole.first->facts.encoding, .without_targets = true},
        kPiece);
    if (asked.missing == "error") {
      ASSERT_TRUE(again.first.has_value()) << again.second << "\n" << bytes;
      ASSERT_EQ(again.first->inputs, whole.first->inputs) << bytes;
    }
  }
  EXPECT_GT(read, kMutants / 10);
  EXPECT_LT(read, kMutants * 9 / 10);
  std::printf("%d of %d damaged files read, the others refused\n", read, kMutants);
}

TEST_F(CsvMutationTest, EveryDamagedEncodingIsReadOrRefused) {
  const std::string good = content_of(kOriginals[0]).facts.encoding;
  CsvDamage damage(2);
  for (int tried = 0; tried < 20'000; ++tried) {
    try {
      const CsvEncoding read = csv_encoding_of(damage.damaged(good));
      ASSERT_EQ(text_of(csv_encoding_of(text_of(read))), text_of(read));
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::data) << error.what();
    }
  }
  // A file may be read by any of them, or refused.
  const std::string path = write(kOriginals[0]);
  for (int tried = 0; tried < 500; ++tried) outcome(path, {.encoding = damage.damaged(good)}, kPiece);
}

TEST_F(CsvMutationTest, ChangesBetweenPlanAndReadAreErrorsOrHarmless) {
  CsvDamage damage(3);
  for (int tried = 0; tried < 300; ++tried) {
    const std::string& good = kOriginals[damage.below(std::size(kOriginals))];
    const std::string path = write(good);
    Plan plan = csv_plan_in_pieces({path}, Asked{.missing = "drop"}.request(), share_here, 16);
    const Source& source = plan.splits.front();
    std::string other = damage.damaged(good);
    other.resize(good.size(), '\n');  // of the same size
    write(other);
    CsvContent out;
    try {
      read(source, {0, source.facts.rows}, out);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::data) << error.what();
    }
  }
}

}  // namespace
}  // namespace trainer::data
