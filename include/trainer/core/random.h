#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace trainer {

/// Philox 4x32 with 10 rounds (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC
/// 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// What random numbers are drawn for: two purposes never share numbers, so that adding one changes no other.
/// The values are part of the meaning of a seed: never reuse or renumber.
enum class Purpose : std::uint32_t {
  order = 1,
  split = 2,
  initialise = 3,
  dropout = 4,
  noise = 5,
  augment = 6,
  generate = 7,
  study = 8,
  self_test = 9
};

/// A key derived from (seed, purpose, a, b): the address of one family of random numbers.
/// By convention `a` is the epoch or step, `b` the layer or tensor.
struct RandomKey {
  RandomKey(std::uint64_t seed, Purpose purpose, std::uint64_t a = 0, std::uint32_t b = 0);
  std::array<std::uint32_t, 2> words;
};

/// The stream of random numbers at (key, index); `index` is the sample, row or element. Pure: no state
/// outside this object.
class RandomStream {
 public:
  RandomStream(RandomKey key, std::uint64_t index) : key_(key.words), index_(index) {}
  std::uint32_t next_word();
  std::uint64_t next_word64();
  /// Uniform on [0, 1), 24 (float) or 53 (double) bits.
  float uniform_float();
  double uniform();
  /// Standard normal (Box and Muller, 1958), one draw of two words per value.
  double normal();
  /// Uniform on {0, ..., n - 1}, without bias; n >= 1.
  std::uint64_t below(std::uint64_t n);

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t index_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 4> words_{};
  int left_ = 0;
};

/// out[i] = word i of the stream (key, index), for i < count: the same numbers as RandomStream::next_word,
/// vectorised.
void random_words(RandomKey key, std::uint64_t index, std::uint32_t* out, std::int64_t count);

/// A pseudo-random permutation of {0, ..., size - 1} that can be asked for any place in O(1) and keeps no
/// table: a Feistel network of 12 rounds over the next power of two, with cycle walking (Black and Rogaway,
/// Ciphers with Arbitrary Finite Domains, 2002). Its round keys are the stream (key, 0). Throws
/// Error(internal) for size < 1.
class Permutation {
 public:
  Permutation(RandomKey key, std::int64_t size);
  /// What stands at `place`, in [0, size). Throws Error(internal) outside.
  std::int64_t operator()(std::int64_t place) const;
  std::int64_t size() const { return size_; }

 private:
  static constexpr std::size_t kRounds = 12;

  std::uint64_t network(std::uint64_t x) const;

  std::array<std::uint64_t, kRounds> round_keys_;
  std::int64_t size_;
  int low_bits_ = 0;
  int high_bits_ = 0;
};

}  // namespace trainer
