#include "hdf5_selection.h"

#include <gtest/gtest.h>

#include "trainer/core/error.h"

namespace trainer::data {
namespace {

std::string usage_error(const std::string& text) {
  try {
    parse_hdf5_selections("--inputs", text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  ADD_FAILURE() << "'" << text << "' was taken";
  return "";
}

TEST(Hdf5Selection, ReadsPathsAndSlices) {
  const auto found = parse_hdf5_selections("--inputs", " T ,/a b/Q[ : , 2 : -1 : 3, -4,:: ], g/t:m");
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].path, "/T");
  EXPECT_EQ(found[0].written, "T");
  EXPECT_TRUE(found[0].slices.empty());
  EXPECT_EQ(found[1].path, "/a b/Q");
  ASSERT_EQ(found[1].slices.size(), 4U);
  EXPECT_TRUE(found[1].slices[0].is_all());
  EXPECT_EQ(found[1].slices[1].begin, 2);
  EXPECT_EQ(found[1].slices[1].end, -1);
  EXPECT_EQ(found[1].slices[1].step, 3);
  EXPECT_TRUE(found[1].slices[2].is_index);
  EXPECT_EQ(found[1].slices[2].begin, -4);
  EXPECT_TRUE(found[1].slices[3].is_all());
  EXPECT_EQ(found[2].path, "/g/t:m");
}

TEST(Hdf5Selection, PointsAtWhatItCannotRead) {
  EXPECT_EQ(usage_error("T, Q[:,0:x]"),
            "--inputs: expected \":\", \",\" or \"]\", found \"x\"\n  T, Q[:,0:x]\n           ^");
  EXPECT_NE(usage_error("Q[:,0:4").find("never closed"), std::string::npos);
  for (const char* text :
       {"", ",", "T,", "T,,Q", "[:]", "T[]", "T[:] x", "T]", "T[0:1:0]", "T[0:1:-1]", "T[--1]",
        "T[:,99999999999999999999]", "T[::::]", "T[1.5]", "T[:", "T\n", "T[:\x01]", "T[-]"})
    EXPECT_NE(usage_error(text).find('^'), std::string::npos) << text;
  EXPECT_LT(usage_error(std::string(100'000, '[')).size(), 500U);
  EXPECT_LT(usage_error(std::string(60'000, 'x') + "[").size(), 500U);
  EXPECT_LT(usage_error("x" + std::string(60'000, '[')).size(), 500U);
  std::string axes = "T[:";
  for (int i = 0; i < 40; ++i) axes += ",:";
  EXPECT_NE(usage_error(axes + "]").find("32 axes"), std::string::npos);
}

TEST(Hdf5Selection, ReadsRowAxes) {
  EXPECT_EQ(parse_row_axes("0"), (std::vector<std::int64_t>{0}));
  EXPECT_EQ(parse_row_axes(" 0 , -2"), (std::vector<std::int64_t>{0, -2}));
  for (const char* text : {"", "x", "0,", "0 1", "1.5", "-", "99999999999999999999"})
    EXPECT_THROW(parse_row_axes(text), Error) << text;
}

}  // namespace
}  // namespace trainer::data
