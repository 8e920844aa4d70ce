// checkpoint_seeds FOLDER: small real checkpoints for the fuzzers to begin with.

#include <cstdio>
#include <filesystem>

#include "sample.h"
#include "trainer/checkpoint/checkpoint.h"

int main(int count, char** words) {
  using namespace trainer::checkpoint;
  if (count != 2) {
    std::fprintf(stderr, "usage: checkpoint_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = words[1];
  std::filesystem::create_directories(folder);
  write(folder / "whole", sample());
  Checkpoint bare = sample();
  bare.model.clear();
  bare.optimizer.clear();
  bare.scaling.clear();
  bare.history.clear();
  write(folder / "bare", bare);
  std::vector<char> bytes = bytes_of(folder / "bare");
  bytes.resize(700);
  put_bytes(folder / "cut", bytes);
  bytes.resize(512);
  put_bytes(folder / "block", bytes);
  return 0;
}
