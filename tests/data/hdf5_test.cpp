#include <algorithm>

#include "hdf5_files.h"
#include "trainer/h5/file.h"

namespace trainer::data {
namespace {

using Shape = std::vector<std::int64_t>;

class Hdf5 : public Hdf5Files {
 protected:
  /// Inputs without targets.
  static Source inputs_of(const std::string& file, const std::string& inputs,
                          const std::string& row_axis = "0") {
    return plan_here(at(file), {.inputs = inputs, .row_axis = row_axis, .without_targets = true})
        .splits.at(0);
  }
  /// Equal values whatever is read at once.
  static void expect_inputs(const Source& source, const std::vector<float>& values) {
    ASSERT_EQ(source.facts.rows * source.facts.features, static_cast<std::int64_t>(values.size()));
    for (const std::int64_t at_once : {source.facts.rows, source.facts.rows / 3 + 2})
      EXPECT_TRUE(read_rows(source, at_once).inputs == values) << at_once << " rows at once";
  }
};

TEST(Hdf5WithoutPython, ReadsWhatTheRoomWrites) {
  TemporaryFolder folder;
  const std::string path = folder.file("own.h5");
  h5::File file = h5::File::create(path);
  file.write("/inputs", Shape{4, 2, 3}, std::vector<float>{0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                                           12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23});
  file.write("/targets", Shape{4}, std::vector<std::int64_t>{2, 0, 1, 2});
  file.close();

  const Plan plan = plan_here(path, {});
  ASSERT_EQ(plan.splits.size(), 1U);
  const DataFacts& facts = plan.splits[0].facts;
  EXPECT_EQ(facts.name, "own.h5");
  EXPECT_EQ(facts.rows, 4);
  EXPECT_EQ(facts.feature_shape, (Shape{2, 3}));
  EXPECT_EQ(facts.kind, TargetKind::classes);
  EXPECT_EQ(facts.targets, 0);  // to be counted
  EXPECT_EQ(facts.element_type, "float32");
  const Rows rows = read_rows(plan.splits[0], 3);
  for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(rows.inputs[i], static_cast<float>(i));
  EXPECT_EQ(rows.classes, (std::vector<std::int32_t>{2, 0, 1, 2}));
}

TEST_F(Hdf5, ReadsEveryType) {
  for (const std::string name :
       {"u1",    "i1",    "le_u2", "be_u2", "le_i2", "be_i2", "le_u4", "be_u4", "le_i4", "be_i4", "le_u8",
        "be_u8", "le_i8", "be_i8", "le_f2", "be_f2", "le_f4", "be_f4", "le_f8", "be_f8", "bool"}) {
    for (const std::string form : {"", "_z"}) {
      SCOPED_TRACE(name + form);
      expect_inputs(inputs_of("types.h5", name + form), expected("types-" + name));
    }
  }
  EXPECT_EQ(inputs_of("types.h5", "u1").facts.element_type, "uint8");
  EXPECT_EQ(inputs_of("types.h5", "u1, u1_z").facts.element_type, "float32");
  EXPECT_EQ(inputs_of("types.h5", "be_i4").facts.element_type, "int32");
  EXPECT_EQ(inputs_of("types.h5", "be_f2").facts.element_type, "float16");
  EXPECT_EQ(inputs_of("types.h5", "bool").facts.element_type, "bool");
}

TEST_F(Hdf5, JoinsDataSetsAsColumns) {
  const std::string inputs =
      "T, Q[:,5:40:3], deep/down/Q[:, -1], cube[:,1:3,:,2], table:mass, /table:charge, deep/up";
  const Source source = inputs_of("columns.h5", inputs);
  EXPECT_EQ(source.facts.features, 1 + 12 + 1 + 10 + 2 + 1);
  EXPECT_EQ(source.facts.feature_shape, (Shape{27}));
  expect_inputs(source, expected("columns"));
  EXPECT_EQ(inputs_of("columns.h5", "T").facts.feature_shape, (Shape{1}));
  EXPECT_EQ(inputs_of("columns.h5", "shape[:, 2:, 1]").facts.feature_shape, (Shape{6}));
  EXPECT_EQ(inputs_of("columns.h5", "shape").facts.feature_shape, (Shape{8, 8}));

  const Plan plan = plan_here(at("columns.h5"), {.inputs = "Q", .targets = "y"});
  EXPECT_EQ(plan.splits[0].facts.kind, TargetKind::values);
  EXPECT_EQ(plan.splits[0].facts.targets, 2);
  EXPECT_EQ(read_rows(plan.splits[0], 77).values, expected("columns-y"));
}

TEST_F(Hdf5, NumbersGroups) {
  const Source source = plan_here(at("columns.h5"), {.inputs = "Q", .targets = "y"}).splits[0];
  const std::vector<std::int64_t> days = source.groups("day"), stations = source.groups("/station"),
                                  flags = source.groups("flags");
  ASSERT_EQ(days.size(), 200U);
  ASSERT_EQ(stations.size(), 200U);
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_EQ(days[i], static_cast<std::int64_t>(i) / 20 - 3);
    EXPECT_EQ(stations[i], i * i % 3 == 0 ? 0 : 1);
    EXPECT_EQ(flags[i], i % 3 == 0 ? 1 : 0);
  }
  expect_says(error_of(ErrorKind::data, [&] { source.groups("T"); }), {"columns.h5: /T", "no integers"});
  expect_says(error_of(ErrorKind::data, [&] { source.groups("y"); }), {"columns.h5: /y", "2"});
  expect_says(error_of(ErrorKind::data, [&] { source.groups("nosuch"); }), {"no data set /nosuch"});
}

TEST_F(Hdf5, ReadsManyFilesWithTheRowAxisLast) {
  std::vector<std::string> inputs, targets;
  for (int i = 0; i < 23; ++i) {
    const std::string number = (i < 10 ? "00" : "0") + std::to_string(i);
    inputs.push_back(at("many/in-" + number + ".nc"));
    targets.push_back(at("many/out-" + number + ".nc"));
  }
  Request request{.data = at("many/in-*.nc"),
                  .inputs = "v, ps",
                  .targets = "ptend",
                  .row_axis = "-1",
                  .targets_data = at("many/out-*.nc")};
  const Plan plan = hdf5_plan(inputs, request, share_here);
  const Source& source = plan.splits.at(0);
  EXPECT_EQ(source.facts.name, "in-*.nc");
  EXPECT_EQ(source.facts.features, 61);
  EXPECT_EQ(source.facts.rows, 23 * 30 + 22 * 23 / 2);
  ASSERT_EQ(source.files.size(), 23U);
  EXPECT_EQ(source.files[2], 30 + 31);
  EXPECT_EQ(source.pieces, source.files);
  EXPECT_TRUE(source.any_rows);
  EXPECT_EQ(source.facts.kind, TargetKind::values);
  EXPECT_EQ(source.identity.find(folder_->path()), std::string::npos);
  for (const std::int64_t at_once : {source.facts.rows, std::int64_t{100}, std::int64_t{7}}) {
    const Rows rows = read_rows(source, at_once);
    EXPECT_TRUE(rows.inputs == expected("many-inputs"));
    EXPECT_TRUE(rows.values == expected("many-targets"));
  }

  const auto fails_with = [&](const std::string& another, const std::string& its_targets) {
    std::vector<std::string> more = inputs, all_targets = targets;
    more.push_back(at(another));
    all_targets.push_back(at(its_targets));
    std::ofstream list(at("targets.list"));
    for (const std::string& path : all_targets)
      list << std::filesystem::path(path).lexically_relative(at("")).string() << '\n';
    list.close();
    request.targets_data = at("targets.list");
    return error_of(ErrorKind::data, [&] { hdf5_plan(more, request, share_here); });
  };
  expect_says(fails_with("many/differs.h5", "many/out-000.nc"), {"differs.h5", "59", "in-000.nc", "60"});
  expect_says(fails_with("many/short.h5", "many/wrong-rows.h5"),
              {"short.h5", "30 rows", "wrong-rows.h5", "29 rows"});
  expect_says(fails_with("many/short.h5", "many/out-001.nc"), {"30 rows", "31 rows"});
  request.targets_data = at("many/out-00*.nc");
  expect_says(error_of(ErrorKind::data, [&] { hdf5_plan(inputs, request, share_here); }),
              {"names 10 files", "--data names 23"});
}

TEST_F(Hdf5, JoinsRowAxes) {
  expect_inputs(inputs_of("joined.h5", "w, z, p", "0,-1"), expected("joined"));
  expect_inputs(inputs_of("joined.h5", "w", "2, 0"), expected("joined-swapped"));
  expect_inputs(inputs_of("joined.h5", "z", "-1,0"), expected("joined-swapped"));
  expect_says(error_of(ErrorKind::usage, [] { inputs_of("joined.h5", "w", "0,-3"); }),
              {"--row-axis", "twice"});
  expect_says(error_of(ErrorKind::usage, [] { inputs_of("joined.h5", "p", "2"); }),
              {"no axis 2", "[10, 20]"});
  expect_says(error_of(ErrorKind::usage, [] { inputs_of("joined.h5", "w[0:3]", "0"); }), {"counts the rows"});
  expect_says(error_of(ErrorKind::data, [] { inputs_of("joined.h5", "w, p", "1"); }), {"6 rows", "20 rows"});
}

TEST_F(Hdf5, ReadsInSlabsWhateverTheChunks) {
  for (const std::string name : {"plain", "tall", "flat"}) {
    SCOPED_TRACE(name);
    expect_inputs(inputs_of("large.h5", name), expected("large"));
  }
  for (const std::string name : {"turned", "turned_z"}) {
    SCOPED_TRACE(name);
    expect_inputs(inputs_of("large.h5", name, "-1"), expected("large"));
  }
  EXPECT_TRUE(inputs_of("large.h5", "plain").pieces.empty());
  EXPECT_EQ(inputs_of("large.h5", "tall").pieces, (Shape{0, 9000, 18000, 27000}));
  EXPECT_EQ(inputs_of("large.h5", "flat").pieces[1], 704);  // whole chunks, of 256 KiB together
  EXPECT_EQ(inputs_of("large.h5", "turned_z", "1").pieces[1], 1000);
}

TEST_F(Hdf5, FindsUsualNamesAndTestSplits) {
  for (const std::string file : {"images.h5", "groups.h5"}) {
    const Plan plan = plan_here(at(file), {});
    ASSERT_EQ(plan.splits.size(), 2U) << file;
    EXPECT_EQ(plan.splits[0].facts.feature_shape, (Shape{8, 9}));
    EXPECT_EQ(plan.splits[0].facts.element_type, "uint8");
    EXPECT_EQ(plan.splits[0].facts.kind, TargetKind::classes);
    const Rows train = read_rows(plan.splits[0], 45), test = read_rows(plan.splits[1], 30);
    std::vector<float> inputs = train.inputs;
    inputs.insert(inputs.end(), test.inputs.begin(), test.inputs.end());
    std::vector<std::int32_t> classes = train.classes;
    classes.insert(classes.end(), test.classes.begin(), test.classes.end());
    EXPECT_TRUE(inputs == expected("images"));
    const std::vector<float> labels = expected("images-labels");
    EXPECT_TRUE(std::ranges::equal(classes, labels));
  }
  const Plan autoencoder = plan_here(at("images.h5"), {.task = "autoencoder"});
  EXPECT_EQ(autoencoder.splits.at(0).facts.kind, TargetKind::none);
  EXPECT_EQ(autoencoder.splits.at(1).facts.rows, 30);
  const Plan one_said = plan_here(at("images.h5"), {.inputs = "x_train"});
  EXPECT_EQ(one_said.splits.size(), 2U);
  EXPECT_EQ(plan_here(at("elsewhere.h5"), {.without_targets = true}).splits.at(0).facts.features, 3);
}

TEST_F(Hdf5, DecidesTheTaskByTargets) {
  const auto plan = [](const std::string& targets, const std::string& task = "") {
    return plan_here(at("classes.h5"), {.task = task, .targets = targets});
  };
  const std::vector<float> sorted = expected("classes-index"), plain = expected("classes-plain");
  for (const std::string targets : {"fixed", "vlen"}) {
    const Plan named = plan(targets);
    EXPECT_EQ(named.class_names, (std::vector<std::string>{"beech", "elm", "oak", "spruce"}));
    EXPECT_EQ(named.splits[0].facts.class_names, named.class_names);
    EXPECT_EQ(named.splits[0].facts.targets, 4);
    EXPECT_TRUE(std::ranges::equal(read_rows(named.splits[0], 13).classes, sorted)) << targets;
  }
  for (const Plan& classes : {plan("index"), plan("float", "classification")})
    EXPECT_TRUE(std::ranges::equal(read_rows(classes.splits[0], 13).classes, plain));
  EXPECT_EQ(plan("bool").splits[0].facts.targets, 2);
  EXPECT_EQ(plan("float_fraction").splits[0].facts.kind, TargetKind::values);
  EXPECT_EQ(plan("index", "regression").splits[0].facts.kind, TargetKind::values);
  const Plan distribution = plan("distribution", "classification");
  EXPECT_EQ(distribution.splits[0].facts.kind, TargetKind::values);
  EXPECT_EQ(distribution.splits[0].facts.targets, 4);
  EXPECT_TRUE(read_rows(distribution.splits[0], 13).values == expected("classes-distribution"));
  EXPECT_EQ(plan("onehot", "classification").splits[0].facts.kind, TargetKind::values);
  EXPECT_EQ(plan("fixed", "autoencoder").splits[0].facts.kind, TargetKind::none);

  const auto refused = [&](const std::string& targets, const std::string& part) {
    expect_says(error_of(ErrorKind::usage, [&] { plan(targets); }), {"--task", targets, part});
  };
  refused("float", "whole numbers");
  refused("ids", "3000000");
  refused("negative", "-1");
  refused("onehot", "4 columns of integers");
  expect_says(error_of(ErrorKind::usage, [&] { plan("fixed", "regression"); }), {"--task", "texts"});
}

TEST_F(Hdf5, GivesTheClassesOfAModelTheirIndices) {
  const std::vector<std::string> known{"oak", "spruce", "elm", "beech"};
  const Plan plan = plan_here(at("classes.h5"), {.targets = "vlen", .class_names = known});
  const std::vector<float> plain = expected("classes-plain");
  const std::vector<std::int32_t> classes = read_rows(plan.splits[0], 90).classes;
  const std::vector<std::int32_t> as_known{1, 0, 3, 2};  // of spruce, oak, beech, elm
  for (std::size_t i = 0; i < 90; ++i) EXPECT_EQ(classes[i], as_known[static_cast<std::size_t>(plain[i])]);

  const Plan other = plan_here(at("classes-other.h5"), {.targets = "fixed", .class_names = known});
  expect_says(error_of(ErrorKind::data, [&] { read_rows(other.splits[0], 5); }),
              {"classes-other.h5: /fixed", "row 3", "'larch'"});
  const Plan fewer = plan_here(at("classes.h5"), {.targets = "index", .class_names = {"a", "b", "c"}});
  expect_says(error_of(ErrorKind::data, [&] { read_rows(fewer.splits[0], 90); }),
              {"/index", "label 3", "0 to 2"});
}

TEST_F(Hdf5, KeepsTheConventionsOfNetcdf) {
  const Source packed = inputs_of("conventions.h5", "packed");
  expect_inputs(packed, expected("conventions"));
  EXPECT_EQ(packed.facts.element_type, "int16");
  const auto refused = [](const std::string& inputs, const std::vector<std::string>& parts) {
    const Source source = inputs_of("conventions.h5", inputs);
    expect_says(error_of(ErrorKind::data, [&] { read_rows(source, 40); }), parts);
    expect_says(error_of(ErrorKind::data, [&] { read_rows(source, 7); }), parts);
  };
  refused("holed", {"conventions.h5: /holed", "row 17", "column 2", "-999", "_FillValue"});
  refused("y, wide", {"/wide", "row 31", "column 0", "1e+20", "missing"});
  const Plan labels =
      plan_here(at("conventions.h5"), {.task = "classification", .inputs = "y", .targets = "labels"});
  expect_says(error_of(ErrorKind::data, [&] { read_rows(labels.splits[0], 40); }),
              {"/labels", "row 9", "255"});
  // The scale of a dimension is no data of its own.
  const std::string listed = error_of(ErrorKind::usage, [] { plan_here(at("conventions.h5"), {}); });
  expect_says(listed, {"holed", "int16 [40, 3]"});
  EXPECT_EQ(listed.find("\n  lev"), std::string::npos) << listed;
}

TEST_F(Hdf5, FollowsLinksOnlyWhenAllowed) {
  for (const std::string name : {"external", "virtual", "outside"}) {
    const Request request{.inputs = name, .targets = "y"};
    expect_says(error_of(ErrorKind::data, [&] { plan_here(at("links.h5"), request); }),
                {name, "--follow-links"});
    Request allowed = request;
    allowed.follow_links = true;
    const Plan plan = plan_here(at("links.h5"), allowed);
    const std::vector<float> inputs = read_rows(plan.splits[0], 20).inputs;
    EXPECT_TRUE(inputs == (name == "outside" ? std::vector<float>(60, 1.0f) : expected("elsewhere"))) << name;
  }
  const Request nowhere{.inputs = "virtual_nowhere", .targets = "y", .follow_links = true};
  expect_says(error_of(ErrorKind::data, [&] { plan_here(at("links.h5"), nowhere); }),
              {"nowhere.h5", "not there"});
}

TEST_F(Hdf5, KnowsItsFiles) {
  EXPECT_TRUE(is_hdf5("a/b.nc4"));
  EXPECT_TRUE(is_hdf5("nosuch.hdf5"));
  EXPECT_FALSE(is_hdf5("nosuch"));
  EXPECT_FALSE(is_hdf5(at("")));
  EXPECT_TRUE(is_hdf5(at("user_block.dat")));
  EXPECT_FALSE(is_hdf5(at("outside.raw")));
}

}  // namespace
}  // namespace trainer::data
