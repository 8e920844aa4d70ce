#include "trainer/h5/table.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <cmath>

#include "scratch.h"

namespace trainer::h5 {

namespace {

class TableTest : public Scratch {
 protected:
  std::filesystem::path path() const { return at("a.h5"); }

  template <class Fill>
  void make(const Fill& fill) {
    const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    fill(file);
    ASSERT_GE(H5Fclose(file), 0);
  }

  template <class Value>
  static hid_t write(hid_t file, const char* name, hid_t stored, hid_t given, std::vector<hsize_t> shape,
                     const std::vector<Value>& values, hid_t creation = H5P_DEFAULT) {
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t data = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    EXPECT_GE(data, 0);
    if (!values.empty()) {
      EXPECT_GE(H5Dwrite(data, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
    }
    H5Sclose(space);
    return data;
  }

  static void set_attribute(hid_t data, const char* name, double value) {
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(data, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    EXPECT_GE(H5Awrite(attribute, H5T_NATIVE_DOUBLE, &value), 0);
    H5Aclose(attribute);
    H5Sclose(space);
  }
};

TEST_F(TableTest, ReadsSlabsOfAnyType) {
  make([](hid_t file) {
    std::vector<int> values(24);
    for (int i = 0; i < 24; ++i) values[static_cast<std::size_t>(i)] = i - 5;
    H5Dclose(write(file, "x", H5T_STD_I16BE, H5T_NATIVE_INT, {4, 6}, values));
  });
  const TableFile file = TableFile::open(path());
  EXPECT_TRUE(file.has("x"));
  EXPECT_TRUE(file.has("/x"));
  EXPECT_FALSE(file.has("/x/y"));
  EXPECT_FALSE(file.has("/"));
  EXPECT_FALSE(file.has(""));
  const Table table = file.table("/x");
  EXPECT_EQ(table.facts().type, "int16");
  EXPECT_EQ(table.facts().kind, TableKind::integer);
  EXPECT_EQ(table.facts().shape, (std::vector<std::int64_t>{4, 6}));
  const Slab slab{{1, 0}, {2, 3}, {2, 2}};
  std::vector<float> floats(6);
  table.read(slab, floats.data());
  EXPECT_EQ(floats, (std::vector<float>{1, 3, 5, 13, 15, 17}));
  std::vector<std::int64_t> integers(6);
  EXPECT_FALSE(table.read(slab, integers.data()).has_value());
  EXPECT_EQ(integers, (std::vector<std::int64_t>{1, 3, 5, 13, 15, 17}));
  // Beyond the data set is a defect of the caller.
  error_of(ErrorKind::internal, [&] { table.read({{1, 0}, {2, 4}, {2, 2}}, floats.data()); });
  error_of(ErrorKind::internal, [&] { table.read({{0}, {1}, {1}}, floats.data()); });
  std::uint8_t byte = 0;
  error_of(ErrorKind::internal, [&] { table.read({{0, 0}, {1, 1}, {1, 1}}, &byte); });
}

TEST_F(TableTest, ATableOutlivesItsFile) {
  make([](hid_t file) {
    H5Dclose(write(file, "x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2}, std::vector<float>{1, 2}));
  });
  Table table = TableFile::open(path()).table("x");
  table.keep_chunks(1 << 20);
  std::vector<float> values(2);
  table.read({{0}, {2}, {1}}, values.data());
  EXPECT_EQ(values, (std::vector<float>{1, 2}));
}

TEST_F(TableTest, MissingAndScaledValues) {
  make([](hid_t file) {
    const hid_t data = write(file, "x", H5T_STD_I16LE, H5T_NATIVE_INT, {4}, std::vector<int>{10, -1, 20, -1});
    set_attribute(data, "missing_value", -1);
    set_attribute(data, "scale_factor", 0.5);
    set_attribute(data, "add_offset", 3);
    H5Dclose(data);
    const hid_t labels = write(file, "y", H5T_STD_U8LE, H5T_NATIVE_INT, {3}, std::vector<int>{1, 255, 2});
    set_attribute(labels, "_FillValue", 255);
    H5Dclose(labels);
  });
  const TableFile file = TableFile::open(path());
  const Table table = file.table("x");
  EXPECT_TRUE(table.facts().has_missing);
  EXPECT_TRUE(table.facts().is_scaled);
  EXPECT_EQ(table.facts().kind, TableKind::floating);
  std::vector<float> values(4);
  table.read({{0}, {4}, {1}}, values.data());
  EXPECT_EQ(values[0], 8.0f);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], 13.0f);
  EXPECT_TRUE(contains(table.trouble({{1}, {1}, {1}}), "missing"));
  std::vector<std::int64_t> labels(3);
  EXPECT_EQ(file.table("y").read({{0}, {3}, {1}}, labels.data()), 1);
}

TEST_F(TableTest, ListsAGroupThatContainsItselfOnce) {
  make([](hid_t file) {
    H5Gclose(H5Gcreate2(file, "/g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Lcreate_hard(file, "/g", file, "/g/again", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/g/x", file, "/soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/circle", file, "/circle", H5P_DEFAULT, H5P_DEFAULT);
    H5Dclose(write(file, "/g/x", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2}, std::vector<float>{1, 2}));
    H5Dclose(write(file, "/g/y", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2}, std::vector<float>{1, 2}));
  });
  const TableFile file = TableFile::open(path());
  ASSERT_EQ(file.list(10).size(), 2U);
  EXPECT_EQ(file.list(10)[0].path, "/g/x");
  EXPECT_EQ(file.list(1).size(), 1U);
  EXPECT_TRUE(file.has("/g/again/again/x"));
  EXPECT_TRUE(file.has("soft"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.has("circle"); }), "soft links"));
}

TEST_F(TableTest, NeverAllocatesByDeclaredSizes) {
  make([](hid_t file) {
    const hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {1 << 15, 1 << 15};
    H5Pset_chunk(chunked, 2, chunk);  // of 1 GiB, never written
    H5Dclose(
        write(file, "none", H5T_STD_I8LE, H5T_NATIVE_INT, {1 << 20, 1 << 20}, std::vector<int>{}, chunked));
    H5Pclose(chunked);
    const hid_t early = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t small[] = {16};
    H5Pset_chunk(early, 1, small);
    H5Pset_deflate(early, 9);
    // One chunk of many is written: its fill values would be read for the others.
    const hid_t data =
        write(file, "part", H5T_STD_I8LE, H5T_NATIVE_INT, {1 << 20}, std::vector<int>{}, early);
    const hid_t space = H5Dget_space(data);
    const hsize_t start = 0, count = 16;
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, nullptr, &count, nullptr);
    const hid_t memory = H5Screate_simple(1, &count, nullptr);
    const std::vector<int> values(16, 1);
    EXPECT_GE(H5Dwrite(data, H5T_NATIVE_INT, memory, space, H5P_DEFAULT, values.data()), 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(data);
    H5Pclose(early);
  });
  const TableFile file = TableFile::open(path());
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.table("none"); }), "never written"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.table("part"); }), "never written"));
  EXPECT_EQ(file.list(10).size(), 2U);  // they can still be named
}

TEST_F(TableTest, FilesThatAreNone) {
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { TableFile::open(at("none.h5")); }), "no such file"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { TableFile::open(at("")); }), "not a file"));
}

}  // namespace

}  // namespace trainer::h5
