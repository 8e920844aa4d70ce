#pragma once

// All that knows oneDNN, and all that differs between oneDNN 2 and 3, stands in this file and onednn.cpp.
// Private to this room.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bf16.h"
#include "trainer/core/buffer.h"

namespace trainer::nn {

/// One oneDNN primitive of a fixed shape, executed single-threaded by any thread of the team at the same
/// time: each thread has its own stream, memory objects and scratchpad (a shared default scratchpad gives
/// wrong results).
class Kernel {
 public:
  struct State;
  Kernel();
  explicit Kernel(std::unique_ptr<State> state);
  ~Kernel();
  Kernel(Kernel&&) noexcept;
  Kernel& operator=(Kernel&&) noexcept;
  explicit operator bool() const { return state_ != nullptr; }
  /// `arguments`: pointers in the order that the maker of the kernel documents. Returns when done.
  void operator()(int thread, std::span<void* const> arguments) const;
  void operator()(int thread, std::initializer_list<void*> arguments) const {
    (*this)(thread, std::span<void* const>(arguments.begin(), arguments.size()));
  }

 private:
  std::unique_ptr<State> state_;
};

/// gelu: x Phi(x), by erf. silu: x sigmoid(x). softplus: ln(1 + exp(x)), backward alone: oneDNN 2.6 is 1e-5
/// away from its small values. exp, forward alone: it makes infinity of nan.
enum class Function { sigmoid, tanh, gelu, silu, softplus, exp };

/// Whether the derivative is computed from y = f(x) instead of x.
bool derivative_from_output(Function function);

/// Makes kernels. Only one thread may make kernels; every thread may run them.
class KernelFactory {
 public:
  explicit KernelFactory(int threads);
  ~KernelFactory();

  /// y = x W^T + b. Arguments: x [rows, inputs], weights (see Tensor::panel), bias [outputs] (left out
  /// without bias), y [rows, outputs].
  Kernel dense_forward(std::int64_t rows, std::int64_t inputs, std::int64_t outputs, std::int64_t panel,
                       bool bias);
  /// dx = dy W. Arguments: dy [rows, outputs], weights (turned, where turns() says so), dx [rows, inputs].
  Kernel dense_backward_data(std::int64_t rows, std::int64_t inputs, std::int64_t outputs,
                             std::int64_t panel);
  /// y = x M + b, in bf16 with sums in f32. Arguments: x [rows, padded depth] bf16, the matrix (see
  /// Bf16Matrix), bias [columns] (left out without bias), y [rows, columns] f32.
  Kernel bf16_product(std::int64_t rows, const Bf16Matrix& matrix, bool bias);
  /// y = f(x), element by element. Arguments: x, y (may be the same).
  Kernel elementwise(Function function, std::int64_t count);
  /// dx = dy f'(x). Arguments: y or x (see derivative_from_output), dy, dx (may be dy).
  Kernel elementwise_backward(Function function, std::int64_t count);
  /// Row-wise softmax. Arguments: x [rows, columns], y (may be x).
  Kernel softmax(std::int64_t rows, std::int64_t columns);

  /// The width of the column panels in which this machine's kernels want a weight matrix: see Tensor::panel.
  std::int64_t preferred_panel(std::int64_t inputs, std::int64_t outputs);
  /// Whether backward-data of a weight matrix in such panels reads TurnedWeights.
  static bool turns(std::int64_t outputs, std::int64_t panel);
  /// The same for a Bf16Matrix.
  std::int64_t preferred_bf16_panel(std::int64_t depth, std::int64_t columns);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// c[m, n] (row stride ldc) = a^T b with a [k, m] (row stride lda), b [k, n] (row stride ldb),
/// single-threaded.
void multiply_transposed(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                         const float* b, std::int64_t ldb, float* c, std::int64_t ldc);

/// Whether oneDNN computes with AVX-512 here, with AVX2 at least, after its limit ONEDNN_MAX_CPU_ISA.
bool onednn_has_avx512();
bool onednn_has_avx2();

}  // namespace trainer::nn
