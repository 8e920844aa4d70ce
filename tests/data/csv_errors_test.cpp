// What a colleague in a hurry hands over, and what is said of it.
#include <gtest/gtest.h>

#include <filesystem>

#include "csv.h"
#include "csv_harness.h"

namespace trainer::data {
namespace {

TEST_F(CsvTest, SaysWhatIsWrongAndWhere) {
  struct Case {
    std::string bytes;
    std::vector<std::string> says;
  };
  const std::string nul("1,2,0\n3,\0,1\n", 12);
  const std::string utf16(
      "\xff\xfe"
      "1\0,\0"
      "2\0\n\0",
      10);
  const std::vector<Case> cases{
      {"", {"is empty"}},
      {"\n \n\r\n", {"is empty"}},
      {"a,b,c\n", {"holds no row of data, only a header"}},
      {"a,b\n1,2\n1,2,3\n", {": line 3: has 3 fields where the first line has 2", "separator ','"}},
      {"a,b\n1,2\n1\n", {": line 3: has 1 field where the first line has 2"}},
      {"1 2 3\n1 2\n1 2 3\n", {": line 2: has 2 fields", "blanks"}},
      {"# a b c\n1 2 3\n1 2 4\n", {": line 2: has 3 fields where the first line has 4"}},
      {"a,b\n1,2\n# note\n", {": line 3: has 1 field", "comments are not supported"}},
      {"a,b\n1,\"2\n3,4\n", {": line 2: a quote is opened here and not closed"}},
      {"a,b\n1,\"2\"x\n3,4\n", {": line 2, column 2: a quote is out of place", "doubled"}},
      {"a,b\n1,2\"\n3,\"4\n", {": line 2, column 2: a quote is out of place"}},
      {nul, {": line 2: holds a byte 0", "UTF-8"}},
      {utf16, {": line 1: holds a byte 0", "UTF-16"}},
      {"a,b,a\n1,2,3\n", {": line 1: columns 1 and 3 are both called 'a'"}},
      {"a,b\n1,0\n1e39,1\n", {": line 3, column 1 ('a'): '1e39' is beyond f32", "3.4e38"}},
      {"a,b\n1,0\n-inf,1\n", {": line 3, column 1 ('a'): '-inf' is not finite"}},
      {"1,0\n0x1F,1\n", {": line 2, column 1: '0x1F' is no number", "('1' in line 1)"}},
      {"1,0\n2 m,1\n", {": line 2, column 1: '2 m' is no number"}},
      {"x,y\n1,0\nn.a.,1\n", {": line 3, column 1 ('x'): 'n.a.' is no number", "empty"}},
      {"x,y\nred,0\n7,1\n", {": line 3, column 1 ('x'): '7' is a number", "('red' in line 2)"}},
      {"x,y\nred,0\n,1\n", {": line 3, column 1 ('x'): has no value", "--missing drop"}},
      {"x,y\nred,0\n nan ,1\n", {": line 3, column 1 ('x'): has no value"}},
      {"x;y\n1,5;0\n2,5;1\n", {": line 2, column 1 ('x'): '1,5' has a comma among its digits"}},
      {"x,y\n\"1,234\",0\n5,1\n", {": line 2, column 1 ('x'): '1,234' has a comma"}},
      {"1\t2\n\t\n3\t4\n", {": line 2, column 1: has no value"}},
      {"1\n2\n", {"has no column left for the inputs", "1 column in all"}},
      {"one line of text\n", {"holds no row of data, only a header"}},
      {"\x1b[31m,0\n\x07,1\n,1\n", {": line 3, column 1: has no value"}},
      {"1,0\n\x1b[31m\x7f,1\n", {"'\\x1b[31m\\x7f' is no number"}},
      {"1,0\n" + std::string(100, 'z') + ",1\n", {"'" + std::string(40, 'z') + "...' is no number"}},
  };
  for (const Case& bad : cases) {
    const std::string message = error_of(bad.bytes);
    expect_says(message, bad.says);
    expect_says(message, {folder_.path()});
  }
}

TEST_F(CsvTest, CountsLinesInQuotedFields) {
  expect_says(error_of("a,b\n\"x\n\n\",0\ny,1\nz,0,\n"), {": line 6: has 3 fields"});
}

TEST_F(CsvTest, RefusesTooMuch) {
  std::string categories = "c,y\n";
  for (int i = 0; i <= 1000; ++i) categories += "v" + std::to_string(i) + ",0\n";
  expect_says(error_of(categories),
              {"column 1 ('c') holds text ('v0' in line 2) of more than 1000 categories"});
  expect_says(error_of(categories, {}, ErrorKind::data, 100), {"more than 1000 categories"});
  const std::string most = categories.substr(0, categories.find("v1000"));
  EXPECT_EQ(content_of(most + most.substr(most.find("v0"))).facts.features, 1000);
  std::string wide(2'000'003, ',');
  wide.back() = '\n';
  expect_says(error_of(wide + wide), {"line 1", "1,000,000 columns"});
  std::string row(400'000, ',');
  for (std::size_t i = 0; i < row.size(); i += 2) row[i] = '1';
  row.back() = '\n';
  EXPECT_EQ(content_of(row + row, {.task = "autoencoder"}).facts.features, 200'000);
  const std::string endless(std::size_t{65} << 20, '1');
  expect_says(error_of("1,2\n" + endless), {": line 2: a row is longer than 64 MiB"});
  expect_says(error_of("1,\"2\n" + endless),
              {": line 1: a row is longer than 64 MiB (are its quotes closed?)"});
}

TEST_F(CsvTest, RefusesWhatIsNoFile) {
  for (const std::string& path : {folder_.path(), folder_.file("absent.csv"), std::string("/dev/zero")}) {
    try {
      csv_plan({path}, {}, share_here);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      expect_says(error.what(), {path});
    }
  }
  const std::string good = write("1,0\n2,1\n", "good.csv");
  const std::string empty = write("", "empty.csv");
  try {
    csv_plan({good, empty}, {}, share_here);
    ADD_FAILURE();
  } catch (const Error& error) {
    expect_says(error.what(), {"empty.csv: is empty"});
  }
}

}  // namespace
}  // namespace trainer::data
