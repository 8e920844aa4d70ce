#include "reference.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "reference_loss.h"
#include "reference_matrix.h"
#include "trainer/core/random.h"

namespace trainer::nn::reference {
namespace {

/// What the forward step of a layer leaves for its backward step.
struct Tape {
  Matrix x, y, xhat;
  std::vector<std::vector<double>> inverse;  // batch norm: by group and column; layer norm: by row
  std::vector<bool> kept;                    // dropout: by element
  std::vector<Tape> body;                    // residual
};

/// One run of a network over one batch.
class Evaluation {
 public:
  Evaluation(const Tensors& parameters, const Batch& batch, const Step& step, Disturbance* disturbance,
             Outcome& outcome)
      : parameters_(parameters), batch_(batch), step_(step), disturbance_(disturbance), outcome_(outcome) {}

  Matrix forward(const std::vector<LayerSpec>& layers, Matrix x, std::vector<Tape>& tapes) {
    for (const LayerSpec& layer : layers) {
      Tape tape;
      tape.x = std::move(x);
      tape.y = forward(layer, tape);
      x = tape.y;
      tapes.push_back(std::move(tape));
    }
    return x;
  }

  Matrix backward(const std::vector<LayerSpec>& layers, Matrix dy, const std::vector<Tape>& tapes) {
    for (std::size_t i = layers.size(); i-- > 0;) dy = backward(layers[i], tapes[i], dy);
    return dy;
  }

 private:
  double disturbed(double value, double magnitude, std::int64_t terms = 1) {
    return disturbance_ == nullptr ? value : (*disturbance_)(value, magnitude, terms);
  }

  Matrix forward(const LayerSpec& layer, Tape& tape) {
    switch (layer.kind) {
      case LayerKind::dense:
        return dense(layer.path, layer.outputs, layer.bias, tape.x);
      case LayerKind::batch_norm:
        return batch_norm(layer, tape);
      case LayerKind::layer_norm:
        return layer_norm(layer, tape);
      case LayerKind::relu:
        outcome_.relus[layer.path] = map(tape.x, [](double v) { return v > 0 ? v : 0.0; }).values;
        return map(tape.x, [](double v) { return v > 0 ? v : 0.0; });
      case LayerKind::leaky_relu:
        return map(tape.x, [&](double v) { return v > 0 ? v : layer.slope * v; });
      case LayerKind::elu:
        return map(tape.x, [&](double v) { return v > 0 ? v : layer.alpha * std::expm1(v); });
      case LayerKind::gelu:
        // 1 + erf cancels in single precision, so that x Phi(x) is as uncertain as x.
        return map(
            tape.x, [](double v) { return v * normal_share(v); }, [](double v) { return std::abs(v); });
      case LayerKind::silu:
        return map(tape.x, [](double v) { return v * sigmoid(v); });
      case LayerKind::softplus:
        return map(tape.x,
                   [](double v) { return v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); });
      case LayerKind::noise:
        return noise(layer, tape.x);
      case LayerKind::sigmoid:
        return map(tape.x, sigmoid);
      case LayerKind::tanh:
        return map(tape.x, [](double v) { return std::tanh(v); });
      case LayerKind::softmax:
        return softmax(tape.x);
      case LayerKind::dropout:
        return dropout(layer, tape);
      case LayerKind::residual:
        return residual(layer, tape);
    }
    return {};
  }

  Matrix backward(const LayerSpec& layer, const Tape& tape, const Matrix& dy) {
    switch (layer.kind) {
      case LayerKind::dense:
        return dense_backward(layer.path, layer.bias, tape.x, dy);
      case LayerKind::batch_norm:
        return batch_norm_backward(layer, tape, dy);
      case LayerKind::layer_norm:
        return layer_norm_backward(layer, tape, dy);
      case LayerKind::relu:
        return scale(dy, [&](std::size_t i) { return tape.x.values[i] > 0 ? 1.0 : 0.0; });
      case LayerKind::leaky_relu:
        return scale(dy, [&](std::size_t i) { return tape.x.values[i] > 0 ? 1.0 : layer.slope; });
      case LayerKind::elu:
        return scale(
            dy,
            [&](std::size_t i) {
              return tape.x.values[i] > 0 ? 1.0 : layer.alpha * std::exp(tape.x.values[i]);
            },
            layer.alpha);
      case LayerKind::gelu:
        return scale(
            dy,
            [&](std::size_t i) {
              const double v = tape.x.values[i];
              return normal_share(v) + v * std::exp(-v * v / 2) / std::sqrt(2 * std::numbers::pi);
            },
            1);
      case LayerKind::silu:
        return scale(
            dy,
            [&](std::size_t i) {
              const double v = tape.x.values[i];
              return sigmoid(v) * (1 + v * (1 - sigmoid(v)));
            },
            1);
      case LayerKind::softplus:
        return scale(dy, [&](std::size_t i) { return sigmoid(tape.x.values[i]); });
      case LayerKind::noise:
        return dy;
      case LayerKind::sigmoid:
        return scale(dy, [&](std::size_t i) { return tape.y.values[i] * (1 - tape.y.values[i]); });
      case LayerKind::tanh:
        return scale(dy, [&](std::size_t i) { return 1 - tape.y.values[i] * tape.y.values[i]; });
      case LayerKind::softmax:
        return softmax_backward(tape.y, dy);
      case LayerKind::dropout:
        return scale(dy, [&](std::size_t i) { return tape.kept[i] ? 1 / (1 - layer.rate) : 0.0; });
      case LayerKind::residual:
        return residual_backward(layer, tape, dy);
    }
    return {};
  }

  // ---- elementwise

  static double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }
  /// The share of a normal distribution below v.
  static double normal_share(double v) { return std::erfc(-v / std::numbers::sqrt2) / 2; }

  template <class Function>
  Matrix map(const Matrix& x, const Function& function) {
    return map(x, function, [](double) { return 0.0; });
  }

  /// `uncertainty(x)`: what the result is uncertain by beside its own size.
  template <class Function, class Uncertainty>
  Matrix map(const Matrix& x, const Function& function, const Uncertainty& uncertainty) {
    Matrix y(x.rows, x.columns);
    for (std::size_t i = 0; i < x.values.size(); ++i) {
      const double v = function(x.values[i]);
      y.values[i] = v == 0 ? v : disturbed(v, 2 * std::abs(v) + uncertainty(x.values[i]));
    }
    return y;
  }

  /// `uncertainty`: of the factor beside its own size.
  template <class Factor>
  Matrix scale(const Matrix& dy, const Factor& factor, double uncertainty = 0) {
    Matrix dx(dy.rows, dy.columns);
    for (std::size_t i = 0; i < dy.values.size(); ++i) {
      const double v = dy.values[i] * factor(i);
      dx.values[i] = disturbed(v, 2 * std::abs(v) + uncertainty * std::abs(dy.values[i]));
    }
    return dx;
  }

  Matrix sum(const Matrix& a, const Matrix& b) {
    Matrix c(a.rows, a.columns);
    for (std::size_t i = 0; i < c.values.size(); ++i)
      c.values[i] = disturbed(a.values[i] + b.values[i], std::abs(a.values[i]) + std::abs(b.values[i]));
    return c;
  }

  Matrix softmax(const Matrix& x) {
    Matrix y(x.rows, x.columns);
    for (std::int64_t r = 0; r < x.rows; ++r) {
      double largest = x(r, 0), total = 0;
      for (std::int64_t c = 0; c < x.columns; ++c) largest = std::max(largest, x(r, c));
      for (std::int64_t c = 0; c < x.columns; ++c) total += std::exp(x(r, c) - largest);
      for (std::int64_t c = 0; c < x.columns; ++c) {
        const double p = std::exp(x(r, c) - largest) / total;
        y(r, c) = disturbed(p, 4 * p);
      }
    }
    return y;
  }

  // dx_c = sum_k dy_k p_k (delta_kc - p_c)
  Matrix softmax_backward(const Matrix& p, const Matrix& dy) {
    Matrix dx(dy.rows, dy.columns);
    for (std::int64_t r = 0; r < dy.rows; ++r)
      for (std::int64_t c = 0; c < dy.columns; ++c) {
        double total = 0, magnitude = 0;
        for (std::int64_t k = 0; k < dy.columns; ++k) {
          const double term = dy(r, k) * p(r, k) * ((k == c ? 1.0 : 0.0) - p(r, c));
          total += term;
          magnitude += std::abs(dy(r, k) * p(r, k)) * p(r, c);
        }
        dx(r, c) = disturbed(total, magnitude + std::abs(dy(r, c) * p(r, c)), 2);
      }
    return dx;
  }

  // ---- dense

  Matrix dense(const std::string& path, std::int64_t outputs, bool with_bias, const Matrix& x) {
    const std::vector<double>& weight = parameters_.at(path + "/weight");
    Matrix y(x.rows, outputs);
    for (std::int64_t r = 0; r < x.rows; ++r)
      for (std::int64_t o = 0; o < outputs; ++o) {
        double total = with_bias ? parameters_.at(path + "/bias")[static_cast<std::size_t>(o)] : 0.0;
        double magnitude = std::abs(total);
        for (std::int64_t i = 0; i < x.columns; ++i) {
          const double term = x(r, i) * weight[static_cast<std::size_t>(o * x.columns + i)];
          total += term;
          magnitude += std::abs(term);
        }
        y(r, o) = disturbed(total, magnitude, x.columns + 1);
      }
    return y;
  }

  Matrix dense_backward(const std::string& path, bool with_bias, const Matrix& x, const Matrix& dy) {
    const std::vector<double>& weight = parameters_.at(path + "/weight");
    outcome_.deltas[path] = dy.values;
    std::vector<double>& dw = outcome_.gradients[path + "/weight"];
    dw.assign(weight.size(), 0);
    for (std::int64_t o = 0; o < dy.columns; ++o) {
      for (std::int64_t i = 0; i < x.columns; ++i) {
        double total = 0, magnitude = 0;
        for (std::int64_t r = 0; r < dy.rows; ++r) {
          total += dy(r, o) * x(r, i);
          magnitude += std::abs(dy(r, o) * x(r, i));
        }
        dw[static_cast<std::size_t>(o * x.columns + i)] = disturbed(total, magnitude, dy.rows);
      }
    }
    if (with_bias) outcome_.gradients[path + "/bias"] = column_sums(dy);
    Matrix dx(x.rows, x.columns);
    for (std::int64_t r = 0; r < x.rows; ++r)
      for (std::int64_t i = 0; i < x.columns; ++i) {
        double total = 0, magnitude = 0;
        for (std::int64_t o = 0; o < dy.columns; ++o) {
          const double term = dy(r, o) * weight[static_cast<std::size_t>(o * x.columns + i)];
          total += term;
          magnitude += std::abs(term);
        }
        dx(r, i) = disturbed(total, magnitude, dy.columns);
      }
    return dx;
  }

  std::vector<double> column_sums(const Matrix& m) {
    std::vector<double> sums(static_cast<std::size_t>(m.columns));
    for (std::int64_t c = 0; c < m.columns; ++c) {
      double total = 0, magnitude = 0;
      for (std::int64_t r = 0; r < m.rows; ++r) {
        total += m(r, c);
        magnitude += std::abs(m(r, c));
      }
      sums[static_cast<std::size_t>(c)] = disturbed(total, magnitude, m.rows);
    }
    return sums;
  }

  // ---- batch norm (Ioffe and Szegedy, 2015)

  /// The groups of rows that share statistics: [first, last).
  std::vector<std::pair<std::int64_t, std::int64_t>> groups(const LayerSpec& layer) const {
    if (!step_.training || !layer.shard_statistics) return {{0, batch_.rows}};
    std::vector<std::pair<std::int64_t, std::int64_t>> result;
    for (std::int64_t s = 0; s < step_.shards; ++s) {
      const std::int64_t first = s * batch_.rows / step_.shards, last = (s + 1) * batch_.rows / step_.shards;
      if (first < last) result.emplace_back(first, last);
    }
    return result;
  }

  static std::pair<double, double> mean_and_m2(const Matrix& x, std::int64_t column, std::int64_t first,
                                               std::int64_t last) {
    double mean = 0, m2 = 0;
    for (std::int64_t r = first; r < last; ++r) mean += x(r, column) / static_cast<double>(last - first);
    for (std::int64_t r = first; r < last; ++r) m2 += (x(r, column) - mean) * (x(r, column) - mean);
    return {mean, m2};
  }

  void update_running(const LayerSpec& layer, const Matrix& x) {
    if (x.rows < 2) return;
    std::vector<double>& mean = outcome_.statistics.at(layer.path + "/running_mean");
    std::vector<double>& variance = outcome_.statistics.at(layer.path + "/running_variance");
    for (std::int64_t c = 0; c < x.columns; ++c) {
      const auto [batch_mean, m2] = mean_and_m2(x, c, 0, x.rows);
      const auto i = static_cast<std::size_t>(c);
      mean[i] = (1 - layer.momentum) * mean[i] + layer.momentum * batch_mean;
      variance[i] =
          (1 - layer.momentum) * variance[i] + layer.momentum * m2 / static_cast<double>(x.rows - 1);
    }
  }

  Matrix batch_norm(const LayerSpec& layer, Tape& tape) {
    const Matrix& x = tape.x;
    tape.xhat = Matrix(x.rows, x.columns);
    Matrix y(x.rows, x.columns);
    for (const auto& [first, last] : groups(layer)) {
      auto& inverses = tape.inverse.emplace_back();
      for (std::int64_t c = 0; c < x.columns; ++c) {
        const auto i = static_cast<std::size_t>(c);
        auto [mean, m2] = mean_and_m2(x, c, first, last);
        double variance = m2 / static_cast<double>(last - first);
        if (!step_.training) {
          mean = outcome_.statistics.at(layer.path + "/running_mean")[i];
          variance = outcome_.statistics.at(layer.path + "/running_variance")[i];
        }
        const double inverse =
            disturbed(1 / std::sqrt(variance + layer.epsilon), 1 / std::sqrt(variance + layer.epsilon));
        mean = disturbed(mean, std::abs(mean));
        inverses.push_back(inverse);
        const double gamma = parameters_.at(layer.path + "/scale")[i],
                     beta = parameters_.at(layer.path + "/shift")[i];
        for (std::int64_t r = first; r < last; ++r) {
          const double xhat = (x(r, c) - mean) * inverse;
          tape.xhat(r, c) = disturbed(xhat, 2 * std::abs(xhat));
          y(r, c) = disturbed(gamma * tape.xhat(r, c) + beta, 2 * std::abs(gamma * xhat) + std::abs(beta));
        }
      }
    }
    if (step_.training) update_running(layer, x);
    return y;
  }

  Matrix batch_norm_backward(const LayerSpec& layer, const Tape& tape, const Matrix& dy) {
    Matrix weighted(dy.rows, dy.columns), dx(dy.rows, dy.columns);
    for (std::size_t i = 0; i < dy.values.size(); ++i)
      weighted.values[i] = dy.values[i] * tape.xhat.values[i];
    outcome_.gradients[layer.path + "/scale"] = column_sums(weighted);
    outcome_.gradients[layer.path + "/shift"] = column_sums(dy);
    std::size_t group = 0;
    for (const auto& [first, last] : groups(layer)) {
      for (std::int64_t c = 0; c < dy.columns; ++c) {
        const auto rows = static_cast<double>(last - first);
        double mean = 0, mean_x = 0;
        for (std::int64_t r = first; r < last; ++r) {
          mean += dy(r, c) / rows;
          mean_x += dy(r, c) * tape.xhat(r, c) / rows;
        }
        mean = disturbed(mean, std::abs(mean));
        mean_x = disturbed(mean_x, std::abs(mean_x));
        const double factor = parameters_.at(layer.path + "/scale")[static_cast<std::size_t>(c)] *
                              tape.inverse[group][static_cast<std::size_t>(c)];
        for (std::int64_t r = first; r < last; ++r)
          dx(r, c) =
              disturbed(factor * (dy(r, c) - mean - tape.xhat(r, c) * mean_x),
                        2 * std::abs(factor) *
                            (std::abs(dy(r, c)) + std::abs(mean) + 2 * std::abs(tape.xhat(r, c) * mean_x)));
      }
      ++group;
    }
    return dx;
  }

  // ---- layer norm (Ba, Kiros, Hinton, 2016)

  Matrix layer_norm(const LayerSpec& layer, Tape& tape) {
    const Matrix& x = tape.x;
    const auto width = static_cast<double>(x.columns);
    tape.xhat = Matrix(x.rows, x.columns);
    Matrix y(x.rows, x.columns);
    for (std::int64_t r = 0; r < x.rows; ++r) {
      double mean = 0, variance = 0;
      for (std::int64_t c = 0; c < x.columns; ++c) mean += x(r, c) / width;
      for (std::int64_t c = 0; c < x.columns; ++c) variance += (x(r, c) - mean) * (x(r, c) - mean) / width;
      const double exact = 1 / std::sqrt(variance + layer.epsilon);
      const double inverse = disturbed(exact, exact);
      mean = disturbed(mean, std::abs(mean));
      tape.inverse.push_back({inverse});
      for (std::int64_t c = 0; c < x.columns; ++c) {
        const auto i = static_cast<std::size_t>(c);
        const double gamma = parameters_.at(layer.path + "/scale")[i],
                     beta = parameters_.at(layer.path + "/shift")[i];
        const double xhat = (x(r, c) - mean) * inverse;
        tape.xhat(r, c) = disturbed(xhat, 2 * std::abs(xhat));
        y(r, c) = disturbed(gamma * tape.xhat(r, c) + beta, 2 * std::abs(gamma * xhat) + std::abs(beta));
      }
    }
    return y;
  }

  // dx_c = inverse (g_c - mean(g) - xhat_c mean(g xhat)), g = dy gamma: the chain rule through mean and
  // variance.
  Matrix layer_norm_backward(const LayerSpec& layer, const Tape& tape, const Matrix& dy) {
    const auto width = static_cast<double>(dy.columns);
    const std::vector<double>& gamma = parameters_.at(layer.path + "/scale");
    Matrix weighted(dy.rows, dy.columns), dx(dy.rows, dy.columns);
    for (std::size_t i = 0; i < dy.values.size(); ++i)
      weighted.values[i] = dy.values[i] * tape.xhat.values[i];
    outcome_.gradients[layer.path + "/scale"] = column_sums(weighted);
    outcome_.gradients[layer.path + "/shift"] = column_sums(dy);
    for (std::int64_t r = 0; r < dy.rows; ++r) {
      const auto g = [&](std::int64_t c) { return dy(r, c) * gamma[static_cast<std::size_t>(c)]; };
      double mean = 0, mean_x = 0;
      for (std::int64_t c = 0; c < dy.columns; ++c) {
        mean += g(c) / width;
        mean_x += g(c) * tape.xhat(r, c) / width;
      }
      mean = disturbed(mean, std::abs(mean));
      mean_x = disturbed(mean_x, std::abs(mean_x));
      const double inverse = tape.inverse[static_cast<std::size_t>(r)][0];
      for (std::int64_t c = 0; c < dy.columns; ++c)
        dx(r, c) = disturbed(
            inverse * (g(c) - mean - tape.xhat(r, c) * mean_x),
            2 * inverse * (std::abs(g(c)) + std::abs(mean) + 2 * std::abs(tape.xhat(r, c) * mean_x)));
    }
    return dx;
  }

  // ---- dropout, noise, residual

  /// Units 2 j and 2 j + 1 of a sample get r cos(a) and r sin(a) of words 2 j and 2 j + 1 of the stream
  /// (seed, noise, step, layer; 16384 s + c / 1024): r = sqrt(-2 ln u), u = ((w / 2) | 1) / 2^31 as a float,
  /// a = 2 pi (w' / 2^32 - 1 / 8).
  Matrix noise(const LayerSpec& layer, const Matrix& x) {
    const auto index = static_cast<std::uint32_t>(noises_++);
    if (!step_.training) return x;
    const RandomKey key(step_.seed, Purpose::noise, step_.step, index);
    Matrix y(x.rows, x.columns);
    for (std::int64_t r = 0; r < x.rows; ++r) {
      const auto sample = static_cast<std::uint64_t>(batch_.samples[static_cast<std::size_t>(r)]);
      RandomStream stream(key, 0);
      for (std::int64_t c = 0; c < x.columns; c += 2) {
        if (c % 1024 == 0) stream = RandomStream(key, sample * 16384 + static_cast<std::uint64_t>(c / 1024));
        const float u = static_cast<float>(stream.next_word() / 2 | 1);
        const double radius = std::sqrt(-2 * std::log(static_cast<double>(u) * 0x1p-31));
        const double angle =
            2 * std::numbers::pi * (static_cast<double>(stream.next_word()) * 0x1p-32 - 0.125);
        const double numbers[2] = {radius * std::cos(angle), radius * std::sin(angle)};
        for (std::int64_t i = c; i < std::min(c + 2, x.columns); ++i) {
          const double added = layer.deviation * numbers[i - c];
          y(r, i) = disturbed(x(r, i) + added, std::abs(x(r, i)) + 4 * layer.deviation * radius);
        }
      }
    }
    return y;
  }

  /// Unit c of sample s stays when word c mod 1024 of the stream (seed, dropout, step, layer; 16384 s + c /
  /// 1024) is at least rate * 2^32.
  Matrix dropout(const LayerSpec& layer, Tape& tape) {
    const auto index = static_cast<std::uint32_t>(dropouts_++);
    if (!step_.training) return tape.x;
    tape.kept.resize(tape.x.values.size());
    const auto threshold = static_cast<std::uint64_t>(layer.rate * 4294967296.0);
    const RandomKey key(step_.seed, Purpose::dropout, step_.step, index);
    for (std::int64_t r = 0; r < tape.x.rows; ++r) {
      const auto sample = static_cast<std::uint64_t>(batch_.samples[static_cast<std::size_t>(r)]);
      RandomStream stream(key, 0);
      for (std::int64_t c = 0; c < tape.x.columns; ++c) {
        if (c % 1024 == 0) stream = RandomStream(key, sample * 16384 + static_cast<std::uint64_t>(c / 1024));
        tape.kept[static_cast<std::size_t>(r * tape.x.columns + c)] = stream.next_word() >= threshold;
      }
    }
    return scale(tape.x, [&](std::size_t i) { return tape.kept[i] ? 1 / (1 - layer.rate) : 0.0; });
  }

  Matrix residual(const LayerSpec& layer, Tape& tape) {
    const Matrix shortcut =
        layer.projection ? dense(layer.path + "/projection", layer.outputs, false, tape.x) : tape.x;
    return sum(forward(layer.body, tape.x, tape.body), shortcut);
  }

  Matrix residual_backward(const LayerSpec& layer, const Tape& tape, const Matrix& dy) {
    const Matrix shortcut =
        layer.projection ? dense_backward(layer.path + "/projection", false, tape.x, dy) : dy;
    return sum(backward(layer.body, dy, tape.body), shortcut);
  }

  const Tensors& parameters_;
  const Batch& batch_;
  const Step& step_;
  Disturbance* disturbance_;
  Outcome& outcome_;
  int dropouts_ = 0, noises_ = 0;
};

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

double largest_value(const std::vector<double>& a) {
  return largest_difference(a, std::vector<double>(a.size()));
}

constexpr double kEpsilon = 0x1p-23;

}  // namespace

double Disturbance::operator()(double value, double magnitude, std::int64_t terms) {
  state_ = state_ * 6364136223846793005 +
           1442695040888963407;  // a linear congruence (Knuth, MMIX) is random enough here
  const double uniform = static_cast<double>(static_cast<std::int64_t>(state_)) * 0x1p-63;
  return value + kEpsilon * std::sqrt(static_cast<double>(terms)) * magnitude * uniform;
}

Outcome ReferenceNetwork::run(const Tensors& parameters, const Tensors& statistics, const Batch& batch,
                              const Step& step, Disturbance* disturbance) const {
  Outcome outcome;
  outcome.statistics = statistics;
  Evaluation evaluation(parameters, batch, step, disturbance, outcome);
  Matrix x(batch.rows, model_.inputs());
  std::copy(batch.inputs.begin(), batch.inputs.end(), x.values.begin());
  std::vector<Tape> tapes;
  const Matrix z = evaluation.forward(model_.layers(), x, tapes);
  const LossOutcome loss = loss_of(loss_, z, batch, disturbance);
  outcome.loss = loss.loss;
  outcome.correct = loss.correct;
  outcome.outputs = loss.outputs.values;
  if (step.training) evaluation.backward(model_.layers(), loss.gradient, tapes);
  return outcome;
}

Tolerance tolerance_of(const ReferenceNetwork& network, const Tensors& parameters, const Tensors& statistics,
                       const Batch& batch, const Step& step, const Outcome& exact) {
  constexpr int kRuns = 5;
  constexpr double kFactor = 8;  // a few random errors do not show the largest possible one
  Tolerance tolerance;
  const auto widen = [](double& bound, const std::vector<double>& value, const std::vector<double>& other) {
    bound = std::max(
        {bound, kFactor * largest_difference(value, other), kFactor * kEpsilon * largest_value(value)});
  };
  for (int run = 0; run < kRuns; ++run) {
    Disturbance disturbance(static_cast<std::uint64_t>(run));
    const Outcome other = network.run(parameters, statistics, batch, step, &disturbance);
    widen(tolerance.loss, {exact.loss}, {other.loss});
    widen(tolerance.outputs, exact.outputs, other.outputs);
    for (const auto& [path, values] : exact.gradients)
      widen(tolerance.gradients[path], values, other.gradients.at(path));
    for (const auto& [path, values] : exact.statistics)
      widen(tolerance.statistics[path], values, other.statistics.at(path));
  }
  return tolerance;
}

}  // namespace trainer::nn::reference
