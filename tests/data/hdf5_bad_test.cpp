#include <filesystem>

#include "hdf5_files.h"
#include "trainer/h5/file.h"

namespace trainer::data {
namespace {

/// Files as an attacker or a tired colleague makes them.
class Hdf5Bad : public Hdf5Files {
 protected:
  static std::string plan_error(const std::string& file, const std::string& inputs,
                                const std::string& targets, ErrorKind kind = ErrorKind::data) {
    return error_of(kind, [&] { plan_here(at(file), {.inputs = inputs, .targets = targets}); });
  }
  static void expect_unread(const std::string& inputs, const std::vector<std::string>& parts) {
    const Plan plan = plan_here(at("bad.h5"), {.inputs = inputs, .targets = "y"});
    for (const std::int64_t at_once : {100, 9})
      expect_says(error_of(ErrorKind::data, [&] { read_rows(plan.splits[0], at_once); }), parts);
  }
};

TEST_F(Hdf5Bad, ValuesThatAreNotFinite) {
  expect_unread("nan", {"bad.h5: /nan", "row 73", "column 4", "nan"});
  expect_unread("fine, inf", {"bad.h5: /inf", "row 73", "column 4", "inf"});
  expect_unread("huge", {"bad.h5: /huge", "row 12", "column 1", "1e+300", "32-bit"});
}

TEST_F(Hdf5Bad, TargetsThatDoNotFit) {
  expect_says(plan_error("bad.h5", "fine", "short"), {"/fine has 100 rows", "/short has 99 rows"});
  const Plan plan = plan_here(at("bad.h5"), {.task = "classification", .inputs = "fine", .targets = "label"});
  expect_says(error_of(ErrorKind::data, [&] { read_rows(plan.splits[0], 100); }),
              {"/label", "row 50", "label -1"});
  const Plan fraction = plan_here(at("bad.h5"), {.task = "classification", .inputs = "fine", .targets = "y"});
  expect_says(error_of(ErrorKind::data, [&] { read_rows(fraction.splits[0], 100); }), {"/y", "row 0", "0.5"});
  expect_says(plan_error("bad.h5", "fine", "beyond"), {"/beyond", "9223372036854775813", "64-bit"});
}

TEST_F(Hdf5Bad, ShapesAndTypes) {
  const auto says = [](const std::string& inputs, const std::vector<std::string>& parts) {
    expect_says(plan_error("bad.h5", inputs, "y"), parts);
  };
  says("no_rows", {"/no_rows", "[0, 5]", "no values"});
  says("no_columns", {"/no_columns", "[100, 0]", "no values"});
  says("null", {"/null", "null data space"});
  says("scalar", {"/scalar", "one value"});
  says("opaque", {"/opaque", "opaque"});
  says("complex", {"/complex", "members", ":MEMBER"});
  says("enumeration", {"/enumeration", "enumeration"});
  says("lzf", {"/lzf", "lzf", "32000", "HDF5_PLUGIN_PATH"});
  says("unwritten", {"/unwritten", "never written"});
  says("partly", {"/partly", "[10000, 500]", "never written"});
  says("sparse", {"/sparse", "claims"});
  expect_says(plan_error("classes.h5", "fixed", "index"), {"/fixed", "texts"});
}

TEST_F(Hdf5Bad, SizesThatTheFileCannotHold) {
  for (const std::string file : {"enormous.h5", "overflow.h5", "enormous_z.h5"})
    expect_says(plan_error(file, "x", "y"), {file, "claims"});
  expect_says(plan_error("beyond_signed.h5", "x", "y"),
              {"beyond_signed.h5: /x"});  // HDF5 itself sees this one
}

TEST_F(Hdf5Bad, DamagedFiles) {
  const Plan plan = plan_here(at("damaged_z.h5"), {});
  expect_says(error_of(ErrorKind::data, [&] { read_rows(plan.splits[0], 1003); }),
              {"damaged_z.h5: /x", "damaged"});
  expect_says(plan_error("truncated.h5", "x", "y"), {"truncated.h5", "truncated"});
  expect_says(plan_error("text.h5", "x", "y"), {"text.h5", "not an HDF5 file"});
  expect_says(plan_error("nosuch.h5", "x", "y"), {"nosuch.h5", "no such file"});
  expect_says(plan_error("many", "x", "y"), {"not a file"});
}

TEST_F(Hdf5Bad, GroupsThatContainThemselves) {
  const std::string message = plan_error("loop.h5", "", "", ErrorKind::usage);
  expect_says(message, {"loop.h5", "g/", "x", "[5, 2]"});
  EXPECT_LT(std::count(message.begin(), message.end(), '\n'), 4) << message;
  expect_says(plan_error("columns.h5", "round", "y"), {"/round", "soft links"});
}

TEST_F(Hdf5Bad, NamesThatAreNotThere) {
  const std::string message = plan_error("crowd.h5", "", "", ErrorKind::usage);
  expect_says(message, {"--inputs", "crowd.h5", "answers  float64 [20]", "variable_10  float64 [20, 3]",
                        "29 others", "try: --inputs \"variable_00\" --targets \"answers\""});
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 14) << message;
  expect_says(plan_error("columns.h5", "T, nosuch", "y", ErrorKind::usage),
              {"--inputs", "/nosuch", "table:mass"});
  expect_says(plan_error("columns.h5", "T", "table:nosuch", ErrorKind::usage),
              {"--targets", "/table:nosuch"});
  expect_says(plan_error("columns.h5", "T:mass", "y", ErrorKind::usage), {"/T:mass"});
  expect_says(plan_error("nothing.h5", "", ""), {"nothing.h5", "no data sets"});
  expect_says(plan_error("turned.h5", "temprature", "pressure", ErrorKind::usage),
              {"did you mean temperature?"});
  // What was said to be the inputs is not advised as the targets, nor taken for them.
  expect_says(plan_error("crowd.h5", "answers", "", ErrorKind::usage),
              {"try: --inputs \"answers\" --targets \"variable_"});
  EXPECT_EQ(plan_error("turned.h5", "/x", "", ErrorKind::usage).find("--targets \"x"), std::string::npos);
}

TEST_F(Hdf5Bad, AnotherAxisThatCountsTheRowsIsNamed) {
  expect_says(plan_error("turned.h5", "temperature", "pressure"),
              {"both have 50 on axis 1: try --row-axis 1"});
  expect_says(plan_error("turned.h5", "temperature, pressure", "x"), {"try --row-axis 1"});
}

TEST_F(Hdf5Bad, SlicesThatDoNotFit) {
  const auto says = [](const std::string& inputs, const std::vector<std::string>& parts) {
    expect_says(plan_error("columns.h5", inputs, "y", ErrorKind::usage), parts);
  };
  says("Q[:,0:61]", {"--inputs", "Q[:,0:61]", "axis 1", "61", "60"});
  says("Q[:,-61]", {"-61"});
  says("Q[:,30:30]", {"nothing is left"});
  says("Q[:,:,0]", {"3 axes", "[200, 60]"});
  says("Q[5:,0:3]", {"axis 0", "counts the rows"});
}

TEST_F(Hdf5Bad, AFileThatIsCutOffWhileItIsOpen) {
  const std::string path = at("cut_off.h5");
  h5::File file = h5::File::create(path);
  file.write("/x", std::vector<std::int64_t>{1000, 4}, std::vector<float>(4000, 1.0f));
  file.write("/y", std::vector<std::int64_t>{1000}, std::vector<double>(1000, 0.5));
  file.close();
  const Plan plan = plan_here(path, {});
  std::vector<float> inputs(40), values(10);
  const auto read = [&](std::int64_t row) {
    plan.splits[0].read({row, row + 10}, {.floats = inputs.data(), .values = values.data()});
  };
  read(0);
  std::filesystem::resize_file(path, 8000);
  expect_says(error_of(ErrorKind::data, [&] { read(900); }), {"cut_off.h5", "changed while it was read"});
}

TEST_F(Hdf5Bad, AFileThatChanges) {
  const std::string path = at("changing.h5");
  const auto write = [&](std::int64_t rows, std::int64_t columns) {
    h5::File file = h5::File::create(path);
    file.write("/x", std::vector<std::int64_t>{rows, columns},
               std::vector<float>(static_cast<std::size_t>(rows * columns), 1.0f));
    file.write("/y", std::vector<std::int64_t>{rows},
               std::vector<double>(static_cast<std::size_t>(rows), 0.5));
    file.close();
  };
  write(10, 4);
  const Plan plan = plan_here(path, {});
  for (const auto& [rows, columns] : {std::pair{9, 4}, std::pair{10, 5}, std::pair{11, 4}}) {
    write(rows, columns);
    expect_says(error_of(ErrorKind::data, [&] { read_rows(plan.splits[0], 10); }),
                {"changing.h5", "changed"});
  }
  write(10, 4);
  EXPECT_EQ(read_rows(plan.splits[0], 10).values, std::vector<float>(10, 0.5f));
}

TEST_F(Hdf5Bad, OptionsThatDoNotFit) {
  expect_says(error_of(ErrorKind::usage, [] { plan_here(at("columns.h5"), {.missing = "median"}); }),
              {"--missing"});
  expect_says(error_of(ErrorKind::usage, [] { plan_here(at("columns.h5"), {.task = "guess"}); }), {"--task"});
}

}  // namespace
}  // namespace trainer::data
