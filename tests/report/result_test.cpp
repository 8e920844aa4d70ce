#include "trainer/report/result.h"

#include <gtest/gtest.h>

#include <cmath>

namespace trainer::report {
namespace {

TEST(Json, Strings) {
  EXPECT_EQ(json_string("a\"b\\c\n\t\x01"), "\"a\\\"b\\\\c\\n\\t\\u0001\"");
  EXPECT_EQ(json_string("ü"), "\"ü\"");
}

TEST(Json, NumbersReadBackAndNanIsNull) {
  EXPECT_EQ(json_number(0.1), "0.1");
  EXPECT_EQ(json_number(1e300), "1e+300");
  EXPECT_EQ(json_number(std::nan("")), "null");
  EXPECT_EQ(json_number(-INFINITY), "null");
}

TEST(Json, ObjectsKeepTheirOrder) {
  JsonObject inner;
  inner.add("x", 1);
  JsonObject object;
  object.add("name", "run").add("done", true).add("step", std::int64_t{4700}).add("loss", 0.25);
  object.add("inner", inner)
      .add("list", std::vector<double>{1, 2.5})
      .add("words", std::vector<std::string>{"a", "b"});
  EXPECT_EQ(object.text(),
            "{\n  \"name\": \"run\",\n  \"done\": true,\n  \"step\": 4700,\n  \"loss\": 0.25,\n"
            "  \"inner\": {\n    \"x\": 1\n  },\n  \"list\": [1, 2.5],\n  \"words\": [\"a\", \"b\"]\n}");
  EXPECT_EQ(JsonObject().text(), "{}");
}

}  // namespace
}  // namespace trainer::report
