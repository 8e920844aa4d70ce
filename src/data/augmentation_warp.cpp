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
constexpr std::int64_t kBefore = 1, kPadding = 3;

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

/// to[i] = the image at (x[i], y[i]).
TRAINER_VECTORISED void look_up(const float* __restrict padded, const float* __restrict x,
                                const float* __restrict y, float* __restrict to, std::int64_t height,
                                std::int64_t width, std::int64_t channels) {
  const auto most_x = static_cast<float>(width), most_y = static_cast<float>(height);
  const auto line = static_cast<std::int32_t>((width + kPadding) * channels);
  const auto pixel = static_cast<std::int32_t>(channels);
  for (std::int64_t i = 0; i < height * width; ++i) {
    const float right = std::min(std::max(x[i], -1.0f), most_x) + 1.0f;
    const float down = std::min(std::max(y[i], -1.0f), most_y) + 1.0f;
    const auto column = static_cast<std::int32_t>(right), row = static_cast<std::int32_t>(down);
    const float part_x = right - static_cast<float>(column), part_y = down - static_cast<float>(row);
    const float* const corner = padded + (row * line + column * pixel);
    for (std::int32_t c = 0; c < pixel; ++c)
      to[i * channels + c] = between(between(corner[c], corner[c + pixel], part_x),
                                     between(corner[c + line], corner[c + line + pixel], part_x), part_y);
  }
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
  look_up(pad(shape, from, scratch), scratch.x.data(), scratch.y.data(), to, shape.height, shape.width,
          shape.channels);
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

/// out = the sum over k of weights[|k|] in[. + k], along lines and then across them; `between_passes` holds
/// what stands between.
TRAINER_VECTORISED void smooth(const float* weights, std::int64_t radius, std::int64_t height,
                               std::int64_t width, const float* __restrict in,
                               float* __restrict between_passes, float* __restrict out) {
  std::fill_n(between_passes, height * width, 0.0f);
  std::fill_n(out, height * width, 0.0f);
  const std::int64_t along = std::min(radius, width - 1), across = std::min(radius, height - 1);
  for (std::int64_t y = 0; y < height; ++y) {
    const float* const source = in + y * width;
    float* const sum = between_passes + y * width;
    for (std::int64_t k = -along; k <= along; ++k) {
      const float weight = weights[std::abs(k)];
      const std::int64_t end = std::min(width, width - k);
      for (std::int64_t x = std::max<std::int64_t>(0, -k); x < end; ++x) sum[x] += weight * source[x + k];
    }
  }
  for (std::int64_t y = 0; y < height; ++y) {
    float* const sum = out + y * width;
    for (std::int64_t k = std::max(-across, -y); k <= std::min(across, height - 1 - y); ++k) {
      const float weight = weights[std::abs(k)];
      const float* const source = between_passes + (y + k) * width;
      for (std::int64_t x = 0; x < width; ++x) sum[x] += weight * source[x];
    }
  }
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
    displace(words, scratch, Scratch::room(scratch.x, pixels),
             [](std::int64_t, std::int64_t x) { return x; });
    displace(words + pixels, scratch, Scratch::room(scratch.y, pixels),
             [](std::int64_t y, std::int64_t) { return y; });
    return warp(shape_, from, to, scratch);
  }

 private:
  /// out[y, x] = origin(y, x) + alpha field[y, x]
  template <class Origin>
  void displace(const std::uint32_t* words, Scratch& scratch, float* out, Origin origin) const {
    const std::int64_t pixels = shape_.pixels();
    float* const field = Scratch::room(scratch.field, 2 * pixels);
    for (std::int64_t i = 0; i < pixels; ++i)
      field[i] = static_cast<float>(static_cast<std::int32_t>(words[i] >> 8)) * 0x1p-23F - 1.0f;
    smooth(weights_.data(), static_cast<std::int64_t>(weights_.size()) - 1, shape_.height, shape_.width,
           field, field + pixels, out);
    for (std::int64_t y = 0; y < shape_.height; ++y)
      for (std::int64_t x = 0; x < shape_.width; ++x, ++out)
        *out = static_cast<float>(origin(y, x)) + alpha_ * *out;
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
