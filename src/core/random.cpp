#include "trainer/core/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "trainer/core/error.h"
#include "trainer/core/vectorise.h"

namespace trainer {
namespace {

constexpr int kRounds = 10;
constexpr std::uint32_t kMultiplier0 = 0xD2511F53;
constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
constexpr std::uint32_t kWeyl1 = 0xBB67AE85;

constexpr int kLanes = 32;  // counters that are worked on side by side: two 512-bit registers for each word
constexpr std::int64_t kGroupWords = 4 * kLanes;

constexpr std::uint32_t low_half(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high_half(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
constexpr std::uint64_t product(std::uint32_t a, std::uint32_t b) { return std::uint64_t{a} * b; }

/// The counter of block `block` of stream `index`: the low words of the two come first.
constexpr std::array<std::uint32_t, 4> counter_of(std::uint64_t index, std::uint64_t block) {
  return {low_half(block), high_half(block), low_half(index), high_half(index)};
}

/// out[4 * lane + w] = word w of block `block + lane` of stream `index`, for all lanes.
TRAINER_VECTORISED void fill_group(std::uint32_t key0, std::uint32_t key1, std::uint64_t index,
                                   std::uint64_t block, std::uint32_t* out) {
  std::uint32_t x0[kLanes];
  std::uint32_t x1[kLanes];
  std::uint32_t x2[kLanes];
  std::uint32_t x3[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    const std::uint64_t here = block + static_cast<std::uint64_t>(lane);
    x0[lane] = low_half(here);
    x1[lane] = high_half(here);
    x2[lane] = low_half(index);
    x3[lane] = high_half(index);
  }
  for (int round = 0; round < kRounds; ++round) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const std::uint64_t p0 = product(kMultiplier0, x0[lane]);
      const std::uint64_t p1 = product(kMultiplier1, x2[lane]);
      x0[lane] = high_half(p1) ^ x1[lane] ^ key0;
      x1[lane] = low_half(p1);
      x2[lane] = high_half(p0) ^ x3[lane] ^ key1;
      x3[lane] = low_half(p0);
    }
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    out[4 * lane] = x0[lane];
    out[4 * lane + 1] = x1[lane];
    out[4 * lane + 2] = x2[lane];
    out[4 * lane + 3] = x3[lane];
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t p0 = product(kMultiplier0, counter[0]);
    const std::uint64_t p1 = product(kMultiplier1, counter[2]);
    counter = {high_half(p1) ^ counter[1] ^ key[0], low_half(p1), high_half(p0) ^ counter[3] ^ key[1],
               low_half(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

RandomKey::RandomKey(std::uint64_t seed, Purpose purpose, std::uint64_t a, std::uint32_t b) {
  const auto derived = philox({static_cast<std::uint32_t>(purpose), low_half(a), high_half(a), b},
                              {low_half(seed), high_half(seed)});
  words = {derived[0], derived[1]};
}

std::uint32_t RandomStream::next_word() {
  if (left_ == 0) {
    words_ = philox(counter_of(index_, block_++), key_);
    left_ = 4;
  }
  return words_[static_cast<std::size_t>(4 - left_--)];
}

std::uint64_t RandomStream::next_word64() {
  const std::uint64_t low = next_word();
  return low | std::uint64_t{next_word()} << 32;
}

float RandomStream::uniform_float() { return static_cast<float>(next_word() >> 8) * 0x1p-24F; }

double RandomStream::uniform() { return static_cast<double>(next_word64() >> 11) * 0x1p-53; }

double RandomStream::normal() {
  // The radius takes a number in (0, 1], so that its logarithm is finite; it reaches 6.66 deviations.
  const double radius = std::sqrt(-2.0 * std::log((static_cast<double>(next_word()) + 1.0) * 0x1p-32));
  return radius * std::cos(2.0 * std::numbers::pi * (static_cast<double>(next_word()) * 0x1p-32));
}

std::uint64_t RandomStream::below(std::uint64_t n) {
  require(n >= 1, ErrorKind::internal, "a random number below 0 was asked for");
  // Lemire, Fast Random Integer Generation in an Interval, 2019: the high half of word * n, without the few
  // words that would make some results more frequent than others.
  using Wide = unsigned __int128;
  Wide scaled = Wide{next_word64()} * n;
  if (static_cast<std::uint64_t>(scaled) < n) {
    const std::uint64_t unfair = (0 - n) % n;
    while (static_cast<std::uint64_t>(scaled) < unfair) scaled = Wide{next_word64()} * n;
  }
  return static_cast<std::uint64_t>(scaled >> 64);
}

void random_words(RandomKey key, std::uint64_t index, std::uint32_t* out, std::int64_t count) {
  std::uint64_t block = 0;
  for (; count >= kGroupWords; count -= kGroupWords, out += kGroupWords, block += kLanes) {
    fill_group(key.words[0], key.words[1], index, block, out);
  }
  for (; count > 0; ++block) {
    const auto words = philox(counter_of(index, block), key.words);
    const std::int64_t taken = std::min<std::int64_t>(count, 4);
    out = std::copy_n(words.begin(), taken, out);
    count -= taken;
  }
}

}  // namespace trainer
