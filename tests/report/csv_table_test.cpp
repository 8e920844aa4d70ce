#include "trainer/report/csv_table.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>

#include "temporary_folder.h"
#include "trainer/core/error.h"
#include "trainer/report/csv.h"

namespace trainer::report {
namespace {

using Texts = std::vector<std::string>;

TEST(CsvTable, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  {
    CsvFile csv = CsvFile::create(path, {"step", "loss", "a,b"});
    csv.append({std::int64_t{1}, 0.1, std::string("say \"x\", twice")});
    csv.append({std::int64_t{2}, std::nan(""), std::string()});
    csv.append({std::int64_t{3}, 1.0 / 3, std::string("ü")});
  }
  const CsvTable table = CsvTable::read(path);
  EXPECT_EQ(table.columns(), (Texts{"step", "loss", "a,b"}));
  EXPECT_EQ(table.rows(), 3);
  EXPECT_EQ(table.every(), 1);
  EXPECT_EQ(table.texts("a,b"), (Texts{"say \"x\", twice", "", "ü"}));
  EXPECT_EQ(table.numbers("step"), (std::vector<double>{1, 2, 3}));
  const std::vector<double> loss = table.numbers("loss");
  EXPECT_EQ(loss[0], 0.1);
  EXPECT_TRUE(std::isnan(loss[1]));
  EXPECT_EQ(loss[2], 1.0 / 3);
  EXPECT_TRUE(std::isnan(table.numbers("a,b")[0]));
  EXPECT_TRUE(table.has("loss"));
  EXPECT_FALSE(table.has("los"));
  EXPECT_THROW((void)table.texts("los"), Error);
}

TEST(CsvCells, AreThoseOfOneWholeLine) {
  using Cells = std::vector<std::string>;
  EXPECT_EQ(csv_cells("b16-p00,,\"dense(4, bias=false) \"\"x\"\"\",1"),
            (Cells{"b16-p00", "", "dense(4, bias=false) \"x\"", "1"}));
  EXPECT_FALSE(csv_cells("a,\"left open"));
}

TEST(CsvTable, LeavesOutHalfRows) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  put(path, "a,b\n1,2\n3\n4,5,6\n7,8\n9,1");  // the last 1 may become 10
  const CsvTable table = CsvTable::read(path);
  EXPECT_EQ(table.numbers("a"), (std::vector<double>{1, 7}));
  EXPECT_EQ(table.numbers("b"), (std::vector<double>{2, 8}));
  put(path, "a,b\n");
  EXPECT_EQ(CsvTable::read(path).rows(), 0);
}

TEST(CsvTable, KeepsAnEvenShareOfManyRows) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  std::string content = "a\n";
  for (int i = 0; i < 1001; ++i) content += std::to_string(i) + "\n";
  put(path, content);
  const CsvTable table = CsvTable::read(path, 100);
  EXPECT_EQ(table.every(), 16);
  EXPECT_LE(table.rows(), 100);
  const std::vector<double> kept = table.numbers("a");
  ASSERT_EQ(kept.size(), 63U);
  for (std::size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i], 16.0 * static_cast<double>(i));
  EXPECT_EQ(CsvTable::read(path, 1001).every(), 1);
}

void expect_refused(const std::string& path, const std::string& words) {
  try {
    (void)CsvTable::read(path);
    FAIL() << path;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST(CsvTable, RefusesWhatIsNoTable) {
  const TemporaryFolder folder;
  expect_refused(folder / "none.csv", "no plain file");
  expect_refused(folder.path(), "no plain file");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  expect_refused(folder / "pipe", "no plain file");  // and does not wait for a writer
  put(folder / "empty.csv", "");
  expect_refused(folder / "empty.csv", "no whole line");
  put(folder / "half.csv", "a,b");
  expect_refused(folder / "half.csv", "no whole line");
  put(folder / "endless.csv", "a,b\n\"" + std::string(9 << 20, 'x'));
  expect_refused(folder / "endless.csv", "no CSV text");
}

}  // namespace
}  // namespace trainer::report
