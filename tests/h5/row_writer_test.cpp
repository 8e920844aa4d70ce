#include "trainer/h5/row_writer.h"

#include <hdf5.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>

#include "scratch.h"
#include "trainer/h5/table.h"

namespace trainer::h5 {
namespace {

class RowWriterTest : public Scratch {};

/// An identifier of HDF5, closed in the end.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() { close_(id_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }  // NOLINT: handed to C functions, as itself

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<RowSet> two_sets() {
  return {{.path = "/predictions", .columns = 3, .attributes = {{"unit", std::string("K")}}},
          {.path = "/deep/down/classes", .type = RowSet::Type::i64}};
}

const Attributes kRoot = {{"format", std::string("rows")},
                          {"names", std::vector<std::string>{"a", "b"}},
                          {"version", std::int64_t{1}}};

std::vector<float> floats(std::int64_t rows) {
  std::vector<float> values(static_cast<std::size_t>(3 * rows));
  std::iota(values.begin(), values.end(), 0.5f);
  return values;
}

std::vector<std::int64_t> wholes(std::int64_t rows) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(rows));
  std::iota(values.begin(), values.end(), -3);
  return values;
}

void write_in_pieces(RowWriter& writer, std::int64_t rows, std::int64_t piece) {
  const auto values = floats(rows);
  const auto classes = wholes(rows);
  for (std::int64_t end = rows; end > 0; end -= piece) {  // the last rows first
    const auto begin = std::max<std::int64_t>(0, end - piece);
    writer.write(0, begin, std::span(values).subspan(std::size_t(3 * begin), std::size_t(3 * (end - begin))));
    writer.write(1, begin, std::span(classes).subspan(std::size_t(begin), std::size_t(end - begin)));
  }
}

TEST_F(RowWriterTest, WritesAnyRowsInAnyOrder) {
  std::string first;
  for (const std::int64_t piece : {1000, 7, 1}) {
    RowWriter writer(at("rows.h5"), 1000, two_sets(), kRoot);
    write_in_pieces(writer, 1000, piece);
    writer.finish();
    if (first.empty()) first = bytes_of(at("rows.h5"));
    EXPECT_EQ(bytes_of(at("rows.h5")), first);
  }
  EXPECT_FALSE(std::filesystem::exists(temporary_path(at("rows.h5"))));
  const File file = File::open_read(at("rows.h5"));
  EXPECT_EQ(file.describe("/predictions").shape, (std::vector<std::int64_t>{1000, 3}));
  EXPECT_EQ(file.read_f32("/predictions"), floats(1000));
  EXPECT_EQ(file.describe("/deep/down/classes").shape, (std::vector<std::int64_t>{1000}));
  EXPECT_EQ(file.read_i64("/deep/down/classes"), wholes(1000));
  EXPECT_EQ(file.attributes("/"), kRoot);
  EXPECT_EQ(file.attributes("/predictions"), two_sets()[0].attributes);
}

TEST_F(RowWriterTest, GivesASetTwoNames) {
  RowWriter writer(at("rows.h5"), 2, {{.path = "/a", .columns = 1, .also = "/b"}}, {});
  writer.write(0, 0, std::vector<float>{1, 2});
  writer.finish();
  const Handle file(H5Fopen(at("rows.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  for (const char* name : {"/a", "/b"}) {
    const Handle set(H5Dopen2(file, name, H5P_DEFAULT), H5Dclose);
    float values[2] = {};
    EXPECT_GE(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0) << name;
    EXPECT_EQ(values[1], 2) << name;
  }
}

TEST_F(RowWriterTest, WritesEveryTypeAndShape) {
  const std::vector<RowSet> sets = {
      {.path = "/images", .type = RowSet::Type::u8, .columns = 6, .row_shape = {2, 3}},
      {.path = "/classes", .type = RowSet::Type::i32, .rows = 3},
      {.path = "/names", .type = RowSet::Type::text, .columns = 4}};
  RowWriter writer(at("rows.h5"), 2, sets, {});
  const std::vector<std::uint8_t> images{0, 1, 2, 3, 4, 255, 6, 7, 8, 9, 10, 11};
  const std::vector<std::int32_t> classes{-1, 2147483647, 5};
  writer.write(0, 0, std::span(images));
  writer.write(1, 0, std::span(classes));
  const std::string names("ab\0\0abcd", 8);
  writer.write(2, 1, std::span(names).subspan(4));
  writer.write(2, 0, std::span(names).first(4));
  (void)error_of(ErrorKind::internal, [&] { writer.write(0, 2, std::span(images)); });
  (void)error_of(ErrorKind::internal, [&] { writer.write(1, 1, std::span(classes)); });
  writer.finish();

  const TableFile file = TableFile::open(at("rows.h5"));
  const Table bytes = file.table("/images");
  EXPECT_EQ(bytes.facts().shape, (std::vector<std::int64_t>{2, 2, 3}));
  EXPECT_EQ(bytes.facts().type, "uint8");
  std::vector<std::uint8_t> read(images.size());
  bytes.read({{0, 0, 0}, {2, 2, 3}, {1, 1, 1}}, read.data());
  EXPECT_EQ(read, images);
  const Table wholes = file.table("/classes");
  EXPECT_EQ(wholes.facts().type, "int32");
  std::vector<std::int64_t> values(3);
  wholes.read({{0}, {3}, {1}}, values.data());
  EXPECT_EQ(values, (std::vector<std::int64_t>{-1, 2147483647, 5}));
  EXPECT_EQ(file.table("/names").read_texts({{0}, {2}, {1}}), (std::vector<std::string>{"ab", "abcd"}));
}

TEST_F(RowWriterTest, OthersWriteTheirRows) {
  RowWriter writer(at("rows.h5"), 10, two_sets(), {});
  const auto values = floats(10);
  {
    RowWriter other = RowWriter::join(at("rows.h5"), 10, two_sets(), writer.places());
    other.write(0, 4, std::span(values).subspan(12));
    other.sync();
    EXPECT_THROW(other.finish(), Error);
  }
  EXPECT_TRUE(std::filesystem::exists(temporary_path(at("rows.h5"))));
  writer.write(0, 0, std::span(values).first(12));
  EXPECT_FALSE(std::filesystem::exists(at("rows.h5")));
  writer.finish();
  const File file = File::open_read(at("rows.h5"));
  EXPECT_EQ(file.read_f32("/predictions"), values);
  EXPECT_EQ(file.read_i64("/deep/down/classes"), std::vector<std::int64_t>(10, 0));  // nobody wrote them
}

TEST_F(RowWriterTest, LeavesWhatIsThereUntilItIsDone) {
  std::ofstream(at("rows.h5")) << "old";
  {
    RowWriter writer(at("rows.h5"), 10, two_sets(), {});
    write_in_pieces(writer, 10, 5);
  }
  EXPECT_EQ(bytes_of(at("rows.h5")), "old");
  EXPECT_FALSE(std::filesystem::exists(temporary_path(at("rows.h5"))));
}

TEST_F(RowWriterTest, TakesNoRows) {
  RowWriter writer(at("rows.h5"), 0, two_sets(), {});
  writer.write(0, 0, std::span<const float>());
  writer.finish();
  EXPECT_EQ(File::open_read(at("rows.h5")).describe("/predictions").shape, (std::vector<std::int64_t>{0, 3}));
}

TEST_F(RowWriterTest, RefusesRowsThatThereAreNoneOf) {
  RowWriter writer(at("rows.h5"), 10, two_sets(), {});
  const auto values = floats(10);
  for (const auto& [first, count] : {std::pair(8, 9), {-1, 3}, {11, 0}, {0, 4}, {0, 2}})
    EXPECT_THROW(writer.write(0, first, std::span(values).first(std::size_t(count))), Error) << first;
  EXPECT_THROW(writer.write(1, 0, values), Error);
  EXPECT_THROW(writer.write(2, 0, values), Error);
}

TEST_F(RowWriterTest, NamesWhatIsTooLarge) {
  const std::string message =
      error_of(ErrorKind::data, [&] { RowWriter(at("rows.h5"), std::int64_t{1} << 61, two_sets(), {}); });
  EXPECT_TRUE(contains(message, "rows.h5: /predictions")) << message;
  EXPECT_FALSE(std::filesystem::exists(temporary_path(at("rows.h5"))));
}

TEST_F(RowWriterTest, NamesAFolderThatIsNotThere) {
  const std::string message =
      error_of(ErrorKind::data, [&] { RowWriter(at("none") / "rows.h5", 10, two_sets(), {}); });
  EXPECT_TRUE(contains(message, "none/rows.h5: cannot be written (open)")) << message;
}

/// The largest file that this process may write, while one lives.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

TEST_F(RowWriterTest, LeavesNothingWhenTheDiskIsTooSmall) {
  std::optional<FileLimit> limit(std::in_place, 10'000);
  const std::string message =
      error_of(ErrorKind::data, [&] { RowWriter(at("rows.h5"), 1000, two_sets(), {}); });
  limit.reset();
  EXPECT_TRUE(contains(message, "File too large; free some space")) << message;
  EXPECT_FALSE(std::filesystem::exists(at("rows.h5")));
  EXPECT_FALSE(std::filesystem::exists(temporary_path(at("rows.h5"))));
}

}  // namespace
}  // namespace trainer::h5
