#include "trainer/nn/network.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "operations.h"
#include "trainer/core/random.h"
#include "trainer/nn/onednn_facts.h"

namespace trainer::nn {
namespace {

constexpr std::int64_t kAlignment = 16;                         // floats: one cache line
constexpr std::int64_t kMaxParameters = std::int64_t{1} << 38;  // a terabyte of weights

/// Lays out parameters and operations while walking over the layers.
struct Assembler {
  KernelFactory& factory;
  Network::Plan& plan;
  std::vector<Tensor>& parameters;
  std::vector<Tensor>& statistics;
  std::vector<ParameterLayer>& layers;
  std::int64_t& parameter_floats;
  std::int64_t& statistic_floats;
  Tuning tuning;
  std::string path_of_layer = {};  ///< that is being assembled

  std::int64_t place(std::vector<Tensor>& tensors, std::int64_t& floats, Tensor::Kind kind, std::string path,
                     std::vector<std::int64_t> shape, std::int64_t panel = 0, Initialiser initialiser = {}) {
    std::int64_t size = 1;
    for (const std::int64_t extent : shape) size *= extent;  // widths are at most 2^24 each
    require(size <= kMaxParameters - floats, ErrorKind::usage, "--model: more than ", kMaxParameters,
            " parameters are needed; make the layers narrower");
    const std::int64_t offset = floats;
    floats += (size + kAlignment - 1) / kAlignment * kAlignment;
    tensors.push_back({kind, std::move(path), std::move(shape), offset, size, panel, initialiser});
    return offset;
  }

  Slot new_value(std::int64_t width, bool needs_gradient) {
    Slot slot{static_cast<int>(plan.value_widths.size()), -1, width, needs_gradient};
    plan.value_widths.push_back(width);
    plan.value_layers.push_back(path_of_layer);
    return slot;
  }

  void give_gradient(Slot& slot) {
    if (!slot.needs_gradient || slot.gradient >= 0) return;
    slot.gradient = static_cast<int>(plan.gradient_widths.size());
    plan.gradient_widths.push_back(slot.width);
  }

  template <class Op, class... Arguments>
  Op* emit(Arguments&&... arguments) {
    auto operation = std::make_unique<Op>(std::forward<Arguments>(arguments)...);
    Op* raw = operation.get();
    plan.operations.push_back(std::move(operation));
    plan.tiled.push_back(nullptr);
    plan.batch_norm.push_back(nullptr);
    return raw;
  }

  void begin_layer(const std::string& path) { layers.push_back({path, parameter_floats, 0, {}}); }
  int end_layer(std::size_t first_tensor) {
    for (std::size_t i = first_tensor; i < parameters.size(); ++i)
      layers.back().tensors.push_back(static_cast<int>(i));
    layers.back().size = parameter_floats - layers.back().offset;
    return static_cast<int>(layers.size()) - 1;
  }

  Slot dense(const std::string& path, Slot in, std::int64_t outputs, bool with_bias,
             Initialiser initialiser) {
    const std::int64_t panel = factory.preferred_panel(in.width, outputs);
    begin_layer(path);
    const std::size_t first = parameters.size();
    using Kind = Tensor::Kind;
    const std::int64_t weight = place(parameters, parameter_floats, Kind::weight, path + "/weight",
                                      {outputs, in.width}, panel, initialiser);
    const std::int64_t bias =
        with_bias ? place(parameters, parameter_floats, Kind::bias, path + "/bias", {outputs}) : -1;
    Slot out = new_value(outputs, true);
    give_gradient(out);
    Dense* operation = emit<Dense>(in, out, weight, bias, panel, tuning);
    operation->arrange(factory, plan, tuning.precision);
    operation->layer = end_layer(first);
    plan.tiled.back() = operation;
    return out;
  }

  /// Scale and shift of a norm, in this order: where they stand.
  std::pair<std::int64_t, std::int64_t> affine(const std::string& path, std::int64_t width) {
    using Kind = Tensor::Kind;
    const std::int64_t scale = place(parameters, parameter_floats, Kind::scale, path + "/scale", {width});
    const std::int64_t shift = place(parameters, parameter_floats, Kind::shift, path + "/shift", {width});
    return {scale, shift};
  }

  Slot layer_norm(const LayerSpec& layer, Slot in) {
    begin_layer(layer.path);
    const std::size_t first = parameters.size();
    const auto [scale, shift] = affine(layer.path, in.width);
    const Slot moments = new_value(2, false);
    Slot out = new_value(in.width, true);
    give_gradient(out);
    LayerNorm* operation = emit<LayerNorm>(in, moments, out, layer.epsilon, scale, shift);
    operation->layer = end_layer(first);
    plan.tiled.back() = operation;
    return out;
  }

  Slot batch_norm(const LayerSpec& layer, Slot in) {
    begin_layer(layer.path);
    const std::size_t first = parameters.size();
    using Kind = Tensor::Kind;
    const auto [scale, shift] = affine(layer.path, in.width);
    const std::int64_t mean =
        place(statistics, statistic_floats, Kind::running_mean, layer.path + "/running_mean", {in.width});
    const std::int64_t variance = place(statistics, statistic_floats, Kind::running_variance,
                                        layer.path + "/running_variance", {in.width});
    Slot out = new_value(in.width, true);
    out.gradient = in.gradient;  // backward is element by element: in place
    give_gradient(out);
    BatchNorm* operation = emit<BatchNorm>(in, out, plan.norms++, layer, scale, shift, mean, variance);
    operation->layer = end_layer(first);
    plan.batch_norm.back() = operation;
    return out;
  }

  /// Who still needs the values in a slot when its consumer has run.
  enum class Needed {
    no,    ///< nobody: they may be overwritten by anything
    sign,  ///< a relu, for its derivative: they may be overwritten by what keeps positive values positive
    yes
  };

  /// The slot that an elementwise operation writes to: the same one where its values are not needed again.
  Slot elementwise_out(const Slot& in, bool may_overwrite) {
    if (may_overwrite) return in;
    Slot out = new_value(in.width, in.needs_gradient);
    out.gradient = in.gradient;
    return out;
  }

  /// Dead units are counted for plain relus: a leaky one has none.
  void rectifier(const LayerSpec& layer, const Slot& in, const Slot& out) {
    const bool watched = layer.slope == 0;
    emit<Relu>(in, out, static_cast<float>(layer.slope), watched ? plan.watched_units : -1);
    if (!watched) return;
    plan.watched.push_back({layer.path, plan.watched_units, in.width});
    plan.watched_units += in.width;
  }

  Slot residual(const LayerSpec& layer, Slot in) {
    Slot body_in = in;  // the same values, a gradient of its own
    body_in.gradient = -1;
    give_gradient(body_in);
    emit<Fork>(in, body_in);
    Slot shortcut = in;
    if (layer.projection)
      shortcut = dense(layer.path + "/projection", in, layer.outputs, false, layer.initialiser);
    Slot body = sequence(layer.body, body_in);
    path_of_layer = layer.path;
    Slot out = new_value(layer.outputs, body.needs_gradient || shortcut.needs_gradient);
    out.gradient = body.gradient;
    give_gradient(out);
    emit<Join>(body, shortcut, out);
    return out;
  }

  Slot sequence(const std::vector<LayerSpec>& specs, Slot slot) {
    Needed needed = Needed::yes;
    for (const LayerSpec& layer : specs) {
      const Slot in = slot;
      path_of_layer = layer.path;
      switch (layer.kind) {
        case LayerKind::dense:
          slot = dense(layer.path, in, layer.outputs, layer.bias, layer.initialiser);
          needed = Needed::no;
          break;
        case LayerKind::batch_norm:
          slot = batch_norm(layer, in);
          needed = Needed::no;
          break;
        case LayerKind::layer_norm:
          slot = layer_norm(layer, in);
          needed = Needed::no;
          break;
        case LayerKind::residual:
          slot = residual(layer, in);
          needed = Needed::no;
          break;
        case LayerKind::relu:
        case LayerKind::leaky_relu:
          slot = elementwise_out(in, needed != Needed::yes);
          rectifier(layer, in, slot);
          needed = Needed::sign;
          break;
        case LayerKind::elu:
          slot = elementwise_out(in, false);
          emit<Elu>(in, slot, layer.alpha);
          needed = Needed::yes;
          break;
        case LayerKind::softplus:
          slot = elementwise_out(in, false);
          emit<Softplus>(in, slot);
          needed = Needed::no;
          break;
        case LayerKind::gelu:
        case LayerKind::silu:
          slot = elementwise_out(in, false);
          emit<Smooth>(layer.kind == LayerKind::gelu ? Function::gelu : Function::silu, in, slot);
          needed = Needed::no;
          break;
        case LayerKind::noise:
          slot = elementwise_out(in, needed == Needed::no);
          emit<Noise>(in, slot, plan.noises++, layer.deviation);
          needed = Needed::no;
          break;
        case LayerKind::dropout:
          slot = elementwise_out(in, needed != Needed::yes);
          emit<Dropout>(in, slot, static_cast<int>(plan.mask_widths.size()), layer.rate);
          plan.mask_widths.push_back(in.width);
          if (needed == Needed::yes) needed = Needed::no;
          break;
        case LayerKind::sigmoid:
        case LayerKind::tanh:
          slot = elementwise_out(in, needed == Needed::no);
          emit<Smooth>(layer.kind == LayerKind::sigmoid ? Function::sigmoid : Function::tanh, in, slot);
          needed = Needed::yes;
          break;
        case LayerKind::softmax:
          slot = elementwise_out(in, needed == Needed::no);
          emit<Softmax>(in, slot);
          needed = Needed::yes;
          break;
      }
    }
    return slot;
  }
};

void draw(const Tensor& tensor, std::uint32_t index, std::uint64_t seed, float* values) {
  using Kind = Initialiser::Kind;
  const std::int64_t outputs = tensor.shape[0], inputs = tensor.shape[1];
  const RandomKey key(seed, Purpose::initialise, 0, index);
  const double he = std::sqrt(2.0 / static_cast<double>(inputs));
  const double glorot = std::sqrt(6.0 / static_cast<double>(inputs + outputs));
  const Initialiser& how = tensor.initialiser;
  for (std::int64_t o = 0; o < outputs; ++o) {
    RandomStream row(key, static_cast<std::uint64_t>(o));
    for (std::int64_t i = 0; i < inputs; ++i) {
      double drawn = how.value;
      if (how.kind == Kind::he) drawn = he * row.normal();
      if (how.kind == Kind::normal) drawn = how.value * row.normal();
      if (how.kind == Kind::glorot) drawn = glorot * (2 * row.uniform() - 1);
      if (how.kind == Kind::uniform) drawn = how.value * (2 * row.uniform() - 1);
      if (how.kind == Kind::zeros) drawn = 0;
      values[o * inputs + i] = static_cast<float>(drawn);
    }
  }
}

}  // namespace

Network::Network(const Model& model, int threads, Tuning tuning)
    : model_(model),
      precision_(tuning.precision),
      factory_(std::make_unique<KernelFactory>(threads)),
      plan_(std::make_unique<Plan>()) {
  require(precision_ == Precision::f32 || has_bf16(), ErrorKind::internal,
          "a network in bf16 where there are no instructions for it");
  tuning.own_weight_gradient = tuning.own_weight_gradient && WeightGradient::possible();
  Assembler assembler{*factory_,         *plan_, parameters_, statistics_, layers_, parameter_floats_,
                      statistic_floats_, tuning};
  plan_->input = assembler.new_value(model_.inputs(), false);
  plan_->output = assembler.sequence(model_.layers(), plan_->input);
  require(!layers_.empty(), ErrorKind::usage, "--model \"", model_.text(),
          "\": nothing in it can be trained; add a dense layer");

  // The layers in the order in which backward completes them: see TrainingPass::backward.
  std::reverse(layers_.begin(), layers_.end());
  const int last = static_cast<int>(layers_.size()) - 1;
  for (Tiled* tiled : plan_->tiled)
    if (tiled != nullptr) tiled->layer = last - tiled->layer;
  for (BatchNorm* norm : plan_->batch_norm)
    if (norm != nullptr) norm->layer = last - norm->layer;
}

Network::~Network() = default;

Precision parse_precision(const std::string& text) {
  if (text == "f32") return Precision::f32;
  require(text == "bf16", ErrorKind::usage, "--precision ", text, ": expected f32 or bf16");
  require(has_bf16(), ErrorKind::usage,
          "--precision bf16: oneDNN would only emulate bf16 here: the processor has neither avx512_bf16 nor "
          "amx_bf16, or a limit (--isa, ONEDNN_MAX_CPU_ISA) leaves them out (oneDNN computes with ",
          onednn_isa(), "); take --precision f32");
  return Precision::bf16;
}

Tuning Tuning::for_rows(std::int64_t rows_of_shard, Precision precision) {
  return {.own_weight_gradient = rows_of_shard >= WeightGradient::least_rows(), .precision = precision};
}

std::int64_t Network::arranged_bytes() const {
  return 4 * plan_->turned_weights + std::int64_t{sizeof(Bf16)} * plan_->bf16_weights;
}

std::int64_t Network::parameter_count() const {
  std::int64_t count = 0;
  for (const Tensor& tensor : parameters_) count += tensor.size;
  return count;
}

std::int64_t Network::activation_bytes_per_row() const {
  std::int64_t bytes = 0;
  for (const std::int64_t width : plan_->value_widths) bytes += 4 * width;
  for (const std::int64_t width : plan_->gradient_widths) bytes += 4 * width;
  for (const std::int64_t width : plan_->mask_widths) bytes += width;
  std::int64_t packed = 0;  // of one layer at a time
  for (const Tiled* tiled : plan_->tiled)
    if (tiled != nullptr && tiled->packs()) packed = std::max(packed, tiled->packed_floats(1));
  return bytes + 4 * packed;
}

void Network::initialise(std::uint64_t seed, float* parameters, float* statistics) const {
  for (std::size_t t = 0; t < parameters_.size(); ++t) {
    const Tensor& tensor = parameters_[t];
    std::vector<float> values(static_cast<std::size_t>(tensor.size),
                              tensor.kind == Tensor::Kind::scale ? 1.0f : 0.0f);
    if (tensor.is_dense_weight()) draw(tensor, static_cast<std::uint32_t>(t), seed, values.data());
    from_checkpoint(tensor, values, parameters);
  }
  for (const Tensor& tensor : statistics_)
    std::fill_n(statistics + tensor.offset, tensor.size,
                tensor.kind == Tensor::Kind::running_variance ? 1.0f : 0.0f);
}

std::vector<float> Network::to_checkpoint(const Tensor& tensor, const float* flat) {
  std::vector<float> values(static_cast<std::size_t>(tensor.size));
  const float* from = flat + tensor.offset;
  if (!tensor.is_dense_weight()) {
    std::copy_n(from, tensor.size, values.begin());
    return values;
  }
  const std::int64_t outputs = tensor.shape[0], inputs = tensor.shape[1], panel = tensor.panel;
  for (std::int64_t o = 0; o < outputs; ++o)
    for (std::int64_t i = 0; i < inputs; ++i)
      values[static_cast<std::size_t>(o * inputs + i)] = from[((o / panel) * inputs + i) * panel + o % panel];
  return values;
}

void Network::from_checkpoint(const Tensor& tensor, const std::vector<float>& values, float* flat) {
  require(static_cast<std::int64_t>(values.size()) == tensor.size, ErrorKind::internal, "tensor ",
          tensor.path, " has ", tensor.size, " values, ", values.size(), " were given");
  float* to = flat + tensor.offset;
  if (!tensor.is_dense_weight()) {
    std::copy(values.begin(), values.end(), to);
    return;
  }
  const std::int64_t outputs = tensor.shape[0], inputs = tensor.shape[1], panel = tensor.panel;
  for (std::int64_t o = 0; o < outputs; ++o)
    for (std::int64_t i = 0; i < inputs; ++i)
      to[((o / panel) * inputs + i) * panel + o % panel] = values[static_cast<std::size_t>(o * inputs + i)];
}

}  // namespace trainer::nn
