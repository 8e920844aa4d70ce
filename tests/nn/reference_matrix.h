#pragma once

#include <cstdint>
#include <vector>

namespace trainer::nn::reference {

/// Row-major numbers.
struct Matrix {
  Matrix() = default;
  Matrix(std::int64_t r, std::int64_t c) : rows(r), columns(c), values(static_cast<std::size_t>(r * c)) {}
  double& operator()(std::int64_t r, std::int64_t c) {
    return values[static_cast<std::size_t>(r * columns + c)];
  }
  double operator()(std::int64_t r, std::int64_t c) const {
    return values[static_cast<std::size_t>(r * columns + c)];
  }
  std::int64_t rows = 0, columns = 0;
  std::vector<double> values;
};

}  // namespace trainer::nn::reference
