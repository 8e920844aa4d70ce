#include <gtest/gtest.h>
#include <hdf5.h>

#include <fstream>

#include "scratch.h"
#include "trainer/h5/file.h"

namespace trainer::h5 {

namespace {

// Files that no reader of ours should follow, made with the library itself.
class RefusalTest : public Scratch {
 protected:
  std::filesystem::path path() const { return at("a.h5"); }

  template <class Fill>
  void make(const Fill& fill) {
    const hid_t file = H5Fcreate(path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    const hid_t group = H5Gcreate2(file, "/g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    fill(file);
    ASSERT_GE(H5Fclose(file), 0);
  }

  static void make_data(hid_t file, const char* name, hid_t type, std::vector<hsize_t> shape,
                        hid_t creation = H5P_DEFAULT) {
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t data = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    ASSERT_GE(data, 0);
    H5Dclose(data);
    H5Sclose(space);
  }

  // The same refusal whether the data set is named or met on the way.
  void expect_refused(const std::string& part) const {
    const File file = File::open_read(path());
    const std::string named = error_of(ErrorKind::data, [&] { file.read_floats("/g/x"); });
    EXPECT_TRUE(contains(named, part)) << named;
    EXPECT_TRUE(contains(named, "a.h5")) << named;
    const std::string met = error_of(ErrorKind::data, [&] { file.data_sets("/g"); });
    EXPECT_TRUE(contains(met, part)) << met;
  }
};

TEST_F(RefusalTest, LinksThatLeadElsewhere) {
  make([](hid_t file) { H5Lcreate_soft("/y", file, "/g/x", H5P_DEFAULT, H5P_DEFAULT); });
  expect_refused("soft or external link");
  make([](hid_t file) { H5Lcreate_external("/etc/passwd", "/y", file, "/g/x", H5P_DEFAULT, H5P_DEFAULT); });
  expect_refused("soft or external link");
}

TEST_F(RefusalTest, AGroupThatContainsItself) {
  make([](hid_t file) { H5Lcreate_hard(file, "/g", file, "/g/x", H5P_DEFAULT, H5P_DEFAULT); });
  const File file = File::open_read(path());
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.data_sets("/g"); }), "more than one link"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.data_sets("/"); }), "more than one link"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.read_f32("/g/x"); }), "not a data set"));
}

TEST_F(RefusalTest, GroupsNestedWithoutEnd) {
  make([](hid_t file) {
    std::string name = "/g";
    for (int i = 0; i < 100; ++i) {
      name += "/g";
      H5Gclose(H5Gcreate2(file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    }
  });
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { File::open_read(path()).data_sets("/"); }), "deeper than 64"));
}

TEST_F(RefusalTest, CompressedValues) {
  make([](hid_t file) {
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk = 10;
    H5Pset_chunk(creation, 1, &chunk);
    H5Pset_deflate(creation, 6);
    make_data(file, "/g/x", H5T_IEEE_F32LE, {100}, creation);
    H5Pclose(creation);
  });
  expect_refused("h5repack -f NONE");
}

TEST_F(RefusalTest, ValuesInAnotherFile) {
  make([](hid_t file) {
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, "/etc/passwd", 0, 400);
    make_data(file, "/g/x", H5T_IEEE_F32LE, {100}, creation);
    H5Pclose(creation);
  });
  expect_refused("another file");
}

TEST_F(RefusalTest, VirtualDataSets) {
  make([](hid_t file) {
    const hsize_t rows = 100;
    const hid_t space = H5Screate_simple(1, &rows, nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(creation, space, "other.h5", "/x", space);
    make_data(file, "/g/x", H5T_IEEE_F32LE, {100}, creation);
    H5Pclose(creation);
    H5Sclose(space);
  });
  expect_refused("virtual");
}

TEST_F(RefusalTest, MoreValuesThanTheFileHolds) {
  make([](hid_t file) { make_data(file, "/g/x", H5T_IEEE_F32LE, {hsize_t{1} << 40}); });
  expect_refused("claims more values");
  make([](hid_t file) { make_data(file, "/g/x", H5T_IEEE_F32LE, {hsize_t{1} << 31, hsize_t{1} << 31, 8}); });
  expect_refused("claims more values");
  make([](hid_t file) { make_data(file, "/g/x", H5T_IEEE_F32LE, {10}); });
  expect_refused("not all written");
}

TEST_F(RefusalTest, OtherTypes) {
  make([](hid_t file) {
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    make_data(file, "/g/x", H5T_STD_I32LE, {10}, creation);
    make_data(file, "/g/u", H5T_STD_U64BE, {10}, creation);
    H5Pclose(creation);
  });
  const File file = File::open_read(path());
  EXPECT_EQ(file.describe("/g/x").type, ElementType::integer);
  EXPECT_EQ(file.read_i64("/g/x"), std::vector<std::int64_t>(10));
  EXPECT_EQ(file.read_i64("/g/u"), std::vector<std::int64_t>(10));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.read_floats("/g/x"); }), "floats"));
}

TEST_F(RefusalTest, NumbersThatDoNotFitAreNotClipped) {
  make([](hid_t file) {
    const std::uint64_t large = std::uint64_t{1} << 63;
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t data = H5Dcreate2(file, "/g/x", H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Dwrite(data, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, &large);
    H5Dclose(data);
    const hid_t attribute = H5Acreate2(file, "large", H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, H5T_NATIVE_UINT64, &large);
    H5Aclose(attribute);
    H5Sclose(space);
  });
  const File file = File::open_read(path());
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.read_i64("/g/x"); }),
                       "9223372036854775808 does not fit"));
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { file.attributes("/"); }), "9223372036854775808 does not fit"));
}

TEST_F(RefusalTest, AttributesOfOtherKinds) {
  make([](hid_t file) {
    const hsize_t shape[2] = {2, 2};
    const hid_t space = H5Screate_simple(2, shape, nullptr);
    H5Aclose(H5Acreate2(file, "table", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
  });
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { File::open_read(path()).attributes("/"); }),
                       "attribute 'table' of /"));
}

TEST_F(RefusalTest, WhatWeWriteCarriesNoTimes) {
  File written = File::create(path());
  written.write("/g/x", std::vector<std::int64_t>{1}, std::vector<float>{1});
  written.close();
  const hid_t file = H5Fopen(path().c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  for (const char* name : {"/", "/g", "/g/x"}) {
    H5O_info_t info;
    ASSERT_GE(H5Oget_info_by_name2(file, name, &info, H5O_INFO_TIME, H5P_DEFAULT), 0);
    EXPECT_EQ(info.ctime, 0) << name;
  }
  H5Fclose(file);
}

TEST_F(RefusalTest, FixedLengthTextIsRead) {
  make([](hid_t file) {
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 5);
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file, "word", type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, "abc\0\0");
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
  });
  EXPECT_EQ(File::open_read(path()).attributes("/"), (Attributes{{"word", std::string("abc")}}));
}

TEST_F(RefusalTest, WhatIsNotThere) {
  make([](hid_t file) { H5Gclose(H5Gcreate2(file, "/g/h", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)); });
  const File file = File::open_read(path());
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.read_f32("/g/none"); }), "has no /g/none"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.read_f32("/g/h"); }), "/g/h: is not a data set"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { file.attributes("/none"); }), "has no /none"));
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { File::open_read(at("none.h5")); }), "there is no such file"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { File::open_read(at(".")); }), "not a file"));
  std::ofstream(at("text.h5")) << "not HDF5";
  EXPECT_TRUE(
      contains(error_of(ErrorKind::data, [&] { File::open_read(at("text.h5")); }), "is not an HDF5 file"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { File::open_image("memory", {}); }), "is empty"));
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { File::create(at("none/a.h5")).close(); }),
                       "cannot be written (open)"));
}

}  // namespace

}  // namespace trainer::h5
