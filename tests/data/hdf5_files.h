#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hdf5_plan.h"
#include "temporary_folder.h"
#include "trainer/core/error.h"

namespace trainer::data {

/// The files of hdf5_files.py, written once for each suite; without h5py its tests are skipped.
class Hdf5Files : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::system("/usr/bin/python3 -c 'import h5py, numpy' 2> /dev/null") != 0) return;
    folder_ = std::make_unique<TemporaryFolder>();
    const std::string command = text("/usr/bin/python3 '", HDF5_FILES_SCRIPT, "' '", folder_->path(), "'");
    if (std::system(command.c_str()) != 0) ADD_FAILURE() << "failed: " << command;
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (!folder_) GTEST_SKIP() << "/usr/bin/python3 has no h5py and numpy, which write the files";
    testing::internal::CaptureStderr();
  }
  void TearDown() override {
    if (!folder_) return;
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");  // HDF5 itself prints nothing
  }

  static std::string at(const std::string& name) { return folder_->file(name); }

  static std::vector<float> expected(const std::string& name) {
    std::ifstream file(at(name + ".f32"), std::ios::binary | std::ios::ate);
    std::vector<float> values(static_cast<std::size_t>(file.tellg()) / sizeof(float));
    file.seekg(0);
    file.read(reinterpret_cast<char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof(float)));
    EXPECT_TRUE(file.good()) << name;
    return values;
  }

  static std::unique_ptr<TemporaryFolder> folder_;
};
inline std::unique_ptr<TemporaryFolder> Hdf5Files::folder_;

/// Runs all tasks here.
inline std::vector<std::string> share_here(std::int64_t count,
                                           const std::function<std::string(std::int64_t)>& task) {
  std::vector<std::string> results;
  for (std::int64_t i = 0; i < count; ++i) results.push_back(task(i));
  return results;
}

inline Plan plan_here(const std::string& path, Request request) {
  request.data = path;
  return hdf5_plan({path}, request, share_here);
}

struct Rows {
  std::vector<float> inputs;
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> classes;
  std::vector<float> values;
};

/// All rows, `at_once` at a time and from the last to the first.
inline Rows read_rows(const Source& source, std::int64_t at_once) {
  const DataFacts& facts = source.facts;
  Rows out;
  const auto size = [&](std::int64_t columns) { return static_cast<std::size_t>(facts.rows * columns); };
  const bool bytes = facts.element_type == "uint8";
  (bytes ? out.bytes.resize(size(facts.features)) : out.inputs.resize(size(facts.features)));
  if (facts.kind == TargetKind::classes) out.classes.resize(size(1));
  if (facts.kind == TargetKind::values) out.values.resize(size(facts.targets));
  for (std::int64_t begin = (facts.rows - 1) / at_once * at_once; begin >= 0; begin -= at_once) {
    RowStore store;
    if (bytes) store.bytes = out.bytes.data() + begin * facts.features;
    if (!bytes) store.floats = out.inputs.data() + begin * facts.features;
    if (!out.classes.empty()) store.classes = out.classes.data() + begin;
    if (!out.values.empty()) store.values = out.values.data() + begin * facts.targets;
    source.read({begin, std::min(facts.rows, begin + at_once)}, store);
  }
  if (bytes) out.inputs.assign(out.bytes.begin(), out.bytes.end());
  return out;
}

/// The message of the Error(kind) that `work` must throw.
template <class Work>
std::string error_of(ErrorKind kind, const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline void expect_says(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "'" << message << "' does not say '" << part << "'";
}

}  // namespace trainer::data
