#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/core/grammar.h"
#include "trainer/core/random.h"

namespace trainer::data {

struct ImageShape {
  std::int64_t height = 0, width = 0, channels = 1;
  std::int64_t pixels() const { return height * width; }
  std::int64_t size() const { return pixels() * channels; }
};

/// Memory of one thread, kept from row to row: rows are asked for without a number of the thread, so the
/// memory is found by the thread itself. Its content is valid within a call only.
struct Scratch {
  std::vector<float> image, other, partner;  // of the row
  std::vector<float> padded, x, y, field;    // of a warp
  std::vector<std::uint32_t> words;

  static Scratch& of_thread();
  /// At least `count` elements.
  template <class T>
  static T* room(std::vector<T>& memory, std::int64_t count) {
    if (static_cast<std::int64_t>(memory.size()) < count) memory.resize(static_cast<std::size_t>(count));
    return memory.data();
  }
};

/// One operation on the raw pixels of an image [height, width, channels].
class PixelOperation {
 public:
  virtual ~PixelOperation() = default;
  /// Draws from the stream (key, row). False when the image stays as it is; then `to` is undefined.
  virtual bool apply(RandomKey key, std::uint64_t row, const float* from, float* to,
                     Scratch& scratch) const = 0;
  /// Whether an autoencoder is to undo it.
  virtual bool is_noise() const { return false; }
};

using PixelOperationPointer = std::unique_ptr<const PixelOperation>;

// Each reads its arguments. In the order of the draws:
/// below(2 pixels + 1) - pixels to the right, the same down.
PixelOperationPointer make_shift(ArgumentReader& arguments, const ImageShape& shape);
/// uniform() < probability.
PixelOperationPointer make_flip(ArgumentReader& arguments, const ImageShape& shape);
/// uniform() < probability; the column of the centre below(width), its row below(height). The square begins
/// size / 2 (rounded down) before its centre.
PixelOperationPointer make_erase(ArgumentReader& arguments, const ImageShape& shape);
/// degrees (2 uniform() - 1), counter-clockwise.
PixelOperationPointer make_rotate(ArgumentReader& arguments, const ImageShape& shape);
/// 1 + factor (2 uniform() - 1).
PixelOperationPointer make_scale(ArgumentReader& arguments, const ImageShape& shape);
/// A word for each pixel to the right, column by column, then a word for each down, in the same order:
/// (word / 256, rounded down) / 2^23 - 1.
PixelOperationPointer make_elastic(ArgumentReader& arguments, const ImageShape& shape);

/// A number of the distribution Beta(alpha, alpha), from two gamma numbers.
float draw_share(double alpha, RandomStream& draws);

}  // namespace trainer::data
