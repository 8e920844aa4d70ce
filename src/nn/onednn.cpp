#include "onednn.h"

#include <algorithm>
#include <dnnl.hpp>
#include <string>
#include <utility>

#include "own_kernels.h"
#include "trainer/core/error.h"
#include "trainer/nn/onednn_facts.h"
#include "turned_weights.h"

namespace trainer::nn {
namespace {

using dnnl::memory;
using DataType = memory::data_type;
using Tag = memory::format_tag;

memory::desc matrix(std::int64_t rows, std::int64_t columns, Tag tag = Tag::ab,
                    DataType type = DataType::f32) {
  return {{rows, columns}, type, tag};
}

memory::desc vector(std::int64_t size) { return {{size}, DataType::f32, Tag::a}; }

/// The panels of weights in which AVX2's kernels read them.
constexpr std::int64_t kNarrowPanel = TurnedWeights::kPanel;

/// Where oneDNN has AVX2 alone its inner product copies the weights at every call; a convolution of 1 x 1
/// reads them where they stand: rows are the pixels of an image of inputs channels.
bool is_convolved(std::int64_t outputs, std::int64_t panel) {
  return panel == kNarrowPanel && outputs != panel;
}

/// A matrix [rows, columns] as an image of `columns` channels.
memory::desc image(std::int64_t rows, std::int64_t columns) {
  return {{1, columns, rows, 1}, DataType::f32, Tag::nhwc};
}

/// oneDNN's name of a weight matrix: [outputs / panel][inputs][panel], seen as a matrix [outputs, inputs].
memory::desc weights(std::int64_t inputs, std::int64_t outputs, std::int64_t panel) {
  if (is_convolved(outputs, panel)) return {{outputs, inputs, 1, 1}, DataType::f32, Tag::OIhw8i8o};
  return matrix(outputs, inputs, panel == outputs ? Tag::ba : Tag::AB16b64a);
}

/// oneDNN's name of a Bf16Matrix, seen as a matrix [columns, padded depth].
memory::desc weights(const Bf16Matrix& bf16) {
  const Tag tag = bf16.panel == 64 ? Tag::AB8b64a2b : bf16.panel == 32 ? Tag::AB8b32a2b : Tag::AB8b16a2b;
  return matrix(bf16.columns, padded_depth(bf16.depth), tag, DataType::bf16);
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

/// In oneDNN silu is x sigmoid(alpha x), softplus ln(1 + exp(alpha x)) / alpha; the others have no parameter.
constexpr float kAlpha = 1.0f;

#if DNNL_VERSION_MAJOR >= 3
auto forward_desc(const dnnl::engine& engine, const memory::desc& x, const memory::desc& w,
                  const memory::desc* b, const memory::desc& y) {
  using P = dnnl::inner_product_forward::primitive_desc;
  const auto kind = dnnl::prop_kind::forward_training;
  return b != nullptr ? P(engine, kind, x, w, *b, y, attributes()) : P(engine, kind, x, w, y, attributes());
}
auto convolution_desc(const dnnl::engine& engine, const memory::desc& x, const memory::desc& w,
                      const memory::desc* b, const memory::desc& y) {
  using P = dnnl::convolution_forward::primitive_desc;
  const auto kind = dnnl::prop_kind::forward_training;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const memory::dims one{1, 1}, none{0, 0};
  return b != nullptr ? P(engine, kind, algorithm, x, w, *b, y, one, none, none, attributes())
                      : P(engine, kind, algorithm, x, w, y, one, none, none, attributes());
}
auto backward_data_desc(const dnnl::engine& engine, const memory::desc& dx, const memory::desc& w,
                        const memory::desc& dy) {
  const auto hint = forward_desc(engine, dx, w, nullptr, dy);
  return dnnl::inner_product_backward_data::primitive_desc(engine, dx, w, dy, hint, attributes());
}
auto elementwise_desc(const dnnl::engine& engine, dnnl::algorithm algorithm, const memory::desc& x) {
  return dnnl::eltwise_forward::primitive_desc(engine, dnnl::prop_kind::forward_training, algorithm, x, x,
                                               kAlpha, 0.0f, attributes());
}
auto elementwise_backward_desc(const dnnl::engine& engine, dnnl::algorithm algorithm, const memory::desc& x) {
  const auto hint = elementwise_desc(engine, algorithm, x);
  return dnnl::eltwise_backward::primitive_desc(engine, algorithm, x, x, x, kAlpha, 0.0f, hint, attributes());
}
auto softmax_desc(const dnnl::engine& engine, const memory::desc& x) {
  return dnnl::softmax_forward::primitive_desc(engine, dnnl::prop_kind::forward_inference,
                                               dnnl::algorithm::softmax_accurate, x, x, 1, attributes());
}
#else
auto forward_desc(const dnnl::engine& engine, const memory::desc& x, const memory::desc& w,
                  const memory::desc* b, const memory::desc& y) {
  using P = dnnl::inner_product_forward;
  const auto kind = dnnl::prop_kind::forward_training;
  const auto desc = b != nullptr ? P::desc(kind, x, w, *b, y) : P::desc(kind, x, w, y);
  return P::primitive_desc(desc, attributes(), engine);
}
auto convolution_desc(const dnnl::engine& engine, const memory::desc& x, const memory::desc& w,
                      const memory::desc* b, const memory::desc& y) {
  using P = dnnl::convolution_forward;
  const auto kind = dnnl::prop_kind::forward_training;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const memory::dims one{1, 1}, none{0, 0};
  const auto desc = b != nullptr ? P::desc(kind, algorithm, x, w, *b, y, one, none, none)
                                 : P::desc(kind, algorithm, x, w, y, one, none, none);
  return P::primitive_desc(desc, attributes(), engine);
}
auto backward_data_desc(const dnnl::engine& engine, const memory::desc& dx, const memory::desc& w,
                        const memory::desc& dy) {
  using P = dnnl::inner_product_backward_data;
  const auto hint = forward_desc(engine, dx, w, nullptr, dy);
  return P::primitive_desc(P::desc(dx, w, dy), attributes(), engine, hint);
}
auto elementwise_desc(const dnnl::engine& engine, dnnl::algorithm algorithm, const memory::desc& x) {
  using P = dnnl::eltwise_forward;
  return P::primitive_desc(P::desc(dnnl::prop_kind::forward_training, algorithm, x, kAlpha, 0.0f),
                           attributes(), engine);
}
auto elementwise_backward_desc(const dnnl::engine& engine, dnnl::algorithm algorithm, const memory::desc& x) {
  using P = dnnl::eltwise_backward;
  const auto hint = elementwise_desc(engine, algorithm, x);
  return P::primitive_desc(P::desc(algorithm, x, x, kAlpha, 0.0f), attributes(), engine, hint);
}
auto softmax_desc(const dnnl::engine& engine, const memory::desc& x) {
  using P = dnnl::softmax_forward;
  return P::primitive_desc(P::desc(dnnl::prop_kind::forward_inference, x, 1), attributes(), engine);
}
#endif

dnnl::algorithm algorithm_of(Function function) {
  switch (function) {
    case Function::sigmoid:
      return dnnl::algorithm::eltwise_logistic;
    case Function::tanh:
      return dnnl::algorithm::eltwise_tanh;
    case Function::gelu:
      return dnnl::algorithm::eltwise_gelu_erf;
    case Function::silu:
      return dnnl::algorithm::eltwise_swish;
    case Function::softplus:
      return dnnl::algorithm::eltwise_soft_relu;
    case Function::exp:
      return dnnl::algorithm::eltwise_exp;
  }
  fail(ErrorKind::internal, "unknown elementwise function");
}

dnnl::algorithm backward_algorithm_of(Function function) {
  if (function == Function::sigmoid) return dnnl::algorithm::eltwise_logistic_use_dst_for_bwd;
  if (function == Function::tanh) return dnnl::algorithm::eltwise_tanh_use_dst_for_bwd;
  return algorithm_of(function);
}

/// oneDNN's errors as ours: they mean a shape that we should not have asked for, or no memory.
template <class Work>
auto checked(const char* what, const Work& work) {
  try {
    return work();
  } catch (const dnnl::error& error) {
    fail(ErrorKind::internal, "oneDNN ", what, ": ", error.what(), " (status ",
         static_cast<int>(error.status), ")");
  }
}

}  // namespace

struct Kernel::State {
  struct PerThread {
    dnnl::stream stream;
    std::vector<std::pair<int, memory>> arguments;  // (oneDNN's argument number, memory without a buffer yet)
    std::vector<dnnl_exec_arg_t> raw;               // the same for the C interface, which allocates nothing
    Buffer<std::byte> scratchpad;
  };
  dnnl::primitive primitive;
  std::vector<PerThread> threads;
};

Kernel::Kernel() = default;
Kernel::Kernel(std::unique_ptr<State> state) : state_(std::move(state)) {}
Kernel::~Kernel() = default;
Kernel::Kernel(Kernel&&) noexcept = default;
Kernel& Kernel::operator=(Kernel&&) noexcept = default;

void Kernel::operator()(int thread, std::span<void* const> arguments) const {
  auto& mine = state_->threads[static_cast<std::size_t>(thread)];
  for (std::size_t i = 0; i < arguments.size(); ++i)
    dnnl_memory_set_data_handle(mine.raw[i].memory, arguments[i]);
  const dnnl_status_t status = dnnl_primitive_execute(state_->primitive.get(), mine.stream.get(),
                                                      static_cast<int>(mine.raw.size()), mine.raw.data());
  require(status == dnnl_success, ErrorKind::internal, "oneDNN could not run a kernel (status ",
          static_cast<int>(status), ")");
}

struct KernelFactory::State {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  int threads = 1;

  template <class PrimitiveDesc, class Primitive>
  Kernel make(const PrimitiveDesc& desc, Primitive primitive,
              std::vector<std::pair<int, memory::desc>> arguments) {
    auto kernel = std::make_unique<Kernel::State>();
    const memory::desc scratchpad = desc.scratchpad_desc();
    kernel->primitive = std::move(primitive);
    for (int t = 0; t < threads; ++t) {
      Kernel::State::PerThread thread;
      thread.stream = dnnl::stream(engine);
      for (const auto& [number, argument] : arguments)
        thread.arguments.emplace_back(number, memory(argument, engine, DNNL_MEMORY_NONE));
      thread.scratchpad = Buffer<std::byte>(static_cast<std::int64_t>(scratchpad.get_size()));
      if (thread.scratchpad.size() > 0)
        thread.arguments.emplace_back(DNNL_ARG_SCRATCHPAD,
                                      memory(scratchpad, engine, thread.scratchpad.data()));
      for (const auto& [number, argument] : thread.arguments) thread.raw.push_back({number, argument.get()});
      kernel->threads.push_back(std::move(thread));
    }
    return Kernel(std::move(kernel));
  }
};

KernelFactory::KernelFactory(int threads) : state_(std::make_unique<State>()) { state_->threads = threads; }
KernelFactory::~KernelFactory() = default;

Kernel KernelFactory::dense_forward(std::int64_t rows, std::int64_t inputs, std::int64_t outputs,
                                    std::int64_t panel, bool bias) {
  return checked("inner product", [&] {
    const bool convolved = is_convolved(outputs, panel);
    const auto x = convolved ? image(rows, inputs) : matrix(rows, inputs),
               w = weights(inputs, outputs, panel), b = vector(outputs),
               y = convolved ? image(rows, outputs) : matrix(rows, outputs);
    const memory::desc* const with_bias = bias ? &b : nullptr;
    std::vector<std::pair<int, memory::desc>> arguments = {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}};
    if (bias) arguments.emplace_back(DNNL_ARG_BIAS, b);
    arguments.emplace_back(DNNL_ARG_DST, y);
    if (convolved) {
      const auto desc = convolution_desc(state_->engine, x, w, with_bias, y);
      return state_->make(desc, dnnl::convolution_forward(desc), std::move(arguments));
    }
    const auto desc = forward_desc(state_->engine, x, w, with_bias, y);
    return state_->make(desc, dnnl::inner_product_forward(desc), std::move(arguments));
  });
}

Kernel KernelFactory::dense_backward_data(std::int64_t rows, std::int64_t inputs, std::int64_t outputs,
                                          std::int64_t panel) {
  if (turns(outputs, panel)) return dense_forward(rows, outputs, inputs, panel, false);
  return checked("inner product, backward", [&] {
    const auto dx = matrix(rows, inputs), w = weights(inputs, outputs, panel), dy = matrix(rows, outputs);
    const auto desc = backward_data_desc(state_->engine, dx, w, dy);
    return state_->make(desc, dnnl::inner_product_backward_data(desc),
                        {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_SRC, dx}});
  });
}

Kernel KernelFactory::bf16_product(std::int64_t rows, const Bf16Matrix& bf16, bool bias) {
  return checked("inner product in bf16", [&] {
    const auto x = matrix(rows, padded_depth(bf16.depth), Tag::ab, DataType::bf16), w = weights(bf16),
               b = vector(bf16.columns), y = matrix(rows, bf16.columns);
    const auto desc = forward_desc(state_->engine, x, w, bias ? &b : nullptr, y);
    std::vector<std::pair<int, memory::desc>> arguments = {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}};
    if (bias) arguments.emplace_back(DNNL_ARG_BIAS, b);
    arguments.emplace_back(DNNL_ARG_DST, y);
    return state_->make(desc, dnnl::inner_product_forward(desc), std::move(arguments));
  });
}

bool derivative_from_output(Function function) {
  return function == Function::sigmoid || function == Function::tanh;
}

Kernel KernelFactory::elementwise(Function function, std::int64_t count) {
  return checked("elementwise", [&] {
    const auto x = vector(count);
    const auto desc = elementwise_desc(state_->engine, algorithm_of(function), x);
    return state_->make(desc, dnnl::eltwise_forward(desc), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, x}});
  });
}

Kernel KernelFactory::elementwise_backward(Function function, std::int64_t count) {
  return checked("elementwise, backward", [&] {
    const auto x = vector(count);
    const auto desc = elementwise_backward_desc(state_->engine, backward_algorithm_of(function), x);
    return state_->make(desc, dnnl::eltwise_backward(desc),
                        {{derivative_from_output(function) ? DNNL_ARG_DST : DNNL_ARG_SRC, x},
                         {DNNL_ARG_DIFF_DST, x},
                         {DNNL_ARG_DIFF_SRC, x}});
  });
}

Kernel KernelFactory::softmax(std::int64_t rows, std::int64_t columns) {
  return checked("softmax", [&] {
    const auto x = matrix(rows, columns);
    const auto desc = softmax_desc(state_->engine, x);
    return state_->make(desc, dnnl::softmax_forward(desc), {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, x}});
  });
}

std::int64_t KernelFactory::preferred_panel(std::int64_t inputs, std::int64_t outputs) {
  constexpr std::int64_t kPanel = 64, kInputBlock = 16, kNominalRows = 64;
  if (!onednn_has_avx512()) {
    const auto convolves = [&](std::int64_t from, std::int64_t to) {
      if (to == kNarrowPanel || to % kNarrowPanel != 0) return false;
      const auto desc = convolution_desc(state_->engine, image(kNominalRows, from),
                                         weights(from, to, kNarrowPanel), nullptr, image(kNominalRows, to));
      return std::string(desc.impl_info_str()).rfind("jit_1x1", 0) == 0;
    };
    return checked("convolution", [&] {
      return convolves(inputs, outputs) && convolves(outputs, inputs) ? kNarrowPanel : outputs;
    });
  }
  if (outputs % kPanel != 0 || outputs == kPanel || inputs % kInputBlock != 0)
    return outputs;  // would be padded
  return checked("inner product", [&] {
    const auto x = matrix(kNominalRows, inputs), w = weights(inputs, outputs, kPanel),
               y = matrix(kNominalRows, outputs);
    const std::string forward = forward_desc(state_->engine, x, w, nullptr, y).impl_info_str();
    const std::string backward = backward_data_desc(state_->engine, x, w, y).impl_info_str();
    const bool fast = forward.rfind("ref", 0) != 0 && backward.rfind("ref", 0) != 0;
    return fast ? kPanel : outputs;
  });
}

bool KernelFactory::turns(std::int64_t outputs, std::int64_t panel) { return is_convolved(outputs, panel); }

std::int64_t KernelFactory::preferred_bf16_panel(std::int64_t depth, std::int64_t columns) {
  constexpr std::int64_t kNominalRows = 64;
  return checked("inner product in bf16", [&]() -> std::int64_t {
    const auto x = matrix(kNominalRows, padded_depth(depth), Tag::ab, DataType::bf16),
               y = matrix(kNominalRows, columns);
    for (const std::int64_t panel : {64, 32, 16}) {
      const Bf16Matrix bf16{depth, columns, panel};
      const std::string name = forward_desc(state_->engine, x, weights(bf16), nullptr, y).impl_info_str();
      if (name.rfind("brgemm", 0) == 0) return panel;
    }
    return columns > 32 ? 64 : columns > 16 ? 32 : 16;
  });
}

void multiply_transposed(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                         const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  const dnnl_status_t status = dnnl_sgemm('T', 'N', m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, ldc);
  require(status == dnnl_success, ErrorKind::internal, "oneDNN could not multiply (status ",
          static_cast<int>(status), ")");
}

namespace {

bool has_isa(dnnl::cpu_isa wanted) {
  // The values are sets of features.
  const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa()), set = static_cast<unsigned>(wanted);
  return (isa & set) == set;
}

}  // namespace

bool onednn_has_avx512() { return has_isa(dnnl::cpu_isa::avx512_core); }

bool onednn_has_avx2() { return has_isa(dnnl::cpu_isa::avx2); }

bool has_bf16() { return TRAINER_HAS_AVX512_KERNEL != 0 && has_isa(dnnl::cpu_isa::avx512_core_bf16); }

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return text(version->major, ".", version->minor, ".", version->patch);
}

std::string onednn_isa() {
  // The names are those that ONEDNN_MAX_CPU_ISA takes.
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
      return "SSE41";
    case dnnl::cpu_isa::avx:
      return "AVX";
    case dnnl::cpu_isa::avx2:
      return "AVX2";
    case dnnl::cpu_isa::avx2_vnni:
      return "AVX2_VNNI";
    case dnnl::cpu_isa::avx512_core:
      return "AVX512_CORE";
    case dnnl::cpu_isa::avx512_core_vnni:
      return "AVX512_CORE_VNNI";
    case dnnl::cpu_isa::avx512_core_bf16:
      return "AVX512_CORE_BF16";
    case dnnl::cpu_isa::avx512_core_amx:
      return "AVX512_CORE_AMX";
    default:
      return "other";
  }
}

}  // namespace trainer::nn
