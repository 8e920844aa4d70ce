#include <gtest/gtest.h>

#include <map>

#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/core/random.h"
#include "verified_image.h"

// Every file that is read passes H5Fopen; the linker puts this in its place (--wrap).
static int files_seen_by_hdf5 = 0;
extern "C" {
std::int64_t __real_H5Fopen(const char* name, unsigned flags, std::int64_t access);
std::int64_t __wrap_H5Fopen(const char* name, unsigned flags, std::int64_t access);
std::int64_t __wrap_H5Fopen(const char* name, unsigned flags, std::int64_t access) {
  ++files_seen_by_hdf5;
  return __real_H5Fopen(name, flags, access);
}
}

namespace trainer::checkpoint {

namespace {

using Bytes = std::vector<char>;
constexpr std::size_t kBlock = 512;

// Draws damage of every kind, always the same for one seed.
class Damage {
 public:
  Damage(std::vector<Bytes> originals, std::uint64_t seed)
      : originals_(std::move(originals)), random_(RandomKey(seed, Purpose::self_test), 0) {}

  struct Mutant {
    const char* kind;
    Bytes bytes;
  };

  /// Never one of the originals: bits flipped twice, or the whole of another file, are no damage.
  Mutant next() {
    while (true) {
      const auto& [kind, change] = kinds()[below(kinds().size())];
      Mutant mutant{kind, originals_[below(originals_.size())]};
      (this->*change)(mutant.bytes);
      if (std::ranges::find(originals_, mutant.bytes) == originals_.end()) return mutant;
    }
  }

  struct Kind {
    const char* name;
    void (Damage::*change)(Bytes&);
  };
  static const std::vector<Kind>& kinds() {
    static const std::vector<Kind> all = {{"one bit", &Damage::flip_bit},
                                          {"one bit of the first line", &Damage::flip_bit_in_front},
                                          {"several bits", &Damage::flip_bits},
                                          {"one byte", &Damage::replace_byte},
                                          {"cut", &Damage::cut},
                                          {"longer", &Damage::extend},
                                          {"swapped halves", &Damage::swap_halves},
                                          {"swapped blocks", &Damage::swap_blocks},
                                          {"a page of zeros", &Damage::zero_page},
                                          {"a page of noise", &Damage::fill_with_noise},
                                          {"bytes lost", &Damage::lose},
                                          {"bytes twice", &Damage::repeat},
                                          {"a piece of another", &Damage::take_piece},
                                          {"the first block of another", &Damage::take_block}};
    return all;
  }

 private:
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_.below(n)); }
  std::ptrdiff_t place(const Bytes& bytes) { return static_cast<std::ptrdiff_t>(below(bytes.size())); }
  static void flip(Bytes& bytes, std::size_t bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  }

  void flip_bit(Bytes& bytes) { flip(bytes, below(bytes.size() * 8)); }
  void flip_bit_in_front(Bytes& bytes) { flip(bytes, below(80 * 8)); }
  void flip_bits(Bytes& bytes) {
    for (std::size_t left = 2 + below(62); left > 0; --left) flip_bit(bytes);
  }
  void replace_byte(Bytes& bytes) { bytes[below(bytes.size())] = static_cast<char>(random_.next_word()); }
  void cut(Bytes& bytes) { bytes.resize(below(bytes.size())); }
  void extend(Bytes& bytes) {
    const char with = static_cast<char>(below(2) == 0 ? 0 : random_.next_word());
    bytes.resize(bytes.size() + 1 + below(4096), with);
  }
  void swap_halves(Bytes& bytes) {
    const auto front = static_cast<std::ptrdiff_t>(below(2) == 0 ? 0 : kBlock);
    const std::ptrdiff_t half = (std::ssize(bytes) - front) / 2;
    std::rotate(bytes.begin() + front, bytes.begin() + front + half, bytes.end());
  }
  void swap_blocks(Bytes& bytes) {
    const std::size_t size = std::size_t{1} << below(12);
    const std::size_t blocks = bytes.size() / size;
    const std::size_t a = below(blocks) * size;
    const std::size_t b = below(blocks) * size;
    if (a != b) std::swap_ranges(&bytes[a], &bytes[a] + size, &bytes[b]);
  }
  void zero_page(Bytes& bytes) {
    const std::size_t size = below(2) == 0 ? 512 : 4096;
    const std::size_t begin = below(bytes.size()) / size * size;
    std::fill_n(&bytes[begin], std::min(size, bytes.size() - begin), '\0');
  }
  void fill_with_noise(Bytes& bytes) {
    const std::size_t begin = below(bytes.size());
    const std::size_t end = std::min(bytes.size(), begin + 1 + below(4096));
    for (std::size_t i = begin; i < end; ++i) bytes[i] = static_cast<char>(random_.next_word());
  }
  void lose(Bytes& bytes) {
    const auto begin = bytes.begin() + place(bytes);
    bytes.erase(begin, begin + std::min<std::ptrdiff_t>(bytes.end() - begin, 1 + std::ptrdiff_t(below(64))));
  }
  void repeat(Bytes& bytes) {
    const auto begin = place(bytes);
    const Bytes piece(bytes.begin() + begin,
                      bytes.begin() + std::min(std::ssize(bytes), begin + 1 + std::ptrdiff_t(below(64))));
    bytes.insert(bytes.begin() + begin, piece.begin(), piece.end());
  }
  void take_piece(Bytes& bytes) {
    const Bytes& other = originals_[below(originals_.size())];
    const std::size_t begin = below(std::min(bytes.size(), other.size()));
    const std::size_t most = std::min(bytes.size(), other.size()) - begin;
    std::copy_n(&other[begin], 1 + below(most), &bytes[begin]);
  }
  void take_block(Bytes& bytes) {
    const Bytes& other = originals_[below(originals_.size())];
    std::copy_n(other.begin(), kBlock, bytes.begin());
    if (below(2) == 0) bytes.resize(other.size(), '\0');  // then its size is right, too
  }

  std::vector<Bytes> originals_;
  RandomStream random_;
};

class MutationTest : public Scratch {
 protected:
  // Four real files: small, another step of the same run (same size, other bytes), nearly empty, 20,000
  // weights.
  std::vector<Bytes> originals() const {
    write(at("0.h5"), sample(12));
    write(at("1.h5"), sample(13));
    Checkpoint bare = sample();
    bare.model.clear();
    bare.optimizer.clear();
    bare.history.clear();
    write(at("2.h5"), bare);
    Checkpoint larger = sample();
    RandomStream random(RandomKey(7, Purpose::self_test), 1);
    std::vector<float> weights(10'000);
    for (float& weight : weights) weight = random.uniform_float();
    larger.model.push_back({"05_dense/weight", {100, 100}, weights});
    larger.optimizer.push_back({"05_dense/weight/first_moment", {100, 100}, weights});
    write(at("3.h5"), larger);
    std::vector<Bytes> originals;
    for (const char* name : {"0.h5", "1.h5", "2.h5", "3.h5"}) originals.push_back(bytes_of(at(name)));
    return originals;
  }
};

std::span<const std::byte> as_span(const Bytes& bytes) { return std::as_bytes(std::span(bytes)); }

TEST_F(MutationTest, EachOfAHundredThousandIsRefusedByItsBytes) {
  constexpr int kMutants = 100'000;
  const std::vector<Bytes> good = originals();
  for (const Bytes& bytes : good) require_intact(as_span(bytes), "good");
  Damage damage(good, 1);
  std::map<std::string, int> refused;
  for (int tried = 0; tried < kMutants; ++tried) {
    const Damage::Mutant mutant = damage.next();
    try {
      require_intact(as_span(mutant.bytes), "mutant");
      ADD_FAILURE() << "taken for intact: " << mutant.kind << ", mutant " << tried;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
      ++refused[mutant.kind];
    }
  }
  int total = 0;
  for (const auto& [kind, count] : refused) {
    EXPECT_GT(count, 1000) << kind;
    total += count;
  }
  EXPECT_EQ(refused.size(), Damage::kinds().size());
  EXPECT_EQ(total, kMutants);
  std::printf("%d of %d mutants of %zu files refused\n", total, kMutants, good.size());
}

TEST_F(MutationTest, EveryBitOfTheFirstBlockCounts) {
  for (Bytes& bytes : originals()) {
    for (std::size_t bit = 0; bit < kBlock * 8; ++bit) {
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      EXPECT_THROW(require_intact(as_span(bytes), "mutant"), Error) << "bit " << bit;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    }
  }
}

TEST_F(MutationTest, Hdf5SeesNoneOfTwoThousandDamagedFiles) {
  constexpr int kMutants = 2'000;
  Damage damage(originals(), 2);
  files_seen_by_hdf5 = 0;
  read(at("0.h5"));
  ASSERT_EQ(files_seen_by_hdf5, 1) << "opened files are not counted";
  int refused = 0;
  for (int tried = 0; tried < kMutants; ++tried) {
    const Damage::Mutant mutant = damage.next();
    put_bytes(at("bad.h5"), mutant.bytes);
    try {
      read(at("bad.h5"));
      ADD_FAILURE() << "read: " << mutant.kind << ", mutant " << tried;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
      EXPECT_TRUE(contains(error.what(), "bad.h5")) << error.what();
      ++refused;
    }
  }
  EXPECT_EQ(refused, kMutants);
  EXPECT_EQ(files_seen_by_hdf5, 1);
}

}  // namespace

}  // namespace trainer::checkpoint
