#include "share_over.h"

#include <cstring>

#include "trainer/comm/agreement.h"
#include "trainer/core/error.h"
#include "trainer/core/tree.h"

namespace trainer::data {
namespace {

using Task = std::function<std::string(std::int64_t)>;

void append(std::string& all, const std::string& one) {
  const auto size = static_cast<std::int64_t>(one.size());
  all.append(reinterpret_cast<const char*>(&size), sizeof(size));
  all += one;
}

void split(const std::string& all, std::vector<std::string>& out) {
  for (std::size_t at = 0; at < all.size();) {
    std::int64_t size = 0;
    std::memcpy(&size, all.data() + at, sizeof(size));
    at += sizeof(size);
    out.push_back(all.substr(at, static_cast<std::size_t>(size)));
    at += static_cast<std::size_t>(size);
  }
}

}  // namespace

ShareWork share_over(const comm::Communicator& world) {
  return [&world](std::int64_t count, const Task& task) {
    std::string mine;
    comm::together(world, [&] {
      const Range tasks = cut(count, world.size(), world.rank());
      for (std::int64_t i = tasks.begin; i < tasks.end; ++i) {
        append(mine, task(i));
        world.watchdog().step_took(0);  // a sign of life for the ranks that are done
      }
    });
    std::vector<std::string> results;
    for (const std::string& part : world.all_gather(mine)) split(part, results);
    return results;
  };
}

ShareWork share_alone() {
  return [](std::int64_t count, const Task& task) {
    std::vector<std::string> results;
    for (std::int64_t i = 0; i < count; ++i) results.push_back(task(i));
    return results;
  };
}

}  // namespace trainer::data
