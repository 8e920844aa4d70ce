#pragma once

#include "reference.h"
#include "reference_matrix.h"

namespace trainer::nn::reference {

struct LossOutcome {
  double loss = 0, correct = 0;
  Matrix outputs;   ///< activated
  Matrix gradient;  ///< of the sum over rows, by z
};

/// The loss of `batch` at the network's result z.
LossOutcome loss_of(const Loss& loss, const Matrix& z, const Batch& batch, Disturbance* disturbance);

}  // namespace trainer::nn::reference
