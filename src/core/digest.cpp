#include "trainer/core/digest.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "trainer/core/error.h"

namespace trainer {
namespace {

std::string to_hex(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string result;
  for (const unsigned byte : canonical.digest) {
    result += kDigits[byte >> 4];
    result += kDigits[byte & 15U];
  }
  return result;
}

}  // namespace

struct Digest::State {
  XXH3_state_t xxh3;
};

Digest::Digest() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::add(const void* bytes, std::size_t size) {
  if (size == 0) return;  // xxHash calls an update from a null pointer an error
  require(XXH3_128bits_update(&state_->xxh3, bytes, size) == XXH_OK, ErrorKind::internal,
          "xxHash refused to digest ", size, " bytes");
}

std::string Digest::hex() const { return to_hex(XXH3_128bits_digest(&state_->xxh3)); }

std::string digest_of(const void* bytes, std::size_t size) { return to_hex(XXH3_128bits(bytes, size)); }

std::string digest_of(std::string_view characters) { return digest_of(characters.data(), characters.size()); }

}  // namespace trainer
