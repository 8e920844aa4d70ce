#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainer/data/data_set.h"
#include "trainer/data/row_set.h"
#include "trainer/data/scaling.h"

namespace trainer::data {

class PixelOperation;

/// What another row's part in a row is (mixup): row = share * row + (1 - share) * partner, inputs and targets
/// alike.
struct Mix {
  float share = 1;
  std::int64_t partner = 0;  ///< row of the data set

  /// row: [count], mixed in place.
  void apply(const float* partner_values, std::int64_t count, float* row) const;
};

/// Where augmented rows come from. The members must outlive the calls.
struct AugmentationSource {
  const DataSet& data;
  const Scaling& scaling;
  const RowSet& training_rows;  ///< among which partners are drawn
  std::int64_t epoch = 0;
};

/// What `--augment` does to the rows that are trained on: operations, applied in the order given. Everything
/// drawn is a pure function of (seed, epoch, row, place of the operation in the text): nothing to save, the
/// same bits whoever asks.
///
/// On the raw pixels of images [height, width] or [height, width, channels], whose background is 0:
///   shift(pixels)                 by whole pixels, each axis uniform in {-pixels, ..., pixels}
///   flip(probability=0.5)         left and right
///   rotate(degrees)               about the centre, uniform in [-degrees, degrees), bilinear
///   scale(factor)                 about the centre, zoom uniform in [1 - factor, 1 + factor), bilinear
///   elastic(alpha, sigma)         Simard, Steinkraus, Platt, Best Practices for Convolutional Neural
///                                 Networks, 2003: alpha times a field uniform in [-1, 1), smoothed by a
///                                 Gaussian of deviation sigma pixels, cut at 4 sigma, with 0 outside
///   erase(size, probability=0.5)  a square of size x size pixels, its centre uniform over the image, is 0;
///                                 what lies outside is cut off (DeVries & Taylor, Improved Regularization
///                                 of Convolutional Neural Networks with Cutout, 2017)
/// After them, on scaled inputs of any shape:
///   noise(stddev)                 adds normal numbers
///   mixup(alpha)                  Zhang, Cisse, Dauphin, Lopez-Paz, mixup, 2018: the share of the row is
///                                 Beta(alpha, alpha), its partner uniform over the training rows, augmented
///                                 as in its own place of the epoch
/// Pixels and noise take rows of up to 2^24 features.
/// Thread-safe. The buffers that a row is worked on in belong to the thread (a caller gives no thread number
/// by which an object could hold them): each thread allocates them with its first rows, for all augmentations
/// alike, and keeps them until it ends. Nothing in them outlives a call.
class Augmentation {
 public:
  /// Nothing is done: rows are gathered and scaled.
  Augmentation();
  /// Throws Error(usage) with a caret for an unknown operation, bad arguments, an order that cannot be, and
  /// operations on pixels where the data (`facts`) are no images or of more than 2^24 features. An empty
  /// text: nothing is done.
  Augmentation(const std::string& text, const DataFacts& facts, std::uint64_t seed);
  /// One that does nothing, for all who need one.
  static const Augmentation& none();
  ~Augmentation();
  Augmentation(Augmentation&&) noexcept;
  Augmentation& operator=(Augmentation&&) noexcept;

  /// Whether nothing is done: for messages. The functions below need not be spared.
  bool is_empty() const;
  /// Whether rows are mixed, and their targets with them.
  bool mixes() const;

  /// out: [rows, features] f32, scaled: the rows as the network takes them.
  void inputs(const AugmentationSource& from, std::span<const std::int64_t> rows, float* out) const;
  /// The same without noise, erase and mixup: what an autoencoder is to give back.
  void clean_inputs(const AugmentationSource& from, std::span<const std::int64_t> rows, float* out) const;
  /// How inputs() mixed a row; targets are to be mixed alike. For augmentations that mix.
  Mix mix(const AugmentationSource& from, std::int64_t row) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;  ///< never null, until it is moved from
};

}  // namespace trainer::data
