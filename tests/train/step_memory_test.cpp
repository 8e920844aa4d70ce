// A step asks for no memory once the first ones have: it would wait for the allocator, and threads for each
// other there. On one rank: what MPI asks for is its own.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "trainer/core/buffer.h"
#include "trainer/train/step.h"

namespace {
std::atomic<bool> counting{false};
std::atomic<std::int64_t> requests{0};
thread_local bool in_onednn = false;

void* counted(void* memory) {
  if (counting.load() && !in_onednn) requests.fetch_add(1);
  if (memory == nullptr) std::abort();
  return memory;
}
using Execute = int (*)(const void* primitive, void* stream, int count, const void* arguments);
}  // namespace

// In front of oneDNN's function of this name.
extern "C" int dnnl_primitive_execute(const void* primitive, void* stream, int count, const void* arguments) {
  static const auto execute = reinterpret_cast<Execute>(dlsym(RTLD_NEXT, "dnnl_primitive_execute"));
  in_onednn = true;
  const int status = execute(primitive, stream, count, arguments);
  in_onednn = false;
  return status;
}

// Of the whole program, its libraries included. (Inlined, they look like a free of what new returned.)
[[gnu::noinline]] void* operator new(std::size_t size) { return counted(std::malloc(size)); }
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return counted(memalign(alignment, size));
}

namespace trainer::train {
namespace {

/// The same row all the time.
class OneRow final : public nn::RowSource {
 public:
  explicit OneRow(std::int64_t columns) : columns_(columns) {}
  void inputs(Range rows, float* out) const override {
    for (std::int64_t i = 0; i < rows.size() * columns_; ++i) out[i] = static_cast<float>(i % 7) - 3.0f;
  }
  void classes(Range rows, std::int32_t* out) const override { std::fill_n(out, rows.size(), 1); }
  void values(Range, float*) const override {}
  std::int64_t sample(std::int64_t row) const override { return row; }

 private:
  std::int64_t columns_;
};

struct Case {
  const char* model;
  std::int64_t batch, shards;
  Step::Settings settings;
};

/// Requests for memory in one step, after two.
std::int64_t requests_of_a_step(const comm::Communicator& world, Case given, int threads) {
  constexpr std::int64_t kInputs = 40;
  Team team(threads);
  const nn::Loss loss = nn::Loss::parse("softmax_cross_entropy");
  const nn::Network network(nn::join(nn::Model(given.model, kInputs, 10), loss), threads,
                            nn::Tuning::for_rows(given.batch / given.shards));
  const auto optimizer = optim::Optimizer::parse("adam");
  given.settings.batches = {given.batch, given.batch - 5};
  given.settings.shards = given.shards;
  Step step(world, team, network, loss, nn::TargetForm::classes, *optimizer, given.settings);
  network.initialise(3, step.parameters().data(), step.statistics().data());
  const OneRow rows(kInputs);
  for (int i = 1; i <= 2; ++i) step.run(rows, given.batch, i, 0.01, {});
  requests = 0;
  counting = true;
  step.run(rows, given.batch, 3, 0.01, {});
  counting = false;
  return requests.load();
}

TEST(StepMemory, IsAskedForInTheFirstStepsOnly) {
  const comm::Environment environment(nullptr, nullptr);
  const comm::Communicator world = comm::Communicator::world(environment);
  Step::Settings plain, all;
  all.clip_norm = 0.5;
  all.penalty = {1e-5, 1e-4, false};
  all.max_norm = 3;
  all.average = 0.99;
  const char* const dense = "dense(33) relu dense(10)";
  const char* const rich =
      "dense(33) batch_norm relu dropout(0.2) noise(0.1) residual(dense(21) layer_norm tanh dense(33)) "
      "dense(10)";
  for (const int threads : {1, 2})
    for (const Case& each : {Case{dense, 32, 1, plain}, Case{rich, 64, 4, all}, Case{rich, 520, 4, plain}})
      EXPECT_EQ(requests_of_a_step(world, each, threads), 0)
          << each.model << ", " << each.batch << " rows, " << threads << " thread(s)";
}

TEST(StepMemory, WouldBeCounted) {
  requests = 0;
  counting = true;
  const std::vector<int> some(100);
  const Buffer<float> more(100);
  counting = false;
  EXPECT_EQ(requests.load(), 2) << some.size() << more.size();
}

}  // namespace
}  // namespace trainer::train
