#include "content_rules.h"
#include "parse.h"
#include "trainer/checkpoint/checkpoint.h"
#include "user_block.h"
#include "verified_image.h"

namespace trainer::checkpoint {

namespace {

void require_recorded_weights(const Checkpoint& checkpoint, const std::string& name) {
  const std::string& recorded = get<std::string>(checkpoint.root, "weights", name + ": /");
  require(is_digest(recorded), ErrorKind::data, name,
          ": /: attribute 'weights' is not a digest of 32 hexadecimal digits; use an older checkpoint");
  const std::string digest = weights_digest(checkpoint.model);
  require(digest == recorded, ErrorKind::data, name, ": the weights have the digest ", digest, " where ",
          recorded, " was written; use an older checkpoint");
}

}  // namespace

Checkpoint read(const std::filesystem::path& path, Check check) {
  const std::string name = path.string();
  const bool verified = check == Check::everything;
  Checkpoint checkpoint = verified ? parse(VerifiedImage::read(path)) : parse_unverified(path);
  require_whole(checkpoint, ErrorKind::data, name);
  require_finite(checkpoint, ErrorKind::data, name);
  if (verified) require_recorded_weights(checkpoint, name);
  return checkpoint;
}

Verdict verify(const std::filesystem::path& path) {
  try {
    read(path);
    return {true, ""};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

std::vector<Tensor> read_weights(const std::filesystem::path& path) {
  std::vector<Tensor> tensors = parse_unverified_weights(path);
  require_finite(tensors, "/model", ErrorKind::data, path.string());
  return tensors;
}

}  // namespace trainer::checkpoint
