#include "trainer/data/augmentation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "augmentation_operation.h"
#include "source.h"
#include "trainer/core/random_normals.h"
#include "trainer/core/vectorise.h"

namespace trainer::data {
namespace {

/// Of a row: its streams of noise are no other row's, and floats count places in an image exactly.
constexpr std::int64_t kMostFeatures = 1 << 24;
/// One stream for so many columns of a row.
constexpr std::int64_t kBlock = 1024;
constexpr std::uint64_t kBlocksOfRow = kMostFeatures / kBlock;

using PixelMaker = PixelOperationPointer (*)(ArgumentReader&, const ImageShape&);
const std::vector<std::pair<std::string, PixelMaker>> kPixelMakers = {
    {"shift", make_shift}, {"flip", make_flip},       {"rotate", make_rotate},
    {"scale", make_scale}, {"elastic", make_elastic}, {"erase", make_erase}};

/// A third dimension counts channels only where it is not the first one that looks like it.
std::optional<ImageShape> image_shape(const std::vector<std::int64_t>& shape) {
  if (shape.size() == 2) return ImageShape{shape[0], shape[1], 1};
  if (shape.size() == 3 && shape[2] <= shape[0]) return ImageShape{shape[0], shape[1], shape[2]};
  return std::nullopt;
}

TRAINER_VECTORISED void add_scaled(float factor, const float* __restrict numbers, float* __restrict out,
                                   std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) out[i] += factor * numbers[i];
}

void check_features(const Term& term, const DataFacts& facts) {
  require(facts.features <= kMostFeatures, ErrorKind::usage, "--augment: ", term.name,
          " takes rows of up to ", kMostFeatures, " values; those of ", facts.name, " have ", facts.features,
          "; leave it out");
}

[[noreturn]] void fail_unknown(const ParsedText& parsed, const Term& term) {
  std::vector<std::string> names;
  for (const auto& [name, maker] : kPixelMakers) names.push_back(name);
  names.insert(names.end(), {"noise", "mixup"});
  const std::string near = nearest_name(term.name, names);
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  parsed.fail_at(term.offset, text("unknown operation \"", term.name, "\"",
                                   near.empty() ? "; expected " + list : "; did you mean " + near + "?"));
}

}  // namespace

Scratch& Scratch::of_thread() {
  static thread_local Scratch scratch;
  return scratch;
}

/// The operations of a text. The place of each in the text is part of the address of its draws.
struct Augmentation::State {
  struct OnPixels {
    std::uint32_t place;
    PixelOperationPointer operation;
  };
  struct OnScaled {
    std::uint32_t place;
    bool mixes;
    double value;  ///< stddev or alpha
  };

  State() = default;
  State(const ParsedText& parsed, const DataFacts& facts, std::uint64_t the_seed)
      : seed(the_seed), features(facts.features) {
    for (const Term& term : parsed.sequence()) {
      const auto place = static_cast<std::uint32_t>(on_pixels.size() + on_scaled.size());
      ArgumentReader arguments(parsed, term);
      if (term.name == "noise")
        add_noise(term, place, facts, arguments);
      else if (term.name == "mixup")
        add_mixup(parsed, term, place, arguments);
      else
        on_pixels.push_back({place, pixel_operation(parsed, term, facts, arguments)});
      arguments.finish();
    }
    if (!on_pixels.empty()) raw = Scaling::none(features);
  }

  void add_noise(const Term& term, std::uint32_t place, const DataFacts& facts, ArgumentReader& arguments) {
    check_features(term, facts);
    on_scaled.push_back({place, false, arguments.number("stddev", 0, 1e6, {}, true)});
  }

  void add_mixup(const ParsedText& parsed, const Term& term, std::uint32_t place, ArgumentReader& arguments) {
    if (mixes) parsed.fail_at(term.offset, "mixup is given twice; expected it once");
    mixes = true;
    on_scaled.push_back({place, true, arguments.number("alpha", 1e-3, 1e3, {})});
  }

  PixelOperationPointer pixel_operation(const ParsedText& parsed, const Term& term, const DataFacts& facts,
                                        ArgumentReader& arguments) const {
    const auto found = std::ranges::find(kPixelMakers, term.name, &std::pair<std::string, PixelMaker>::first);
    if (found == kPixelMakers.end()) fail_unknown(parsed, term);
    const std::optional<ImageShape> shape = image_shape(facts.feature_shape);
    if (!shape)
      parsed.fail_at(
          term.offset,
          text(term.name, " needs images, rows of height x width or height x width x channels; the rows of ",
               facts.name, " are ", shape_text(facts)));
    check_features(term, facts);
    if (!on_scaled.empty())
      parsed.fail_at(
          term.offset,
          text(term.name,
               " works on the pixels as they are in the data: expected it before noise and mixup"));
    return found->second(arguments, *shape);
  }

  RandomKey key(std::int64_t epoch, std::uint32_t place) const {
    return {seed, Purpose::augment, static_cast<std::uint64_t>(epoch), place};
  }

  /// After the operations on pixels, scaled.
  void gather(const AugmentationSource& from, std::span<const std::int64_t> rows, bool clean,
              float* out) const {
    if (on_pixels.empty()) return from.data.gather_scaled(rows, from.scaling, out);
    // Raw, by the gather that fetches ahead; then in the thread's own memory.
    from.data.gather_scaled(rows, raw, out);
    Scratch& scratch = Scratch::of_thread();
    for (const std::int64_t row : rows) {
      float* next = Scratch::room(scratch.image, features);
      float* after = Scratch::room(scratch.other, features);
      const float* now = out;
      for (const auto& [place, operation] : on_pixels) {
        if (clean && operation->is_noise()) continue;
        if (!operation->apply(key(from.epoch, place), static_cast<std::uint64_t>(row), now, next, scratch))
          continue;
        now = next;
        std::swap(next, after);
      }
      if (now == out) now = std::copy_n(out, features, next) - features;
      from.scaling.apply(now, 1, out);
      out += features;
    }
  }

  void disturb(const AugmentationSource& from, const OnScaled& noise, std::int64_t row, float* values) const {
    std::array<float, kBlock> numbers;
    const RandomKey address = key(from.epoch, noise.place);
    for (std::int64_t c = 0; c < features; c += kBlock) {
      const std::int64_t count = std::min(kBlock, features - c);
      random_normals(address,
                     static_cast<std::uint64_t>(row) * kBlocksOfRow + static_cast<std::uint64_t>(c / kBlock),
                     numbers.data(), count);
      add_scaled(static_cast<float>(noise.value), numbers.data(), values + c, count);
    }
  }

  Mix mix(const AugmentationSource& from, const OnScaled& mixup, std::int64_t row) const {
    RandomStream draws(key(from.epoch, mixup.place), static_cast<std::uint64_t>(row));
    Mix mix;
    mix.share = draw_share(mixup.value, draws);
    mix.partner = from.training_rows[static_cast<std::int64_t>(
        draws.below(static_cast<std::uint64_t>(from.training_rows.size())))];
    return mix;
  }

  /// `values` of a gathered row through the first `count` operations on scaled inputs.
  void finish(const AugmentationSource& from, std::size_t count, std::int64_t row, float* values) const {
    for (std::size_t k = 0; k < count; ++k) {
      if (!on_scaled[k].mixes) {
        disturb(from, on_scaled[k], row, values);
        continue;
      }
      const Mix mixed = mix(from, on_scaled[k], row);
      float* const partner = Scratch::room(Scratch::of_thread().partner, features);
      gather(from, {&mixed.partner, 1}, false, partner);
      finish(from, k, mixed.partner, partner);  // there is one mixup only: what is before it mixes nothing
      mixed.apply(partner, features, values);
    }
  }

  std::uint64_t seed = 0;
  std::int64_t features = 0;
  Scaling raw = Scaling::none(0);  ///< of all features where there are operations on pixels
  std::vector<OnPixels> on_pixels;
  std::vector<OnScaled> on_scaled;
  bool mixes = false;
};

Augmentation::Augmentation() : state_(std::make_unique<const State>()) {}
Augmentation::Augmentation(const std::string& source, const DataFacts& facts, std::uint64_t seed)
    : state_(source.empty() ? std::make_unique<const State>()
                            : std::make_unique<const State>(ParsedText("--augment", source), facts, seed)) {}
const Augmentation& Augmentation::none() {
  static const Augmentation nothing;
  return nothing;
}
Augmentation::~Augmentation() = default;
Augmentation::Augmentation(Augmentation&&) noexcept = default;
Augmentation& Augmentation::operator=(Augmentation&&) noexcept = default;

bool Augmentation::is_empty() const { return state_->on_pixels.empty() && state_->on_scaled.empty(); }
bool Augmentation::mixes() const { return state_->mixes; }

void Augmentation::inputs(const AugmentationSource& from, std::span<const std::int64_t> rows,
                          float* out) const {
  state_->gather(from, rows, false, out);
  if (state_->on_scaled.empty()) return;
  for (const std::int64_t row : rows) {
    state_->finish(from, state_->on_scaled.size(), row, out);
    out += state_->features;
  }
}

void Augmentation::clean_inputs(const AugmentationSource& from, std::span<const std::int64_t> rows,
                                float* out) const {
  state_->gather(from, rows, true, out);
}

Mix Augmentation::mix(const AugmentationSource& from, std::int64_t row) const {
  require(mixes(), ErrorKind::internal, "a mixing was asked of an augmentation that does not mix");
  const auto mixup = std::ranges::find_if(state_->on_scaled, [](const auto& one) { return one.mixes; });
  return state_->mix(from, *mixup, row);
}

}  // namespace trainer::data
