// Nets, shapes, shards and ranks drawn at random, against the reference.
#include <gtest/gtest.h>

#include <algorithm>

#include "against_reference.h"
#include "trainer/core/random.h"

namespace trainer::nn {
namespace {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : stream_(RandomKey(seed, Purpose::self_test, 3), 0) {}

  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(stream_.below(static_cast<std::uint64_t>(high - low + 1)));
  }
  template <class T>
  T one_of(std::initializer_list<T> list) {
    return list.begin()[between(0, static_cast<std::int64_t>(list.size()) - 1)];
  }

  std::string layer(int depth) {
    switch (between(0, depth < 3 ? 13 : 11)) {
      case 0:
      case 1:
        return "dense(" + std::to_string(one_of({1, 2, 3, 7, 16, 31, 64, 65, 128})) + ")";
      case 2:
        return "dense(" + std::to_string(one_of({4, 5, 192})) + ", bias=false)";
      case 3:
        return one_of<const char*>({"batch_norm", "batch_norm(statistics=shard)"});
      case 4:
      case 5:
        return "relu";
      case 6:
        return one_of<const char*>({"sigmoid", "tanh"});
      case 7:
        return "softmax";
      case 8:
        return "dropout(0." + std::to_string(between(1, 6)) + ")";
      case 9:
        return one_of<const char*>({"noise(0.2)", "noise(1)"});
      case 10:
        return one_of<const char*>({"layer_norm", "layer_norm(0.01)"});
      case 11:
        return one_of<const char*>(
            {"leaky_relu", "leaky_relu(0.3)", "elu", "elu(0.5)", "gelu", "silu", "softplus"});
      case 12:
        return "repeat(2, " + layers(depth + 1, between(1, 2)) + ")";
      default:
        return "residual(" + layers(depth + 1, between(1, 4)) + ")";
    }
  }
  std::string layers(int depth, std::int64_t count) {
    std::string text;
    for (std::int64_t i = 0; i < count; ++i) text += (i == 0 ? "" : " ") + layer(depth);
    return text;
  }

  simulation::JobSetup setup() {
    simulation::JobSetup setup;
    setup.model = layers(0, between(1, 5)) + " dense(outputs)";
    setup.inputs = one_of({1, 3, 16, 33, 48});
    setup.outputs = one_of({2, 3, 10, 64});
    setup.loss = one_of<const char*>({"softmax_cross_entropy", "softmax_cross_entropy(label_smoothing=0.05)",
                                      "binary_cross_entropy", "mse", "mse(outputs=sum)", "half_squared_error",
                                      "mae", "mae(sum)", "huber", "huber(0.4, sum)", "kl_divergence"});
    setup.weighted = between(0, 2) == 0;
    setup.form = one_of({TargetForm::classes, TargetForm::values});
    setup.shards = between(1, 9);
    for (int i = 0; i < 3; ++i) setup.batches.push_back(between(1, 40));
    std::sort(setup.batches.rbegin(), setup.batches.rend());
    setup.ranks = static_cast<int>(between(1, 5));
    setup.threads = static_cast<int>(between(1, 3));
    return setup;
  }

 private:
  RandomStream stream_;
};

TEST(RandomNets, AgreeWithTheReference) {
  constexpr std::uint64_t kNets = 60;
  for (std::uint64_t net = 0; net < kNets; ++net) {
    SCOPED_TRACE(testing::Message() << "net " << net);
    expect_the_reference(Draw(net).setup(), net);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace trainer::nn
