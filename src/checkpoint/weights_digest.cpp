#include <algorithm>
#include <bit>
#include <vector>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/core/digest.h"

namespace trainer::checkpoint {

static_assert(std::endian::native == std::endian::little, "the digest is over little-endian values");

std::string weights_digest(const std::vector<Tensor>& model) {
  std::vector<const Tensor*> in_order;
  for (const Tensor& tensor : model) in_order.push_back(&tensor);
  std::ranges::sort(in_order, {}, [](const Tensor* tensor) -> const std::string& { return tensor->path; });
  Digest digest;
  for (const Tensor* tensor : in_order) {
    digest.add("/model/" + tensor->path);
    digest.add(tensor->values.data(), tensor->values.size() * sizeof(float));
  }
  return digest.hex();
}

}  // namespace trainer::checkpoint
