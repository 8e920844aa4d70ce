#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer/core/tree.h"
#include "trainer/nn/model.h"

namespace trainer::nn {

/// One parameter tensor and its place in the flat parameter vector.
struct Tensor {
  enum class Kind { weight, bias, scale, shift, running_mean, running_variance };
  Kind kind{};
  std::string path;                 ///< "00_dense/weight"
  std::vector<std::int64_t> shape;  ///< as in the checkpoint: weight [outputs, inputs], others [width]
  std::int64_t offset = 0;          ///< of its first float in the flat vector (parameters or statistics)
  std::int64_t size = 0;            ///< floats
  std::int64_t panel = 0;   ///< weight: stored as [outputs / panel][inputs][panel]; element (o, i) at ((o /
                            ///< panel) * inputs + i) * panel + o % panel
  Initialiser initialiser;  ///< weight
  bool is_dense_weight() const { return kind == Kind::weight; }
};

/// The tensors of one layer: a contiguous run of the flat parameter vector, exchanged and updated together.
struct ParameterLayer {
  std::string path;         ///< "00_dense"
  std::int64_t offset = 0;  ///< first float
  std::int64_t size = 0;    ///< floats, gaps for alignment included (always zero)
  std::vector<int> tensors;
};

class Operation;
class KernelFactory;

/// Of the factors of dense layers' products in training. Sums are in f32, and so is all else: weights,
/// values, statistics, losses, gradients, and every inference.
enum class Precision { f32, bf16 };

/// How a network is computed, where there is a choice.
struct Tuning {
  bool own_weight_gradient = true;  ///< by a kernel of our own, where the processor allows it; in bf16 always
  Precision precision = Precision::f32;
  /// What measures best for shards of so many rows with the instructions here (benchmarks/README.md).
  static Tuning for_rows(std::int64_t rows_of_shard, Precision precision = Precision::f32);
};

/// "f32" or "bf16". Throws Error(usage) for bf16 where the processor has no instructions for it, or oneDNN
/// may not use them (--isa, ONEDNN_MAX_CPU_ISA): it would only emulate them.
Precision parse_precision(const std::string& text);

/// A network ready to compute: operations over oneDNN and the layout of its parameters. Holds no parameter
/// values. The flat parameter vector has parameter_floats() floats; every tensor begins at a multiple of 16.
/// Batch norm's running statistics stand in a second flat vector.
class Network {
 public:
  /// `model`: what is to be computed (after join()). `threads`: of the team that will run it.
  Network(const Model& model, int threads, Tuning tuning = {});
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const Model& model() const { return model_; }
  Precision precision() const { return precision_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }
  const std::vector<Tensor>& statistics() const { return statistics_; }
  /// In the order in which backward completes their gradients.
  const std::vector<ParameterLayer>& layers() const { return layers_; }
  std::int64_t parameter_floats() const { return parameter_floats_; }
  std::int64_t statistic_floats() const { return statistic_floats_; }
  /// Trainable values, gaps not counted.
  std::int64_t parameter_count() const;
  /// Memory of a training pass for weights in the orders in which products read them beside their own.
  std::int64_t arranged_bytes() const;
  /// Memory of a training pass for each row of the batch that a rank computes.
  std::int64_t activation_bytes_per_row() const;

  /// Draws the initial values of (seed): every element a pure function of (seed, tensor, element).
  void initialise(std::uint64_t seed, float* parameters, float* statistics) const;

  /// Tensor values in checkpoint layout (row-major `shape`) from and to a flat vector.
  static std::vector<float> to_checkpoint(const Tensor& tensor, const float* flat);
  static void from_checkpoint(const Tensor& tensor, const std::vector<float>& values, float* flat);

  // What follows is for the passes of this room.
  struct Slot {
    int value = -1;     ///< index of its values' buffer
    int gradient = -1;  ///< index of its gradient's buffer
    std::int64_t width = 0;
    bool needs_gradient = false;
  };
  struct Plan;
  Plan& plan() const { return *plan_; }
  KernelFactory& factory() const { return *factory_; }

 private:
  Model model_;
  Precision precision_;
  std::unique_ptr<KernelFactory> factory_;
  std::unique_ptr<Plan> plan_;
  std::vector<Tensor> parameters_;
  std::vector<Tensor> statistics_;
  std::vector<ParameterLayer> layers_;
  std::int64_t parameter_floats_ = 0;
  std::int64_t statistic_floats_ = 0;
};

}  // namespace trainer::nn
