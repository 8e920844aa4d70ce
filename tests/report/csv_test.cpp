#include "trainer/report/csv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "temporary_folder.h"
#include "trainer/core/error.h"

namespace trainer::report {
namespace {

TEST(CsvFile, WritesHeaderAndRowsThatReadBackExactly) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  {
    CsvFile csv = CsvFile::create(path, {"step", "loss", "lr", "note"});
    csv.append({std::int64_t{1}, 0.1F, 0.1, std::string("a,b")});
    csv.append(
        {std::int64_t{2}, std::nanf(""), -std::numeric_limits<double>::infinity(), std::string("say \"x\"")});
    csv.append({std::monostate{}, 1.0F / 3, 1.0 / 3, std::string()});
    EXPECT_EQ(csv.rows(), 3);
  }
  EXPECT_EQ(content_of(path),
            "step,loss,lr,note\n1,0.1,0.1,\"a,b\"\n2,nan,-inf,\"say "
            "\"\"x\"\"\"\n,0.33333334,0.3333333333333333,\n");
}

TEST(CsvFile, FlushMakesRowsVisible) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  CsvFile csv = CsvFile::create(path, {"a"});
  EXPECT_EQ(content_of(path), "a\n");
  csv.append({std::int64_t{7}});
  csv.flush();
  EXPECT_EQ(content_of(path), "a\n7\n");
  csv.append({std::int64_t{8}});
  csv.flush();
  csv.sync_flushed();
  EXPECT_EQ(content_of(path), "a\n7\n8\n");
}

TEST(CsvFile, ManyRowsAreWrittenBeforeTheEnd) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  CsvFile csv = CsvFile::create(path, {"a"});
  for (std::int64_t i = 0; i < 20000; ++i) csv.append({i});
  EXPECT_GT(content_of(path).size(), 60000U);
}

TEST(CsvFile, ReopenCutsToTheRowsOfTheCheckpoint) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  put(path, "a,b\n1,2\n3,4\n5,6\n7,");  // the last row is half-written
  {
    CsvFile csv = CsvFile::reopen(path, {"a", "b"}, 2);
    EXPECT_EQ(csv.rows(), 2);
    csv.append({std::int64_t{9}, std::int64_t{10}});
    EXPECT_EQ(csv.rows(), 3);
  }
  EXPECT_EQ(content_of(path), "a,b\n1,2\n3,4\n9,10\n");
}

TEST(CsvFile, ReopenAtZeroRowsKeepsTheHeader) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  put(path, "a,b\n1,2\n");
  { CsvFile::reopen(path, {"a", "b"}, 0); }
  EXPECT_EQ(content_of(path), "a,b\n");
}

TEST(CsvFile, ReopenCutsAFileLargerThanItsBuffer) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  std::string expected = "a\n";
  {
    CsvFile csv = CsvFile::create(path, {"a"});
    for (std::int64_t i = 0; i < 50000; ++i) {
      csv.append({i});
      if (i < 40000) expected += std::to_string(i) + "\n";
    }
  }
  { CsvFile::reopen(path, {"a"}, 40000); }
  EXPECT_EQ(content_of(path), expected);
}

TEST(CsvFile, ReopenRefusesAFileThatDoesNotFit) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.csv";
  put(path, "a,b\n1,2\n3,4");
  EXPECT_THROW(CsvFile::reopen(path, {"a", "b"}, 2), Error);  // the second row is not whole
  EXPECT_THROW(CsvFile::reopen(path, {"a", "c"}, 1), Error);
  EXPECT_THROW(CsvFile::reopen(path, {"a"}, 1), Error);
  EXPECT_THROW(CsvFile::reopen(folder / "none.csv", {"a"}, 0), Error);
  EXPECT_EQ(content_of(path), "a,b\n1,2\n3,4");  // untouched
}

TEST(CsvFile, RefusesRowsOfAnotherWidthAndLineEnds) {
  const TemporaryFolder folder;
  CsvFile csv = CsvFile::create(folder / "m.csv", {"a", "b"});
  EXPECT_THROW(csv.append({std::int64_t{1}}), Error);
  EXPECT_THROW(csv.append({std::int64_t{1}, std::string("x\ny")}), Error);
  EXPECT_EQ(csv.rows(), 0);
}

TEST(CsvFile, AFullDiskIsADataErrorThatNamesTheFile) {
  try {
    CsvFile full = CsvFile::create("/dev/full", {"a"});
    FAIL() << "a full disk was not seen";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("/dev/full"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos);
  }
}

}  // namespace
}  // namespace trainer::report
