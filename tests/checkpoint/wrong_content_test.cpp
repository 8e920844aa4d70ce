#include <gtest/gtest.h>

#include <functional>

#include "reseal.h"
#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/h5/file.h"

namespace trainer::checkpoint {

namespace {

using Shape = std::vector<std::int64_t>;

// Well-formed files with a right digest in front that are not what a checkpoint must be.
class WrongContentTest : public Scratch {
 protected:
  struct Parts {
    Attributes root{sample().root};
    bool model_group = true;
    Attributes model{sample().model_attributes};
    std::vector<Tensor> tensors{sample().model};
    Attributes optimizer{sample().optimizer_attributes};
    Attributes progress{sample().progress};
    Attributes history{{"columns", std::vector<std::string>{}}};
    std::function<void(h5::File&)> more = [](h5::File&) {};
  };

  static Parts whole() {
    Parts parts;
    parts.root["format"] = std::string("trainer");
    parts.root["version"] = std::int64_t{1};
    parts.root["weights"] = weights_digest(parts.tensors);
    return parts;
  }

  void put(const Parts& parts) const {
    h5::File file = h5::File::create_in_memory(512, 0);
    file.set_attributes("/", parts.root);
    for (const char* group : {"/scaling", "/optimizer", "/progress", "/history"}) file.create_group(group);
    if (parts.model_group) {
      file.create_group("/model");
      file.set_attributes("/model", parts.model);
      for (const Tensor& tensor : parts.tensors)
        file.write("/model/" + tensor.path, tensor.shape, tensor.values);
    }
    file.set_attributes("/optimizer", parts.optimizer);
    file.set_attributes("/progress", parts.progress);
    file.set_attributes("/history", parts.history);
    parts.more(file);
    const auto image = file.image();
    reseal(image);
    const auto* begin = reinterpret_cast<const char*>(image.data());
    put_bytes(at("a.h5"), {begin, begin + image.size()});
  }

  void expect_refused(const Parts& parts, const std::string& part) const {
    put(parts);
    const std::string message = error_of(ErrorKind::data, [&] { read(at("a.h5")); });
    EXPECT_TRUE(contains(message, part)) << message;
    EXPECT_TRUE(contains(message, "a.h5")) << message;
  }
};

TEST_F(WrongContentTest, TheFileMadeHereIsGoodUntilItIsChanged) {
  put(whole());
  EXPECT_EQ(read(at("a.h5")).model, sample().model);
}

TEST_F(WrongContentTest, MissingOrMistypedAttributes) {
  Parts parts = whole();
  parts.root.erase("format");
  expect_refused(parts, "'format' is missing");
  parts = whole();
  parts.root["format"] = std::string("other");
  expect_refused(parts, "is not a checkpoint of trainer");
  parts = whole();
  parts.root["version"] = std::int64_t{2};
  expect_refused(parts, "has version 2");
  parts = whole();
  parts.root["version"] = std::string("1");
  expect_refused(parts, "'version' is of the wrong type");
  parts = whole();
  parts.root.erase("seed");
  expect_refused(parts, "'seed' is missing");
  parts = whole();
  parts.model.erase("model");
  expect_refused(parts, "/model: attribute 'model' is missing");
  parts = whole();
  parts.model["layers"] = std::string("dense");
  expect_refused(parts, "'layers' is of the wrong type");
  parts = whole();
  parts.optimizer.erase("text");
  expect_refused(parts, "/optimizer: attribute 'text' is missing");
  parts = whole();
  parts.progress.erase("row");
  expect_refused(parts, "/progress: attribute 'row' is missing");
}

TEST_F(WrongContentTest, WeightsOtherThanThoseSaved) {
  Parts parts = whole();
  parts.tensors.front().values.front() += 1;
  expect_refused(parts, "the weights have the digest");
  parts = whole();
  parts.tensors.front().path = "00_dense/bios";
  expect_refused(parts, "the weights have the digest");
  parts = whole();
  parts.tensors.front().values.front() = std::numeric_limits<float>::quiet_NaN();
  expect_refused(parts, "/model/00_dense/bias: element 0 of 2 is nan");
}

TEST_F(WrongContentTest, MissingGroupsAndOtherTypes) {
  Parts parts = whole();
  parts.model_group = false;
  expect_refused(parts, "has no /model");
  parts = whole();
  parts.more = [](h5::File& file) { file.write("/model/x", Shape{1}, std::vector<double>{1}); };
  expect_refused(parts, "/model/x: its values are not 32-bit floats");
  parts = whole();
  parts.more = [](h5::File& file) { file.write("/optimizer/x", Shape{1}, std::vector<std::int64_t>{1}); };
  expect_refused(parts, "/optimizer/x: its values are not 32-bit floats");
  parts = whole();
  parts.more = [](h5::File& file) { file.write("/optimizer/x", Shape{1}, std::vector<float>{-INFINITY}); };
  expect_refused(parts, "/optimizer/x: element 0 of 1 is infinite");
  parts = whole();
  parts.more = [](h5::File& file) { file.write("/scaling/mean", Shape{1, 1}, std::vector<double>{1}); };
  expect_refused(parts, "/scaling/mean: has 2 axes");
  parts = whole();
  parts.more = [](h5::File& file) {
    file.write("/scaling/deviation", Shape{1}, std::vector<double>{1});
    file.write("/scaling/mean", Shape{1}, std::vector<double>{NAN});
  };
  expect_refused(parts, "/scaling/mean: holds a value that is not finite");
}

TEST_F(WrongContentTest, HistoryThatDoesNotFitTogether) {
  Parts parts = whole();
  parts.history["columns"] = std::vector<std::string>{"a", "b"};
  expect_refused(parts, "has no /history/a");
  parts.more = [](h5::File& file) {
    file.write("/history/a", Shape{1}, std::vector<double>{1});
    file.write("/history/b", Shape{2}, std::vector<double>{1, 2});
  };
  expect_refused(parts, "/history/b: 2 rows where /history/a has 1");
  parts.history["columns"] = std::vector<std::string>{"a", "b", "../model/00_dense/bias"};
  expect_refused(parts, "has no /history/..");
}

TEST_F(WrongContentTest, AFileChangedOnPurposeIsReadWhenAskedFor) {
  Parts parts = whole();
  parts.tensors.front().values.front() += 1;
  put(parts);
  EXPECT_EQ(read(at("a.h5"), Check::contents).model, parts.tensors);
  EXPECT_EQ(read_weights(at("a.h5")), parts.tensors);
  parts.tensors.front().values.front() = NAN;
  put(parts);
  error_of(ErrorKind::data, [&] { read(at("a.h5"), Check::contents); });
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_weights(at("a.h5")); }), "is nan"));
  parts.model_group = false;
  put(parts);
  EXPECT_TRUE(contains(error_of(ErrorKind::data, [&] { read_weights(at("a.h5")); }), "has no group /model"));
}

}  // namespace

}  // namespace trainer::checkpoint
