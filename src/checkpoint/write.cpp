#include <algorithm>
#include <vector>

#include "content_rules.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/core/digest.h"
#include "trainer/h5/atomic_file.h"
#include "trainer/h5/file.h"
#include "user_block.h"

namespace trainer::checkpoint {

namespace {

constexpr std::int64_t kBytesPerObject = 1024;  // headers, links and attributes, generously

std::int64_t expected_bytes(const Checkpoint& checkpoint) {
  std::int64_t bytes = 64 * kBytesPerObject;
  for (const auto* tensors : {&checkpoint.model, &checkpoint.average, &checkpoint.optimizer}) {
    for (const Tensor& tensor : *tensors)
      bytes += kBytesPerObject + static_cast<std::int64_t>(tensor.values.size() * sizeof(float));
  }
  for (const auto& [column, values] : checkpoint.scaling)
    bytes += kBytesPerObject + static_cast<std::int64_t>(values.size() * sizeof(double));
  for (const auto& [column, values] : checkpoint.history)
    bytes += kBytesPerObject + static_cast<std::int64_t>(values.size() * sizeof(double));
  return bytes;
}

// In path order, whatever order they were given in: equal content gives equal bytes.
void write_tensors(h5::File& file, const std::string& group, const std::vector<Tensor>& tensors) {
  std::vector<const Tensor*> in_order;
  for (const Tensor& tensor : tensors) in_order.push_back(&tensor);
  std::ranges::sort(in_order, {}, [](const Tensor* tensor) -> const std::string& { return tensor->path; });
  for (const Tensor* tensor : in_order) file.write(group + '/' + tensor->path, tensor->shape, tensor->values);
}

void write_column(h5::File& file, const std::string& path, const std::vector<double>& values) {
  const std::int64_t shape[] = {static_cast<std::int64_t>(values.size())};
  file.write(path, shape, values);
}

Attributes root_attributes(const Checkpoint& checkpoint) {
  Attributes root = checkpoint.root;
  root["format"] = std::string("trainer");
  root["version"] = kVersion;
  root["weights"] = weights_digest(checkpoint.model);
  return root;
}

h5::File build(const Checkpoint& checkpoint) {
  h5::File file = h5::File::create_in_memory(kUserBlockBytes, expected_bytes(checkpoint));
  file.set_attributes("/", root_attributes(checkpoint));
  for (const char* group : {"/model", "/scaling", "/optimizer", "/progress", "/history"})
    file.create_group(group);
  file.set_attributes("/model", checkpoint.model_attributes);
  write_tensors(file, "/model", checkpoint.model);
  if (!checkpoint.average.empty()) {
    file.create_group("/average");
    write_tensors(file, "/average", checkpoint.average);
  }
  file.set_attributes("/scaling", checkpoint.scaling_attributes);
  for (const auto& [column, values] : checkpoint.scaling) write_column(file, "/scaling/" + column, values);
  file.set_attributes("/optimizer", checkpoint.optimizer_attributes);
  write_tensors(file, "/optimizer", checkpoint.optimizer);
  file.set_attributes("/progress", checkpoint.progress);
  std::vector<std::string> columns;
  for (const auto& [column, values] : checkpoint.history) {
    write_column(file, "/history/" + column, values);
    columns.push_back(column);
  }
  file.set_attribute("/history", "columns", columns);
  return file;
}

}  // namespace

void write(const std::filesystem::path& path, const Checkpoint& checkpoint) {
  require_whole(checkpoint, ErrorKind::internal, path.string());
  require_finite(checkpoint, ErrorKind::numeric, path.string());
  // HDF5 never sees the disk: it cannot be left half open by a full one, and each write error is ours to see.
  h5::File file = build(checkpoint);
  const std::span<std::byte> image = file.image();
  const std::span<const std::byte> content = image.subspan(kUserBlockBytes);
  const auto block =
      make_user_block({digest_of(content.data(), content.size()), static_cast<std::int64_t>(content.size())});
  std::ranges::copy(block, image.begin());
  h5::write_atomically(path, image);
}

}  // namespace trainer::checkpoint
