#include "user_block.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::checkpoint {

namespace {

constexpr std::string_view kMagic = "trainer checkpoint ";
constexpr std::string_view kAlgorithm = "xxh3-128";

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

}  // namespace

bool is_digest(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::array<std::byte, kUserBlockBytes> make_user_block(const UserBlock& block) {
  const std::string line = text(kMagic, kVersion, ' ', kAlgorithm, ' ', block.digest, ' ', block.bytes, '\n');
  std::array<std::byte, kUserBlockBytes> bytes{};
  require(line.size() < bytes.size(), ErrorKind::internal, "a user block of ", line.size(), " bytes");
  std::memcpy(bytes.data(), line.data(), line.size());
  return bytes;
}

UserBlock parse_user_block(std::span<const std::byte, kUserBlockBytes> bytes, const std::string& name) {
  const std::string_view all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(all.starts_with(kMagic), ErrorKind::data, name,
          ": is not a checkpoint of trainer, or its beginning is damaged; check the path");
  const std::vector<std::string_view> words =
      words_of(all.substr(kMagic.size(), all.find('\n') - kMagic.size()));

  const auto version = parse_integer(words.front());
  require(!version || *version <= kVersion, ErrorKind::data, name, ": has version ", words.front(),
          "; this trainer reads up to version ", kVersion, "; use a newer trainer");
  const auto size = words.size() == 4 ? parse_integer(words[3]) : std::nullopt;
  require(version && size && *size > 0, ErrorKind::data, name,
          ": its first line is damaged; use an older checkpoint");

  UserBlock block{std::string(words[2]), *size};
  require(is_digest(block.digest) && std::ranges::equal(make_user_block(block), bytes), ErrorKind::data, name,
          ": its first ", kUserBlockBytes, " bytes are damaged; use an older checkpoint");
  return block;
}

}  // namespace trainer::checkpoint
