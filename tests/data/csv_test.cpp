#include "csv.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>

#include "csv_encoding.h"
#include "csv_field.h"
#include "csv_harness.h"
#include "csv_rows.h"
#include "idx_writer.h"

namespace trainer::data {
namespace {

TEST(CsvName, IsOfATable) {
  for (const char* name : {"a.csv", "b/c.tsv", "x.txt", "x.dat", "x.csv.gz"})
    EXPECT_TRUE(is_csv(name)) << name;
  for (const char* name : {"a.h5", "csv", "a.csv.zip", "a.gz"}) EXPECT_FALSE(is_csv(name)) << name;
}

TEST(CsvField, IsANumberATextOrMissing) {
  const auto value = [](const char* text) {
    const Field field = parse_field(text);
    EXPECT_EQ(field.kind, FieldKind::number) << text;
    return field.value;
  };
  EXPECT_EQ(value("1"), 1);
  EXPECT_EQ(value(" +1.5\t"), 1.5);
  EXPECT_EQ(value("-.5e1"), -5);
  EXPECT_EQ(value("1e5"), 1e5);
  EXPECT_EQ(value("3.4028234e38"), 3.4028234e38);
  EXPECT_EQ(value("1e-400"), 0);
  EXPECT_EQ(value("1e-99999999999"), 0);
  for (const char* text : {"", " ", "\t", "nan", "NaN", "-nan", " +NAN ", "NA", " N/A", "n/a", "<NA>", "#N/A",
                           "NULL", "null", "None", "-1.#IND", "1.#QNAN"}) {
    EXPECT_EQ(parse_field(text).kind, FieldKind::missing) << text;
    EXPECT_TRUE(is_missing(text)) << text;
  }
  for (const char* text : {"inf", "-Infinity", "+inf"})
    EXPECT_EQ(parse_field(text).kind, FieldKind::infinite) << text;
  for (const char* text : {"1e39", "-1e400", "1e99999"})
    EXPECT_EQ(parse_field(text).kind, FieldKind::beyond) << text;
  for (const char* text : {"0x10", "1x", "1 2", "++1", "+-1", "-", "1,5", "e5", "name", "1d5", "none", "Na",
                           "NAN1", "NA 1", "nil"}) {
    EXPECT_EQ(parse_field(text).kind, FieldKind::text) << text;
    EXPECT_FALSE(is_missing(text)) << text;
  }
  EXPECT_TRUE(parse_field("-12").whole);
  EXPECT_FALSE(parse_field("12.0").whole);
  EXPECT_FALSE(parse_field("1e1").whole);
}

TEST_F(CsvTest, ReadsAHeaderNumbersCategoriesAndClasses) {
  const CsvContent read = content_of("width,color,kind\n1.5,red,b\n2,blue,a\n-3e1,red,b\n");
  EXPECT_EQ(read.facts.name, "table");
  EXPECT_EQ(read.facts.rows, 3);
  EXPECT_EQ(read.facts.features, 3);
  EXPECT_EQ(read.inputs, (Floats{1.5f, 0, 1, 2, 1, 0, -30, 0, 1}));
  EXPECT_EQ(read.facts.kind, TargetKind::classes);
  EXPECT_EQ(read.facts.class_names, (Names{"a", "b"}));
  EXPECT_EQ(read.classes, (Classes{1, 0, 1}));
  EXPECT_EQ(read.facts.encoding,
            R"(csv of 3 named columns: 1 "width" number, 2 "color" in "blue" "red"; classes: 3 "kind")");
  expect_says(read.origin, {"a header, 3 columns separated by ','", "1 of them categories", "target 'kind'"});
}

TEST_F(CsvTest, TellsWhatStandsInTheFirstLine) {
  EXPECT_EQ(content_of("1,2,0\n3,4,1\n").facts.rows, 2);                   // all numbers
  EXPECT_EQ(content_of("a,b,0\nc,d,1\n").facts.rows, 2);                   // texts and a number
  EXPECT_EQ(content_of("x,y,z\na,b,c\nd,b,c\n").facts.rows, 2);            // all texts, none returns
  EXPECT_EQ(content_of("a,b,c\na,b,d\nd,b,c\n").facts.rows, 3);            // all texts, one returns
  EXPECT_EQ(content_of("2019,n,2020\n1,2.5,0\n3,4.5,1\n").facts.rows, 2);  // one text above numbers
}

TEST_F(CsvTest, TellsTheSeparator) {
  const Floats inputs{1, 2, 3, 4};
  for (const char* text : {"a,b,y\n1,2,0\n3,4,1\n", "a;b;y\n1;2;0\n3;4;1\n", "a\tb\ty\n1\t2\t0\n3\t4\t1\n",
                           "a|b|y\n1|2|0\n3|4|1\n", "a b y\n1 2 0\n3 4 1\n", "  1   2 \t0  \n3\t \t4 1\n",
                           "1, 2, 0\n3, 4, 1\n", "\"a\",\"b\",\"y\"\n\"1\",\"2\",\"0\"\n\"3\",\"4\",\"1\"\n",
                           "\xef\xbb\xbf"
                           "a,b,y\r\n1,2,0\r\n\r\n3,4,1",
                           "\n\na;b;y\n1;2;0\n \t\n3;4;1\n\n\n"}) {
    const CsvContent read = content_of(text);
    EXPECT_EQ(read.inputs, inputs) << text;
    EXPECT_EQ(read.classes, (Classes{0, 1})) << text;
  }
  // A comma in each text, yet the semicolons make more columns.
  EXPECT_EQ(content_of("a;b;c;y\nx,1;2;3;0\nx,2;5;6;1\n").facts.features, 4);
}

// Rows without quotes are split by hand, the others by libcsv.
TEST(CsvRowParser, FindsTheSameFieldsWithAndWithoutQuotes) {
  for (const char separator : {',', ';', '\t', '|', ' '}) {
    CsvRowParser parser(separator);
    for (std::string row :
         {"a@b", "@", "a@@b@", " a b @\tc\t@ ", "@@@", "  @x", "a\rb@c", "1@ @2", "x", "a@b\r@c"}) {
      std::replace(row.begin(), row.end(), '@', separator);
      const auto plain = parser.parse({row, 0, 1});
      const std::vector<std::string> fields(plain.begin(), plain.end());
      const std::string with_quotes = row + separator + "\"q\"";
      const auto quoted = parser.parse({with_quotes, 0, 1});
      std::vector<std::string> front(quoted.begin(), quoted.end());
      ASSERT_FALSE(front.empty());
      EXPECT_EQ(front.back(), "q");
      front.pop_back();
      EXPECT_EQ(fields, front) << separator << row;
    }
  }
}

TEST_F(CsvTest, ReadsQuotes) {
  const CsvContent read = content_of(
      "\"a, \"\"1\"\"\",\"y\nz\"\n\"1\",\"one\"\"\"\n2,\"two\r\nlines, and more\"\n3,\" one\"\"\"\n");
  EXPECT_EQ(read.inputs, (Floats{1, 2, 3}));
  EXPECT_EQ(read.facts.class_names, (Names{"one\"", "two\r\nlines, and more"}));
  EXPECT_EQ(read.classes, (Classes{0, 1, 0}));
  EXPECT_EQ(read.facts.encoding, R"(csv of 2 named columns: 1 "a, \x221\x22" number; classes: 2 "y\x0az")");
}

TEST_F(CsvTest, FindsTheTargets) {
  const std::string text = "a,Label,b\n1,0,3.5\n4,1,6\n";
  EXPECT_EQ(content_of(text).inputs, (Floats{1, 3.5f, 4, 6}));
  EXPECT_EQ(content_of("a,c,b\n1,0,3.5\n4,1,6\n").values, (Floats{3.5f, 6}));
  for (const char* asked : {"b,a", "3, 1", "last,1", "b,1"}) {
    const CsvContent read = content_of(text, {.target_columns = asked});
    EXPECT_EQ(read.facts.kind, TargetKind::values);
    EXPECT_EQ(read.facts.targets, 2);
    EXPECT_EQ(read.values, (Floats{3.5f, 1, 6, 4})) << asked;
    EXPECT_EQ(read.inputs, (Floats{0, 1})) << asked;
  }
  EXPECT_EQ(content_of("a,b,3\n1,2,0\n3,4,1\n", {.target_columns = "3"}).facts.rows, 2);
  expect_says(error_of(text, {.target_columns = "lable"}, ErrorKind::usage),
              {"--target-columns", "'lable'", "'a', 'Label', 'b'"});
  expect_says(error_of(text, {.target_columns = "4"}, ErrorKind::usage), {"no column 4", "1 to 3"});
  expect_says(error_of(text, {.target_columns = "1,a"}, ErrorKind::usage), {"twice"});
  expect_says(error_of("1,2\n3,4\n", {.target_columns = "y"}, ErrorKind::usage), {"no header"});
  expect_says(error_of("y,target,x\n1,2,3\n", {}, ErrorKind::usage), {"'y'", "'target'", "--target-columns"});
  expect_says(error_of("a,b,c\n1,x,1\n1,z,2\n", {.target_columns = "2,3"}, ErrorKind::usage),
              {"column 2", "text"});
}

TEST_F(CsvTest, TellsTheTaskOnlyWhereItIsPlain) {
  EXPECT_EQ(content_of("1,0\n1,2\n").facts.targets, 0);  // to be counted
  EXPECT_EQ(content_of("1,0.5\n1,2\n").facts.kind, TargetKind::values);
  for (const char* text : {"1,1\n1,2\n", "1,-1\n1,0\n", "1,0\n1,1000\n", "1,0.0\n1,1.0\n"}) {
    expect_says(error_of(text, {}, ErrorKind::usage), {"--task", "column 2"});
    EXPECT_EQ(content_of(text, {.task = "regression"}).facts.kind, TargetKind::values);
  }
  EXPECT_EQ(content_of("1,0\n1,1000\n", {.task = "classification"}).classes, (Classes{0, 1000}));
  EXPECT_EQ(content_of("1,1.0\n1,2.0\n", {.task = "classification"}).classes, (Classes{1, 2}));
  EXPECT_EQ(content_of("1,0\n1,1\n", {.task = "regression"}).values, (Floats{0, 1}));
  expect_says(error_of("1,0.5\n1,1\n", {.task = "classification"}), {"fractions", "0.5"});
  expect_says(error_of("1,a\n1,b\n2,b\n", {.task = "regression"}, ErrorKind::usage),
              {"text", "'a' in line 1"});
  const CsvContent all = content_of("a,y\n1,2\n3,4\n", {.task = "autoencoder"});
  EXPECT_EQ(all.facts.kind, TargetKind::none);
  EXPECT_EQ(all.inputs, (Floats{1, 2, 3, 4}));
}

TEST_F(CsvTest, DropsRowsThatLackAValue) {
  const std::string text = "a,b,y\n1,,0\n1,u,1\nnan,v,0\n2,w,0\n3,u,\n5,u,1\n";
  const CsvContent read = content_of(text, {.missing = "drop"});
  EXPECT_EQ(read.inputs, (Floats{1, 1, 0, 2, 0, 1, 5, 1, 0}));
  EXPECT_EQ(read.classes, (Classes{1, 0, 1}));
  expect_says(read.origin, {"3 rows with missing values left out"});
  expect_says(error_of(text), {"line 2", "column 2 ('b')", "--missing drop"});
  expect_says(error_of("1,\n2,\n", {.missing = "drop"}), {"column 2", "no value in the first rows"});
  expect_says(error_of("1,2,\n2,,3\n", {.missing = "drop"}), {"all 2 rows lack a value"});
  const CsvContent kept = content_of("a,b,y\n1,2,0\n,3,1\n4,nan,1\n", {.missing = "mean"});
  EXPECT_TRUE(std::isnan(kept.inputs.at(2)) && std::isnan(kept.inputs.at(5)));
  EXPECT_EQ(kept.inputs.at(3), 3);
  const CsvContent filled = content_of("a,b,y\n1,,0\n2,u,1\n3,v,0\n", {.missing = "mean"});
  EXPECT_TRUE(std::isnan(filled.inputs.at(1)) && std::isnan(filled.inputs.at(2)));  // none of the categories
  EXPECT_EQ(filled.inputs.at(4), 1);
  expect_says(error_of("a,y\n1,0\n2,\n", {.missing = "mean"}),
              {"line 3", "column 2 ('y')", "say --missing drop"});
  expect_says(error_of(text, {.missing = "zero"}, ErrorKind::usage), {"'zero'"});
}

TEST_F(CsvTest, RefusesAnInputThatNamesRows) {
  const auto table = [](int names, int rows) {
    std::string text = "id,color,y\n";
    for (int row = 0; row < rows; ++row)
      text += "row" + std::to_string(row % names) + (row % 2 == 0 ? ",red," : ",blue,") +
              std::to_string(row % 3) + "\n";
    return text;
  };
  expect_says(error_of(table(40, 40)),
              {"column 1 ('id')", "'row0' in line 2", "40 categories in 40 rows", "with --inputs \"color\""});
  expect_says(error_of(table(21, 41)), {"21 categories in 41 rows"});
  EXPECT_EQ(content_of(table(21, 42)).facts.features, 23);
  EXPECT_EQ(content_of(table(20, 20)).facts.features, 22);
  EXPECT_EQ(content_of(table(40, 40), {.inputs = "color"}).facts.features, 2);
  EXPECT_EQ(content_of(table(40, 40), {.target_columns = "id", .inputs = "color"}).facts.targets, 40);
}

TEST_F(CsvTest, TakesWordsForMissingValuesAsPandasDoes) {
  // Above the first number of a column, too; a text in it is an error still.
  const std::string text = "a,b,y\nNA,u,0\n1,u,1\nNULL,v,0\n2,N/A,0\n3,w,None\n5,null,1\n6,w,0\n";
  expect_says(error_of(text), {"line 2", "column 1 ('a')", "has no value ('NA')", "--missing drop"});
  const CsvContent dropped = content_of(text, {.missing = "drop"});
  EXPECT_EQ(dropped.inputs, (Floats{1, 1, 0, 6, 0, 1}));
  EXPECT_EQ(dropped.classes, (Classes{1, 0}));
  expect_says(error_of("a,b,y\n1,u,0\nNA,u,1\nmissing,u,1\n", {.missing = "drop"}),
              {"line 4", "'missing' is no number"});
  // Of a row that is to be predicted, what works is named.
  const Asked row{.encoding = R"(csv of 2 named columns: 1 "b" in "u" "v"; classes: 2 "y")",
                  .without_targets = true};
  expect_says(error_of("b\nu\nNA\n", row), {"line 3", "('NA')", "fill it in, or say --missing mean"});
  const CsvContent mean = content_of("a,y\nNA,0\n2,1\n<NA>,1\n", {.missing = "mean"});
  EXPECT_TRUE(std::isnan(mean.inputs.at(0)) && std::isnan(mean.inputs.at(2)));
  EXPECT_EQ(mean.inputs.at(1), 2);
  // A model that knows such a word as a category keeps it.
  const Asked known{.missing = "drop",
                    .encoding = R"(csv of 2 named columns: 1 "b" in "NA" "u"; classes: 2 "y")"};
  EXPECT_EQ(content_of("b,y\nNA,0\n,1\nu,1\nN/A,1\n", known).inputs, (Floats{1, 0, 0, 1}));
}

TEST_F(CsvTest, MakesTheSameInputsOfAnotherFile) {
  const CsvContent first = content_of("w,color,y\n1,red,no\n2,blue,yes\n3,green,no\n");
  Asked known{.class_names = first.facts.class_names, .encoding = first.facts.encoding};
  const CsvContent second = content_of("y,extra,color,w\nyes,q,green,7\n", known);
  EXPECT_EQ(second.inputs, (Floats{7, 0, 1, 0}));
  EXPECT_EQ(second.classes, (Classes{1}));
  EXPECT_EQ(second.facts.class_names, first.facts.class_names);
  EXPECT_EQ(content_of("9,blue,yes\n", known).inputs, (Floats{9, 1, 0, 0}));  // no header: by place
  expect_says(error_of("y,color,w\nyes,pink,7\n", known),
              {"line 2, column 2 ('color')", "'pink'", "'blue', 'green', 'red'"});
  expect_says(error_of("y,color,w\nmaybe,red,7\n", known), {"column 1 ('y')", "'maybe'", "'no', 'yes'"});
  expect_says(error_of("y,colour,w\nyes,red,7\n", known), {"no column 'color'", "did you mean colour"});
  expect_says(error_of("color,w\nred,7\n", known), {"no column 'y'"});
  expect_says(error_of("y,color,w\nyes,red,x\n", known), {"'x' is no number"});

  known.without_targets = true;
  const CsvContent rows = content_of("color,w\nred,7\nblue,8\n", known);
  EXPECT_EQ(rows.inputs, (Floats{7, 0, 0, 1, 8, 1, 0, 0}));
  EXPECT_EQ(rows.facts.kind, TargetKind::none);
  EXPECT_EQ(content_of("5,red\n", known).inputs, (Floats{5, 0, 0, 1}));
  EXPECT_EQ(content_of("5,red,\n6,red,\n", known).facts.rows, 2);  // the target's column is not looked at
  expect_says(error_of("5,red,1,1\n", known), {"4 columns", "takes 2, or 3 with targets"});

  const CsvContent plain = content_of("0,1.5,red\n1,2.5,blue\n", {.target_columns = "1"});
  EXPECT_EQ(plain.facts.encoding, R"(csv of 3 columns: 2 number, 3 in "blue" "red"; classes: 1)");
  EXPECT_EQ(content_of("4,red\n", {.encoding = plain.facts.encoding, .without_targets = true}).inputs,
            (Floats{4, 0, 1}));
  const CsvContent checked =
      content_of("1,4,red\n", {.task = "classification", .encoding = plain.facts.encoding});
  EXPECT_EQ(checked.inputs, (Floats{4, 0, 1}));
  EXPECT_EQ(checked.classes, (Classes{1}));
  expect_says(error_of("1\n", {.encoding = "hdf5 [3]"}), {"not trained on a CSV file"});
}

TEST_F(CsvTest, TakesTheColumnsThatAreAsked) {
  // A text for each row, a decimal comma, a number that is none: no column that is left out is looked at.
  const std::string text = "id,w,note,color,y\nu-1,1,\"1,5\",red,no\nu-2,2,\"2,5\",blue,yes\nu-3,3,,red,no\n";
  for (const char* asked : {"color, w", "4,2", "color,2"}) {
    const CsvContent read = content_of(text, {.inputs = asked});
    EXPECT_EQ(read.inputs, (Floats{0, 1, 1, 1, 0, 2, 0, 1, 3})) << asked;
    EXPECT_EQ(read.classes, (Classes{0, 1, 0}));
    EXPECT_EQ(read.facts.encoding,
              R"(csv of 5 named columns: 4 "color" in "blue" "red", 2 "w" number; classes: 5 "y")");
    expect_says(read.origin, {"inputs 'color', 'w'", "target 'y'"});
  }
  expect_says(error_of(text), {"column 3 ('note')", "comma among its digits"});
  expect_says(error_of(text, {.inputs = "w,colour"}, ErrorKind::usage),
              {"--inputs", "no column 'colour'", "'id', 'w', 'note', 'color', 'y'", "did you mean color?"});
  expect_says(error_of(text, {.inputs = "w, 6"}, ErrorKind::usage), {"--inputs", "no column 6", "1 to 5"});
  expect_says(error_of(text, {.inputs = "w,2"}, ErrorKind::usage), {"--inputs", "twice"});
  expect_says(error_of(text, {.target_columns = "y", .inputs = "w,y"}, ErrorKind::usage),
              {"--inputs", "column 5 ('y')", "is the target"});
  // What is an input is not taken for the target, by its name or place.
  EXPECT_EQ(content_of("y,label,a\n1,0,2\n3,1,4\n", {.inputs = "y"}).classes, (Classes{0, 1}));
  EXPECT_EQ(content_of("a,b,c\n1,0,2.5\n3,1,4\n", {.inputs = "a"}).values, (Floats{2.5f, 4}));
  expect_says(error_of("a,b,c\n1,0,2\n3,1,4\n", {.inputs = "c"}, ErrorKind::usage),
              {"--target-columns", "'c'", "say which"});
  EXPECT_EQ(content_of("a,b\n1,x\n3,z\n", {.task = "autoencoder", .inputs = "a"}).inputs, (Floats{1, 3}));
  // What the header alone tells: two columns of nothing but texts, the second without a name.
  EXPECT_EQ(content_of("a,,b\nu,p,no\nv,p,no\n", {.inputs = "a"}).facts.rows, 2);
  // Missing values of other columns drop no row.
  EXPECT_EQ(content_of("a,b,y\n1,,0\n2,u,1\n,v,0\n", {.missing = "drop", .inputs = "a"}).facts.rows, 2);
}

TEST_F(CsvTest, FindsTheAskedColumnsInAnotherFile) {
  const CsvContent first =
      content_of("id,w,note,color,y\nu,1,n,red,no\nv,2,m,blue,yes\n", {.inputs = "color,w"});
  Asked known{.class_names = first.facts.class_names, .encoding = first.facts.encoding};
  EXPECT_EQ(content_of("y,color,w\nyes,red,7\n", known).inputs, (Floats{0, 1, 7}));
  EXPECT_EQ(content_of("q,8,r,blue,no\nq,9,r,blue,no\n", known).inputs, (Floats{1, 0, 8, 1, 0, 9}));
  known.without_targets = true;
  for (const char* text : {"w,color\n7,red\n", "7,red\n9,red\n", "q,7,r,red\nq,9,r,red\n"}) {
    const CsvContent read = content_of(text, known);
    EXPECT_EQ(Floats(read.inputs.begin(), read.inputs.begin() + 3), (Floats{0, 1, 7})) << text;
  }
  expect_says(error_of("7,red,1\n8,red,1\n", known),
              {"3 columns", "takes 2, 4 with those", "5 with targets"});
  known.inputs = "color,w";
  EXPECT_EQ(content_of("w,id,color\n7,u,red\n", known).inputs, (Floats{0, 1, 7}));
  known.inputs = "w,color";
  expect_says(error_of("w,id,color\n7,u,red\n", known, ErrorKind::usage),
              {"--inputs w,color", "trained with ('color', 'w', in this order)"});

  for (const char* bad : {"csv of 3 columns: 3 number, 2 number; classes: 3, 3",
                          "csv of 4 columns: 1 number, 2 number; classes: 1, 1, 1"})
    expect_says(error_of("1\n2\n", {.encoding = bad, .without_targets = true}), {"1 columns", "model"});

  // The index of a pandas table is no input; a table without it has the columns after it.
  const CsvContent pandas = content_of(",a,b,y\n0,1.5,2,0\n1,3,4,1\n");
  EXPECT_EQ(content_of("5,6\n7,8\n", {.encoding = pandas.facts.encoding, .without_targets = true}).inputs,
            (Floats{5, 6, 7, 8}));
}

TEST_F(CsvTest, KnowsTheGroupOfEveryRow) {
  using Numbers = std::vector<std::int64_t>;
  const auto groups = [&](const std::vector<std::string>& paths, const Asked& asked,
                          std::int64_t piece_bytes) {
    const Plan plan = csv_plan_in_pieces(paths, asked.request(), share_here, piece_bytes);
    return plan.splits.front().groups(asked.groups);
  };
  const std::string a = write("x,who,y\n1,ann,0\n2,bob,1\n3,\"ann\",1\n,ann,1\n4,\"c,\n\"\"\",0\n", "a.csv");
  const std::string b = write("x,who,y\n5,eve,0\n6,bob,1\n7,,0\n", "b.csv");
  const Asked asked{.missing = "drop", .groups = "who"};
  for (std::int64_t size = 1; size < 80; size += size < 40 ? 1 : 13)
    EXPECT_EQ(groups({a, b}, asked, size), (Numbers{0, 1, 0, 2, 3, 1})) << size;
  EXPECT_EQ(groups({a, b}, {.missing = "drop", .groups = " 2"}, kPiece), (Numbers{0, 1, 0, 2, 3, 1}));
  const CsvContent read = content({a, b}, asked);
  EXPECT_EQ(read.inputs, (Floats{1, 2, 3, 4, 5, 6}));  // who is no input
  EXPECT_EQ(read.facts.encoding, R"(csv of 3 named columns: 1 "x" number; classes: 3 "y")");
  EXPECT_EQ(content({a}, {.missing = "drop", .inputs = "who", .groups = "who"}).facts.features, 3);
  const std::string text = "x,y,who\n1,0,u\n2,1,\n3,1,u\n";
  EXPECT_EQ(content_of(text, {.missing = "drop", .groups = "who"}).classes, (Classes{0, 1}));
  expect_says(error_of(text, {.target_columns = "y", .groups = "who"}),
              {"line 3, column 3 ('who')", "no value", "--validation groups"});
  expect_says(error_of(text, {.groups = "whom"}, ErrorKind::usage),
              {"--validation groups(whom)", "no column 'whom'", "did you mean who?"});
  // Nobody asked: no groups.
  EXPECT_FALSE(
      csv_plan_in_pieces({b}, Asked{.missing = "drop"}.request(), share_here, kPiece).splits[0].groups);
}

TEST_F(CsvTest, TakesClassesByNameOrIndex) {
  EXPECT_EQ(content_of("1,1\n1,0\n", {.class_names = {"no", "yes"}}).classes, (Classes{1, 0}));
  EXPECT_EQ(content_of("1,7\n1,3\n", {.class_names = {"3", "7"}}).classes, (Classes{1, 0}));
  expect_says(error_of("1,0\n", {.class_names = {"3", "7"}}), {"'0' is none of the classes", "'3', '7'"});
  expect_says(error_of("1,2\n", {.class_names = {"no", "yes"}}), {"'2' is none of the classes"});
}

TEST_F(CsvTest, EncodingIsReadAsItIsWritten) {
  CsvEncoding encoding{.columns = 9, .named = true, .classes = false};
  encoding.inputs = {{.place = 0, .name = "a \"b\\\n,;"},
                     {.place = 8, .name = "\xc3\xa9", .categorical = true, .categories = {"", "x,", ";"}}};
  encoding.targets = {{.place = 3, .name = "t"}, {.place = 4, .name = "u"}};
  const std::string text = text_of(encoding);
  EXPECT_EQ(text.find('\n'), text.npos);
  EXPECT_EQ(text_of(csv_encoding_of(text)), text);
  EXPECT_EQ(csv_encoding_of(text).inputs[1].categories, encoding.inputs[1].categories);
  for (std::size_t size = 0; size < text.size(); ++size) {
    try {
      csv_encoding_of(text.substr(0, size));
      EXPECT_TRUE(text.substr(size).starts_with(",") || text[size - 1] == ':') << text.substr(0, size);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
    }
  }
}

// Line ends and separators in quotes, doubled quotes, empty lines, rows longer than pieces, no last line end.
const char* const kTricky =
    "\xef\xbb\xbf\r\n\"a\nb\",text,\"y\"\r\n1,\"x\n,\"\"\n\"\"\",0\r\n\r\n\n2,\"\"\"\",1\n  \n"
    "3,\"\n\n\n\",1\n4,\"a long text in quotes with a line end\nand "
    "\"\"quotes\"\"\n\",0\n\"5\",\"\"\"\n\"\"\",2\r\n"
    "6,\"\n\",2\r\n7,plain,1\r\n8,\"\"\"\n\",1";

TEST_F(CsvTest, GivesTheSameForEveryPieceSize) {
  const CsvContent whole = content_of(kTricky);
  EXPECT_EQ(whole.facts.rows, 8);
  EXPECT_EQ(whole.classes, (Classes{0, 1, 1, 0, 2, 2, 1, 1}));
  EXPECT_EQ(whole.facts.features, 1 + 8 - 0);
  for (std::int64_t size = 1; size < 260; ++size) EXPECT_EQ(content_of(kTricky, {}, size), whole) << size;
}

TEST_F(CsvTest, NamesTheSameErrorForEveryPieceSize) {
  const std::string tricky(kTricky);
  for (const std::string& bad :
       {tricky + "\n1,2\n1,2,3\n4\n", tricky + "\n1,\"x,0\n2,y,1\n", tricky + "\n1,a\"b,2\n",
        tricky + "\nx,b,2\n", tricky + "\n1,\"b\"c,2\n2,\"c\",1\n", "x,y,z\n" + tricky, tricky + "\n,b,2\n",
        tricky + "\n3,b,0.5\n" + std::string("1\0,u,3\n", 7)}) {
    const std::string expected = error_of(bad);
    EXPECT_NE(expected.find(": line "), std::string::npos) << expected;
    for (std::int64_t size = 1; size < 280; size += size < 40 ? 1 : 7)
      EXPECT_EQ(error_of(bad, {}, ErrorKind::data, size), expected) << size;
  }
}

TEST_F(CsvTest, ReadsAnyRowsAgain) {
  const std::string path = write(kTricky);
  const Plan plan = csv_plan_in_pieces({path, path, path}, {}, share_here, 32);
  const Source& source = plan.splits.front();
  ASSERT_EQ(source.facts.rows, 24);
  EXPECT_TRUE(source.any_rows);
  EXPECT_EQ(source.files, (std::vector<std::int64_t>{0, 8, 16}));
  EXPECT_TRUE(std::is_sorted(source.pieces.begin(), source.pieces.end()));
  EXPECT_EQ(source.pieces.front(), 0);
  CsvContent all;
  read(source, {0, 24}, all);
  for (std::int64_t begin = 24; begin >= 0; --begin) {
    for (std::int64_t end = begin; end <= 24; ++end) {
      CsvContent part;
      read(source, {begin, end}, part);
      EXPECT_EQ(part.classes, Classes(all.classes.begin() + begin, all.classes.begin() + end));
      EXPECT_EQ(part.inputs, Floats(all.inputs.begin() + begin * 9, all.inputs.begin() + end * 9));
    }
  }
}

TEST_F(CsvTest, JoinsFilesWithAndWithoutTheHeader) {
  const std::string a = write("x,y\n1,a\n2,b\n", "a.csv");
  const std::string b = write("x,y\n3,c\n", "b.csv");
  const std::string c = write("4,a\n5,b", "c.csv");
  const std::string none = write("x,y\n", "none.csv");
  const CsvContent read = content({a, b, none, c});
  EXPECT_EQ(read.inputs, (Floats{1, 2, 3, 4, 5}));
  EXPECT_EQ(read.classes, (Classes{0, 1, 2, 0, 1}));
  const std::string other = write("y,x\n1,2\n", "other.csv");
  try {
    content({a, other});
    FAIL();
  } catch (const Error& error) {
    expect_says(error.what(), {"other.csv: line 1, column 1 ('x'): 'y' is no number", "'1' in line 2"});
  }
}

TEST_F(CsvTest, ReadsGzipInOrder) {
  const CsvContent plain = content_of(kTricky);
  const std::string packed = folder_.file("table.csv.gz");
  write_file(packed, gzip(kTricky));
  const Plan plan = csv_plan_in_pieces({packed}, {}, share_here, 16);
  EXPECT_FALSE(plan.splits.front().any_rows);
  CsvContent read = content({packed}, {}, 16);
  read.origin = plain.origin;  // names the file
  EXPECT_EQ(read, plain);
  EXPECT_EQ(read.facts.name, "table");
  write_file(packed, gzip(std::string(kTricky) + "\n1,u\n"));
  try {
    content({packed});
    FAIL();
  } catch (const Error& error) {
    const auto line = 2 + std::ranges::count(std::string_view(kTricky), '\n');
    expect_says(error.what(), {text("table.csv.gz: line ", line, ": has 2 fields")});
  }
  const std::string cut = gzip(std::string(kTricky));
  write_file(packed, cut.substr(0, cut.size() / 2));
  EXPECT_THROW(content({packed}), Error);
}

TEST_F(CsvTest, RefusesAFileThatChanged) {
  const std::string path = write("1,0\n2,1\n");
  Plan plan = csv_plan_in_pieces({path}, {}, share_here, kPiece);
  write("1,0\n2,1\n3,1\n");
  CsvContent out;
  EXPECT_THROW(read(plan.splits.front(), {0, 2}, out), Error);
  plan = csv_plan_in_pieces({write("1,0\n2,1\n")}, {}, share_here, kPiece);
  write("1,0\n2,7\n");  // as long, another class
  try {
    read(plan.splits.front(), {0, 2}, out);
    FAIL();
  } catch (const Error& error) {
    expect_says(error.what(), {"line 2, column 2", "7 is no class"});
  }
  plan = csv_plan_in_pieces({write("1,0\n2,1\n")}, {}, share_here, kPiece);
  read(plan.splits.front(), {0, 2}, out);
  write("1,0\n3,1\n");
  std::filesystem::last_write_time(path,
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  try {
    read(plan.splits.front(), {0, 2}, out);
    FAIL();
  } catch (const Error& error) {
    expect_says(error.what(), {"changed while it was read"});
  }
}

}  // namespace
}  // namespace trainer::data
