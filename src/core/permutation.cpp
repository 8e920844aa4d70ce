#include <bit>

#include "trainer/core/error.h"
#include "trainer/core/random.h"

namespace trainer {
namespace {

/// Mixes 64 bits (SplitMix64's finaliser; Steele, Lea and Flood, Fast Splittable Pseudorandom Number
/// Generators, 2014). As a keyed round function it is several times cheaper than Philox, which makes the
/// round keys.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

Permutation::Permutation(RandomKey key, std::int64_t size) : size_(size) {
  require(size >= 1, ErrorKind::internal, "a permutation of ", size, " places was asked for");
  const auto bits = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(size) - 1));
  low_bits_ = bits / 2;
  high_bits_ = bits - low_bits_;
  RandomStream stream(key, 0);
  for (std::uint64_t& round_key : round_keys_) round_key = stream.next_word64();
}

std::int64_t Permutation::operator()(std::int64_t place) const {
  require(place >= 0 && place < size_, ErrorKind::internal, "place ", place, " of a permutation of ", size_);
  // The network permutes the next power of two: at least half of it lies below size_. A walk along the cycle
  // of `place` comes back to `place` itself at the latest, so it ends.
  auto walk = static_cast<std::uint64_t>(place);
  do {
    walk = network(walk);
  } while (walk >= static_cast<std::uint64_t>(size_));
  return static_cast<std::int64_t>(walk);
}

std::uint64_t Permutation::network(std::uint64_t x) const {
  const std::uint64_t low_mask = (std::uint64_t{1} << low_bits_) - 1;
  const std::uint64_t high_mask = (std::uint64_t{1} << high_bits_) - 1;
  std::uint64_t low = x & low_mask;
  std::uint64_t high = x >> low_bits_;
  for (std::size_t round = 0; round < round_keys_.size(); round += 2) {
    high ^= mix(low + round_keys_[round]) & high_mask;
    low ^= mix(high + round_keys_[round + 1]) & low_mask;
  }
  return high << low_bits_ | low;
}

}  // namespace trainer
