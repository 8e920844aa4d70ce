// Operations that look up each pixel at another place, between pixels: bilinear, with 0 outside of the image.
// Plain arithmetic on floats, so that the width of the vectors changes nothing.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

#include "augmentation_operation.h"
#include "trainer/core/vectorise.h"

namespace trainer::data {
namespace {

/// An empty line before the image and two after it, so that every place in [-1, height] has four neighbours.
constexpr std::int32_t kBefore = 1, kPadding = 3;

const float* pad(const ImageShape& shape, const float* from, Scratch& scratch) {
  const std::int64_t line = shape.width * shape.channels, before = kBefore * shape.channels;
  const std::int64_t padded_line = (shape.width + kPadding) * shape.channels;
  const std::int64_t size = (shape.height + kPadding) * padded_line;
  float* const padded = Scratch::room(scratch.padded, size);
  std::fill_n(padded, size, 0.0f);
  for (std::int64_t y = 0; y < shape.height; ++y)
    std::copy_n(from + y * line, line, padded + (y + kBefore) * padded_line + before);
  return padded;
}

inline float between(float a, float b, float part) { return a + (b - a) * part; }

/// to[i] = the image at (x[i], y[i]). `one` channel only is the common case, and known to the compiler.
template <bool one>
inline void look_up(const float* __restrict padded, const float* __restrict x, const float* __restrict y,
                    float* __restrict to, std::int32_t height, std::int32_t width, std::int32_t channels) {
  const auto most_x = static_cast<float>(width), most_y = static_cast<float>(height);
  const std::int32_t pixel = one ? 1 : channels, line = (width + kPadding) * pixel;
  for (std::int32_t i = 0; i < height * width; ++i) {
    const float right = std::min(std::max(x[i], -1.0f), most_x) + 1.0f;
    const float down = std::min(std::max(y[i], -1.0f), most_y) + 1.0f;
    const auto column = static_cast<std::int32_t>(right), row = static_cast<std::int32_t>(down);
    const float part_x = right - static_cast<float>(column), part_y = down - static_cast<float>(row);
    const std::int32_t corner = row * line + column * pixel;
    for (std::int32_t c = 0; c < pixel; ++c) {
      const float above = between(padded[corner + c], padded[corner + c + pixel], part_x);
      const float below = between(padded[corner + c + line], padded[corner + c + line + pixel], part_x);
      to[i * pixel + c] = between(above, below, part_y);
    }
  }
}

TRAINER_VECTORISED void look_up_grey(const float* padded, const float* x, const float* y, float* to,
                                     std::int32_t height, std::int32_t width) {
  look_up<true>(padded, x, y, to, height, width, 1);
}

/// Where the pixels of an image lie that is turned and stretched about its centre: for the one at (x, y) from
/// the centre, (along x - across y, across x + along y).
TRAINER_VECTORISED void turn(float along, float across, std::int64_t height, std::int64_t width,
                             float* __restrict x, float* __restrict y) {
  const float middle_x = static_cast<float>(width - 1) / 2, middle_y = static_cast<float>(height - 1) / 2;
  for (std::int64_t row = 0; row < height; ++row) {
    const float down = static_cast<float>(row) - middle_y;
    for (std::int64_t column = 0; column < width; ++column, ++x, ++y) {
      const float right = static_cast<float>(column) - middle_x;
      *x = middle_x + (along * right - across * down);
      *y = middle_y + (across * right + along * down);
    }
  }
}

bool warp(const ImageShape& shape, const float* from, float* to, Scratch& scratch) {
  const float *const padded = pad(shape, from, scratch), *const x = scratch.x.data(),
                     *const y = scratch.y.data();
  const auto height = static_cast<std::int32_t>(shape.height), width = static_cast<std::int32_t>(shape.width);
  if (shape.channels == 1)
    look_up_grey(padded, x, y, to, height, width);
  else
    look_up<false>(padded, x, y, to, height, width, static_cast<std::int32_t>(shape.channels));
  return true;
}

bool turn_image(const ImageShape& shape, double along, double across, const float* from, float* to,
                Scratch& scratch) {
  turn(static_cast<float>(along), static_cast<float>(across), shape.height, shape.width,
       Scratch::room(scratch.x, shape.pixels()), Scratch::room(scratch.y, shape.pixels()));
  return warp(shape, from, to, scratch);
}

class Rotate final : public PixelOperation {
 public:
  Rotate(const ImageShape& shape, double degrees) : shape_(shape), most_(degrees * std::numbers::pi / 180) {}
  bool apply(RandomKey key, std::uint64_t row, const float* from, float* to,
             Scratch& scratch) const override {
    const double angle = most_ * (2 * RandomStream(key, row).uniform() - 1);
    return turn_image(shape_, std::cos(angle), std::sin(angle), from, to, scratch);
  }

 private:
  ImageShape shape_;
  double most_;
};

class Scale final : public PixelOperation {
 public:
  Scale(const ImageShape& shape, double factor) : shape_(shape), factor_(factor) {}
  bool apply(RandomKey key, std::uint64_t row, const float* from, float* to,
             Scratch& scratch) const override {
    const double zoom = 1 + factor_ * (2 * RandomStream(key, row).uniform() - 1);
    return turn_image(shape_, 1 / zoom, 0, from, to, scratch);
  }

 private:
  ImageShape shape_;
  double factor_;
};

/// out[row] = the sum over k of weights[|k|] in[row + k], with nothing outside. in, out: [rows, columns].
TRAINER_VECTORISED void smooth_across(const float* weights, std::int64_t radius, std::int64_t rows,
                                      std::int64_t columns, const float* __restrict in,
                                      float* __restrict out) {
  std::fill_n(out, rows * columns, 0.0f);
  radius = std::min(radius, rows - 1);
  for (std::int64_t k = -radius; k <= radius; ++k) {
    const float weight = weights[std::abs(k)];
    const float* const source = in + k * columns;
    const std::int64_t end = std::min(rows, rows - k) * columns;
    for (std::int64_t i = std::max<std::int64_t>(0, -k) * columns; i < end; ++i) out[i] += weight * source[i];
  }
}

/// in: [rows, columns]; out: [columns, rows].
void transpose(const float* __restrict in, std::int64_t rows, std::int64_t columns, float* __restrict out) {
  for (std::int64_t column = 0; column < columns; ++column)
    for (std::int64_t row = 0; row < rows; ++row) *out++ = in[row * columns + column];
}

class Elastic final : public PixelOperation {
 public:
  Elastic(const ImageShape& shape, double alpha, double sigma)
      : shape_(shape), alpha_(static_cast<float>(alpha)) {
    constexpr double kReach = 4;
    const auto radius = static_cast<std::int64_t>(kReach * sigma + 0.5);
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t k = 0; k <= radius; ++k) {
      const double distance = static_cast<double>(k) / sigma;
      weights.push_back(std::exp(-distance * distance / 2));
      sum += k == 0 ? weights.back() : 2 * weights.back();
    }
    for (const double weight : weights) weights_.push_back(static_cast<float>(weight / sum));
  }
  bool apply(RandomKey key, std::uint64_t row, const float* from, float* to,
             Scratch& scratch) const override {
    const std::int64_t pixels = shape_.pixels();
    std::uint32_t* const words = Scratch::room(scratch.words, 2 * pixels);
    random_words(key, row, words, 2 * pixels);
    float* const right = Scratch::room(scratch.x, pixels);
    float* const down = Scratch::room(scratch.y, pixels);
    displace(words, scratch, right);
    displace(words + pixels, scratch, down);
    for (std::int64_t y = 0, i = 0; y < shape_.height; ++y) {
      for (std::int64_t x = 0; x < shape_.width; ++x, ++i) {
        right[i] = static_cast<float>(x) + alpha_ * right[i];
        down[i] = static_cast<float>(y) + alpha_ * down[i];
      }
    }
    return warp(shape_, from, to, scratch);
  }

 private:
  /// out: [height, width]: a field, smoothed. words: [width, height], so that both passes run along memory.
  void displace(const std::uint32_t* words, Scratch& scratch, float* out) const {
    const std::int64_t pixels = shape_.pixels(), radius = static_cast<std::int64_t>(weights_.size()) - 1;
    float* const field = Scratch::room(scratch.field, 2 * pixels);
    for (std::int64_t i = 0; i < pixels; ++i)
      field[i] = static_cast<float>(static_cast<std::int32_t>(words[i] >> 8)) * 0x1p-23F - 1.0f;
    smooth_across(weights_.data(), radius, shape_.width, shape_.height, field, field + pixels);
    transpose(field + pixels, shape_.width, shape_.height, field);
    smooth_across(weights_.data(), radius, shape_.height, shape_.width, field, out);
  }

  ImageShape shape_;
  float alpha_;
  std::vector<float> weights_;  ///< by distance
};

}  // namespace

PixelOperationPointer make_rotate(ArgumentReader& arguments, const ImageShape& shape) {
  return std::make_unique<Rotate>(shape, arguments.number("degrees", 0, 180, {}, true));
}

PixelOperationPointer make_scale(ArgumentReader& arguments, const ImageShape& shape) {
  return std::make_unique<Scale>(shape, arguments.number("factor", 0, 1, {}, true, true));
}

PixelOperationPointer make_elastic(ArgumentReader& arguments, const ImageShape& shape) {
  const double alpha = arguments.number("alpha", 0, 1e4, {}, true);
  const double sigma = arguments.number("sigma", 0.1, 1e3);
  return std::make_unique<Elastic>(shape, alpha, sigma);
}

}  // namespace trainer::data
