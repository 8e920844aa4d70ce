#include "trainer/core/digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace trainer {
namespace {

/// The input of xxHash's own sanity check (xsum_sanity_check.c).
std::vector<unsigned char> sanity_buffer(std::size_t size) {
  std::vector<unsigned char> buffer(size);
  std::uint64_t state = 2654435761U;
  for (unsigned char& byte : buffer) {
    byte = static_cast<unsigned char>(state >> 56);
    state *= 11400714785074694797ULL;
  }
  return buffer;
}

TEST(Digest, AnswersOfXxhashsOwnSanityCheck) {
  const auto digest_of_first = [buffer = sanity_buffer(4096)](std::size_t size) {
    return digest_of(buffer.data(), size);
  };
  EXPECT_EQ(digest_of_first(0), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(digest_of_first(1), "a6cd5e9392000f6ac44bdff4074eecdb");
  EXPECT_EQ(digest_of_first(6), "082afe0b8162d12a3e7039bdda43cfc6");
  EXPECT_EQ(digest_of_first(12), "6e3efd8fc7802b18061a192713f69ad9");
}

TEST(Digest, PiecesGiveTheDigestOfTheWhole) {
  const std::vector<unsigned char> bytes = sanity_buffer(3000);
  const std::string whole = digest_of(bytes.data(), bytes.size());
  for (const std::size_t piece : {1, 7, 64, 1024, 2999, 3000}) {
    Digest digest;
    for (std::size_t i = 0; i < bytes.size(); i += piece) {
      digest.add(bytes.data() + i, std::min(piece, bytes.size() - i));
    }
    EXPECT_EQ(digest.hex(), whole) << "pieces of " << piece;
  }
}

TEST(Digest, HexDoesNotEndTheStream) {
  Digest digest;
  digest.add(nullptr, 0);
  EXPECT_EQ(digest.hex(), digest_of(""));
  digest.add("ab");
  EXPECT_EQ(digest.hex(), digest_of("ab"));
  Digest moved = std::move(digest);
  moved.add("c");
  EXPECT_EQ(moved.hex(), digest_of("abc"));
  EXPECT_EQ(moved.hex(), "06b05ab6733a618578af5f94892f3950");  // echo -n abc | xxhsum -H2
}

}  // namespace
}  // namespace trainer
