// Operations that move pixels or leave them out, and change none.
#include <algorithm>
#include <cstdlib>

#include "augmentation_operation.h"

namespace trainer::data {
namespace {

/// Uniform in {-most, ..., most}.
std::int64_t draw_offset(RandomStream& draws, std::int64_t most) {
  return static_cast<std::int64_t>(draws.below(static_cast<std::uint64_t>(2 * most + 1))) - most;
}

std::int64_t draw_below(RandomStream& draws, std::int64_t limit) {
  return static_cast<std::int64_t>(draws.below(static_cast<std::uint64_t>(limit)));
}

class Shift final : public PixelOperation {
 public:
  Shift(const ImageShape& shape, std::int64_t pixels) : shape_(shape), pixels_(pixels) {}
  bool apply(RandomKey key, std::uint64_t row, const float* from, float* to, Scratch&) const override {
    RandomStream draws(key, row);
    const std::int64_t right = draw_offset(draws, pixels_), down = draw_offset(draws, pixels_);
    if (right == 0 && down == 0) return false;
    const std::int64_t line = shape_.width * shape_.channels;
    const std::int64_t empty = std::min(std::abs(right), shape_.width) * shape_.channels;
    for (std::int64_t y = 0; y < shape_.height; ++y, to += line) {
      if (y - down < 0 || y - down >= shape_.height) {
        std::fill_n(to, line, 0.0f);
        continue;
      }
      const float* source = from + (y - down) * line;
      if (right >= 0) {
        std::fill_n(to, empty, 0.0f);
        std::copy_n(source, line - empty, to + empty);
      } else {
        std::copy_n(source + empty, line - empty, to);
        std::fill_n(to + line - empty, empty, 0.0f);
      }
    }
    return true;
  }

 private:
  ImageShape shape_;
  std::int64_t pixels_;
};

class Flip final : public PixelOperation {
 public:
  Flip(const ImageShape& shape, double probability) : shape_(shape), probability_(probability) {}
  bool apply(RandomKey key, std::uint64_t row, const float* from, float* to, Scratch&) const override {
    if (RandomStream(key, row).uniform() >= probability_) return false;
    const std::int64_t line = shape_.width * shape_.channels, channels = shape_.channels;
    for (std::int64_t y = 0; y < shape_.height; ++y, from += line, to += line) {
      if (channels == 1) {
        std::reverse_copy(from, from + line, to);
        continue;
      }
      for (std::int64_t x = 0; x < shape_.width; ++x)
        std::copy_n(from + x * channels, channels, to + (shape_.width - 1 - x) * channels);
    }
    return true;
  }

 private:
  ImageShape shape_;
  double probability_;
};

class Erase final : public PixelOperation {
 public:
  Erase(const ImageShape& shape, std::int64_t size, double probability)
      : shape_(shape), size_(size), probability_(probability) {}
  bool is_noise() const override { return true; }
  bool apply(RandomKey key, std::uint64_t row, const float* from, float* to, Scratch&) const override {
    RandomStream draws(key, row);
    if (draws.uniform() >= probability_) return false;
    const std::int64_t left = draw_below(draws, shape_.width) - size_ / 2;
    const std::int64_t top = draw_below(draws, shape_.height) - size_ / 2;
    const std::int64_t begin = std::max<std::int64_t>(left, 0), end = std::min(left + size_, shape_.width);
    std::copy_n(from, shape_.size(), to);
    for (std::int64_t y = std::max<std::int64_t>(top, 0); y < std::min(top + size_, shape_.height); ++y)
      std::fill_n(to + (y * shape_.width + begin) * shape_.channels, (end - begin) * shape_.channels, 0.0f);
    return true;
  }

 private:
  ImageShape shape_;
  std::int64_t size_;
  double probability_;
};

double read_probability(ArgumentReader& arguments) {
  return arguments.number("probability", 0, 1, 0.5, true);
}

}  // namespace

PixelOperationPointer make_shift(ArgumentReader& arguments, const ImageShape& shape) {
  const std::int64_t pixels = arguments.integer("pixels", 1, std::max(shape.height, shape.width) - 1);
  return std::make_unique<Shift>(shape, pixels);
}

PixelOperationPointer make_flip(ArgumentReader& arguments, const ImageShape& shape) {
  return std::make_unique<Flip>(shape, read_probability(arguments));
}

PixelOperationPointer make_erase(ArgumentReader& arguments, const ImageShape& shape) {
  const std::int64_t size = arguments.integer("size", 1, 2 * std::max(shape.height, shape.width));
  return std::make_unique<Erase>(shape, size, read_probability(arguments));
}

}  // namespace trainer::data
