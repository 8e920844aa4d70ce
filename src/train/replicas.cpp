#include "trainer/train/replicas.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/digest.h"

namespace trainer::train {
namespace {

/// Calls visit(tensor, its values) for all parameters, then all statistics.
template <class Visit>
void for_tensors(const nn::Network& network, std::span<const float> parameters,
                 std::span<const float> statistics, const Visit& visit) {
  const auto each = [&](const std::vector<nn::Tensor>& tensors, std::span<const float> flat) {
    for (const nn::Tensor& tensor : tensors)
      visit(tensor,
            flat.subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.size)));
  };
  each(network.parameters(), parameters);
  each(network.statistics(), statistics);
}

/// The text that most ranks have; of several, that of the lowest rank.
std::string most_common(const std::vector<std::string>& texts) {
  std::map<std::string, int> counts;
  for (const std::string& one : texts) ++counts[one];
  return *std::ranges::max_element(texts, {}, [&](const std::string& one) { return counts[one]; });
}

}  // namespace

void require_same_replicas(const comm::Communicator& world, const nn::Network& network,
                           std::span<const float> parameters, std::span<const float> statistics,
                           std::int64_t step) {
  if (world.size() == 1) return;
  Digest digest;
  for_tensors(network, parameters, statistics, [&](const nn::Tensor&, std::span<const float> values) {
    digest.add(values.data(), values.size_bytes());
  });
  const std::vector<std::string> digests = world.all_gather(digest.hex());
  const std::string expected = most_common(digests);
  if (std::ranges::count(digests, expected) == std::ssize(digests)) return;

  std::string lines;  // a line a tensor
  for_tensors(network, parameters, statistics, [&](const nn::Tensor& tensor, std::span<const float> values) {
    lines += text(tensor.path, " ", digest_of(values.data(), values.size_bytes()), "\n");
  });
  const std::vector<std::string> tensors = world.all_gather(lines);
  const std::vector<std::string> hosts = world.all_gather(comm::host_name());
  const auto good = static_cast<std::size_t>(std::ranges::find(digests, expected) - digests.begin());
  std::string who, where;
  for (std::size_t rank = 0; rank < digests.size(); ++rank) {
    if (digests[rank] == expected) continue;
    who += text(who.empty() ? "" : ", ", "rank ", rank, " on ", hosts[rank]);
    if (!where.empty()) continue;
    const auto place = std::ranges::mismatch(tensors[good], tensors[rank]).in1;
    const auto line = tensors[good].rfind('\n', static_cast<std::size_t>(place - tensors[good].begin()));
    where = tensors[good].substr(line == std::string::npos ? 0 : line + 1);
    where = where.substr(0, where.find(' '));
  }
  throw comm::AgreedError(
      ErrorKind::communication,
      text("step ", step, ": ", who,
           " and the other ranks do not hold the same parameters any more, first in ", where,
           ": a fault of memory, processor or network there; the last checkpoint was made before: resume "
           "from it without that machine"));
}

}  // namespace trainer::train
