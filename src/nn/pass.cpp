#include "trainer/nn/pass.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "loss_function.h"
#include "operations.h"
#include "trainer/core/finite.h"
#include "trainer/core/moments.h"
#include "trainer/core/vectorise.h"
#include "watch.h"

namespace trainer::nn {
namespace {

TRAINER_VECTORISED void add(const float* x, float* sum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) sum[i] += x[i];
}

/// Steps of training lie below: samples share no random numbers with them.
constexpr std::uint64_t kSampleSteps = std::uint64_t{1} << 63;

/// The buffers of one set of rows.
struct Buffers {
  Buffers(const Network::Plan& plan, std::int64_t rows, bool training) {
    for (const std::int64_t width : plan.value_widths) values.emplace_back(rows * width);
    if (training) {
      for (const std::int64_t width : plan.gradient_widths) gradients.emplace_back(rows * width);
      for (const std::int64_t width : plan.mask_widths) masks.emplace_back(rows * width);
    }
    for (auto& buffer : values) value_pointers.push_back(buffer.data());
    for (auto& buffer : gradients) gradient_pointers.push_back(buffer.data());
    for (auto& buffer : masks) mask_pointers.push_back(buffer.data());
  }
  std::int64_t bytes() const {
    std::int64_t sum = 0;
    for (const auto& buffer : values) sum += buffer.size() * 4;
    for (const auto& buffer : gradients) sum += buffer.size() * 4;
    for (const auto& buffer : masks) sum += buffer.size();
    return sum;
  }
  std::vector<Buffer<float>> values, gradients;
  std::vector<Buffer<std::uint8_t>> masks;
  std::vector<float*> value_pointers, gradient_pointers;
  std::vector<std::uint8_t*> mask_pointers;
};

std::vector<NormState> make_norms(const Network::Plan& plan, std::int64_t groups, bool training) {
  std::vector<NormState> norms(static_cast<std::size_t>(plan.norms));
  for (const BatchNorm* norm : plan.batch_norm) {
    if (norm == nullptr) continue;
    NormState& state = norms[static_cast<std::size_t>(norm->index())];
    state.per_shard = training && norm->per_shard();
    const std::int64_t size = (state.per_shard ? groups : 1) * norm->width();
    state.mean = Buffer<float>(size);
    state.inverse_deviation = Buffer<float>(size);
    if (training) {
      state.mean_gradient = Buffer<float>(size);
      state.mean_gradient_x = Buffer<float>(size);
    }
  }
  return norms;
}

/// A run of operations without a batch norm among them, except that it may begin with one.
std::vector<Range> regions_of(const Network::Plan& plan) {
  std::vector<Range> regions = {{0, 0}};
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(plan.operations.size()); ++i) {
    if (plan.batch_norm[static_cast<std::size_t>(i)] != nullptr) regions.push_back({i, i});
    regions.back().end = i + 1;
  }
  return regions;
}

/// Records: mean [width], m2 [width].
void merge_records(double* left, const double* right, std::int64_t width, std::int64_t left_rows,
                   std::int64_t right_rows) {
  merge_moments(width, static_cast<double>(left_rows), left, left + width, static_cast<double>(right_rows),
                right, right + width);
}

}  // namespace

std::int64_t unit_rows(std::int64_t batch, std::int64_t shards) {
  // Units must be many enough for the threads and large enough for the products; see benchmarks/README.md for
  // the measurements.
  const auto per_shard = std::max<std::int64_t>(1, (batch + shards - 1) / shards);
  const auto wanted = static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(1, batch / 8))));
  return std::min(per_shard, std::clamp<std::int64_t>(wanted, 16, 128));
}

struct TrainingPass::State {
  const Network& network;
  const Team& team;
  ShardPlan plan;
  ShardFold& fold;
  TargetForm form;
  LossFunction loss;
  std::vector<Range> regions;
  std::int64_t unit_limit;  // rows of a unit
  std::int64_t max_rows;
  Buffers buffers;
  std::vector<NormState> norms;
  std::vector<Buffer<float>> own_gradients;  // where the plan brings none
  std::vector<float*> gradients;             // by piece: flat
  Buffer<std::int32_t> classes;              // [max_rows]
  Buffer<float> values;                      // [max_rows, outputs]
  Buffer<std::int64_t> samples;              // [max_rows]
  Buffer<float> weights;                     // [max_rows]
  bool weighted = false;

  // One unit of the parameters' gradients: a layer's tile over a piece.
  struct TileUnit {
    const Tiled* layer;
    Tile tile;
    std::size_t piece;
    std::int64_t number;  // of the tile, for the watch
  };
  std::vector<std::vector<TileUnit>> tile_units;  // by region
  std::vector<Buffer<float>> scratch;             // by thread: a stack of records
  std::vector<Buffer<float>> aside;               // by thread: see Tiled::fold
  Buffer<float> packed;                           // of one layer at a time
  Buffer<float> turned_weights;
  Buffer<Bf16> bf16_weights;
  std::vector<Buffer<Bf16>> bf16_rows;  // by thread
  std::vector<Bf16*> bf16_row_pointers;
  std::int64_t record_floats = 0;
  Watch watch;
  bool watching = false;
  Population* population = nullptr;                                     // that is being measured
  std::vector<std::pair<const Dense*, std::int64_t>> parts_to_arrange;  // see arrange_weights()
  // Sums for a batch norm, kept from step to step so that a step asks for no memory: [units][record],
  // [shards][record], [pieces][record], [record]; of the shards in float, too.
  std::int64_t widest_record = 0;
  std::vector<double> unit_records, shard_records, piece_records, norm_total;
  std::vector<float> shard_sums;

  // Of the current batch.
  std::int64_t batch = 0;
  std::int64_t first_row = 0;
  std::vector<Unit> units;
  std::vector<LossSums> unit_sums, shard_losses, piece_sums;
  std::vector<std::vector<Leaf>> leaves;  // by piece
  View view;

  State(const Network& net, const Loss& loss_text, TargetForm target_form, const Team& the_team,
        ShardPlan shard_plan, std::span<const std::int64_t> batches, ShardFold& shard_fold,
        std::span<const std::int64_t> measured)
      : network(net),
        team(the_team),
        plan(std::move(shard_plan)),
        fold(shard_fold),
        form(target_form),
        loss(loss_text, net.model().outputs(), the_team.size(), unit_rows(batches[0], plan.shards)),
        regions(regions_of(net.plan())),
        unit_limit(unit_rows(batches[0], plan.shards)),
        max_rows(std::max(most_rows(batches), most_rows(measured))),
        buffers(net.plan(), max_rows, true),
        norms(make_norms(net.plan(), std::max<std::int64_t>(1, plan.run.size()), true)),
        watch(net.plan(), plan.run, the_team.size()) {
    gradients = plan.gradients;
    for (std::size_t p = gradients.size(); p < plan.pieces.size(); ++p)
      gradients.push_back(own_gradients.emplace_back(network.parameter_floats()).data());
    for (const BatchNorm* norm : net.plan().batch_norm)
      if (norm != nullptr) widest_record = std::max(widest_record, 2 * norm->width());
    if (form == TargetForm::classes)
      classes = Buffer<std::int32_t>(max_rows);
    else
      values = Buffer<float>(max_rows * network.model().outputs());
    samples = Buffer<std::int64_t>(max_rows);
    weights = Buffer<float>(max_rows);
    prepare_kernels(batches, true);
    prepare_kernels(measured, false);
    prepare_tiles();
    prepare_arranged();
    view.draws = true;
    view.values = buffers.value_pointers.data();
    view.gradients = buffers.gradient_pointers.data();
    view.masks = buffers.mask_pointers.data();
    view.norms = norms.data();
    view.samples = samples.data();
    view.packed = packed.data();
    view.packed_capacity = max_rows;
  }

  Range rows_of(std::int64_t size) const {
    if (plan.run.size() == 0) return {0, 0};
    return {cut(size, plan.shards, plan.run.begin).begin, cut(size, plan.shards, plan.run.end - 1).end};
  }

  /// Rounding can give a run of shards more rows of a smaller batch: 8 rows on 5 shards are 1, 2, 1, 2, 2,
  /// but 7 are 1, 1, 2, 1, 2.
  std::int64_t most_rows(std::span<const std::int64_t> batches) const {
    std::int64_t most = 0;
    for (const std::int64_t size : batches) most = std::max(most, rows_of(size).size());
    return most;
  }

  /// Local rows of a shard of the current batch.
  Range shard_rows(std::int64_t shard) const {
    const Range global = cut(batch, plan.shards, shard);
    return {global.begin - first_row, global.end - first_row};
  }

  void set_batch(std::int64_t size) {
    batch = size;
    first_row = rows_of(size).begin;
    units.clear();
    for (std::int64_t shard = plan.run.begin; shard < plan.run.end; ++shard) {
      const Range rows = shard_rows(shard);
      const std::int64_t parts = (rows.size() + unit_limit - 1) / unit_limit;
      for (std::int64_t part = 0; part < parts; ++part) {
        const Range within = cut(rows.size(), parts, part);
        units.push_back({{rows.begin + within.begin, rows.begin + within.end}, shard - plan.run.begin});
      }
    }
    unit_sums.assign(units.size(), {});
    unit_records.resize(units.size() * static_cast<std::size_t>(widest_record));
    piece_sums.assign(plan.pieces.size(), {});
    leaves.clear();
    for (const Range& piece : plan.pieces)
      leaves.push_back(leaves_of(piece, [this](std::int64_t shard) { return shard_rows(shard); }));
  }

  void prepare_arranged() {
    const Network::Plan& net = network.plan();
    turned_weights = Buffer<float>(net.turned_weights);
    view.turned_weights = turned_weights.data();
    bf16_weights = Buffer<Bf16>(net.bf16_weights);
    if (net.bf16_weights == 0) return;
    for (int t = 0; t < team.size(); ++t) bf16_rows.emplace_back(unit_limit * net.bf16_depth);
    for (auto& buffer : bf16_rows) bf16_row_pointers.push_back(buffer.data());
    view.bf16_rows = bf16_row_pointers.data();
  }

  void prepare_kernels(std::span<const std::int64_t> batches, bool training) {
    std::set<std::int64_t> sizes;
    for (const std::int64_t size : batches) {
      set_batch(size);
      for (const Unit& unit : units) sizes.insert(unit.rows.size());
    }
    for (const std::int64_t rows : sizes) {
      for (const auto& operation : network.plan().operations)
        operation->prepare(network.factory(), rows, training);
      loss.prepare(network.factory(), rows);
    }
  }

  void prepare_tiles() {
    std::int64_t depth = 1;
    for (const Range& piece : plan.pieces)
      depth = std::max<std::int64_t>(depth, std::bit_width(static_cast<std::uint64_t>(piece.size())) + 1);
    std::int64_t packed_floats = 0;
    for (const Range& region : regions) {
      auto& list = tile_units.emplace_back();
      for (std::int64_t i = region.end; i-- > region.begin;) {
        const Tiled* layer = network.plan().tiled[static_cast<std::size_t>(i)];
        if (layer == nullptr) continue;
        if (layer->packs()) packed_floats = std::max(packed_floats, layer->packed_floats(max_rows));
        for (const Tile& tile : layer->tiles()) {
          record_floats = std::max(record_floats, (layer->tile_floats(tile) + 15) / 16 * 16);
          const std::int64_t number = watch.add_tile(layer);
          for (std::size_t p = 0; p < plan.pieces.size(); ++p) list.push_back({layer, tile, p, number});
        }
      }
    }
    if (plan.pieces.empty()) return;
    packed = Buffer<float>(packed_floats);
    for (int t = 0; t < team.size(); ++t) {
      scratch.emplace_back(depth * record_floats);
      if (packed_floats > 0) aside.emplace_back(depth * WeightGradient::kBlockFloats);
    }
  }

  const Operation& operation(std::int64_t i) const {
    return *network.plan().operations[static_cast<std::size_t>(i)];
  }
  const BatchNorm* leading_norm(std::size_t region) const {
    return region < regions.size() && regions[region].size() > 0
               ? network.plan().batch_norm[static_cast<std::size_t>(regions[region].begin)]
               : nullptr;
  }

  // ---- folds within this rank

  /// The tree's fold of a tile's products over `node`, into record `level` of this thread's stack; false when
  /// it has no rows.
  bool fold_products(const TileUnit& unit, Range node, float* stack, int thread) {
    if (node.size() == 1) {
      const Range rows = shard_rows(node.begin);
      if (rows.size() == 0) return false;
      unit.layer->product(view, rows, unit.tile, stack, set_aside(thread));
      if (watching) watch.see_tile(unit.number, node.begin, view, rows, unit.tile, stack);
      return true;
    }
    const std::int64_t middle = tree_cut(node);
    const bool left = fold_products(unit, {node.begin, middle}, stack, thread);
    float* right_stack = left ? stack + record_floats : stack;
    const bool right = fold_products(unit, {middle, node.end}, right_stack, thread);
    if (left && right) add(right_stack, stack, unit.layer->tile_floats(unit.tile));
    return left || right;
  }

  Observation observation() {
    const std::int64_t width = watch.record_size();
    std::vector<double> records(static_cast<std::size_t>(plan.run.size() * width));
    for (std::int64_t shard = plan.run.begin; shard < plan.run.end; ++shard)
      if (shard_rows(shard).size() > 0)
        watch.write_record(shard, shard_rows(shard).size(),
                           records.data() + (shard - plan.run.begin) * width);
    const auto combine = [this](Range, Range, double* left, const double* right) {
      watch.combine(left, right);
    };
    const int channel = 2 * static_cast<int>(norms.size());  // the first that no batch norm has
    start_fold(channel, records, width, combine);
    std::vector<double> total(static_cast<std::size_t>(width));
    fold.finish(channel, combine, total);
    return watch.read(total.data(), batch, network.layers());
  }

  std::int64_t node_rows(Range node) const {
    return cut(batch, plan.shards, node.end - 1).end - cut(batch, plan.shards, node.begin).begin;
  }

  /// The tree's fold of per-shard records [run shards][width] over a piece; the result stands in the first
  /// present shard's record.
  template <class T, class CombineRecords>
  T* fold_records(Range node, T* records, std::int64_t width, const CombineRecords& combine) {
    return fold_in_place<T>(
        node,
        [&](Range at) -> std::optional<T*> {
          if (at.size() > 1) return std::nullopt;
          return shard_rows(at.begin).size() == 0 ? nullptr : records + (at.begin - plan.run.begin) * width;
        },
        combine);
  }

  /// Calls sum(unit, columns, record) for the columns of a batch norm, few at a time: their sums stay in the
  /// first-level cache, as the unit's rows, which were computed just now, do in the next.
  template <class Sum>
  void sum_unit(const BatchNorm& norm, std::int64_t u, const Sum& sum) {
    constexpr std::int64_t kColumns = 128;
    const std::int64_t width = norm.width();
    double* record = unit_records.data() + u * 2 * width;
    for (std::int64_t c = 0; c < width; c += kColumns)
      sum(units[static_cast<std::size_t>(u)], Range{c, std::min(width, c + kColumns)}, record + c);
  }

  /// The records of a shard's units, combined from the first to the last; zeros without rows.
  template <class CombineRecords>
  void fold_units(std::int64_t record, const CombineRecords& combine) {
    shard_records.assign(static_cast<std::size_t>(plan.run.size() * record), 0.0);
    for (std::size_t u = 0; u < units.size(); ++u) {
      const double* unit = unit_records.data() + static_cast<std::int64_t>(u) * record;
      double* shard = shard_records.data() + units[u].shard * record;
      const std::int64_t before = units[u].rows.begin - shard_rows(plan.run.begin + units[u].shard).begin;
      if (before == 0)
        std::copy_n(unit, record, shard);
      else
        combine(shard, unit, before, units[u].rows.size());
    }
  }

  /// Folds per-shard records of doubles over this rank's pieces and starts the fold over the ranks.
  void start_fold(int channel, std::vector<double>& records, std::int64_t width,
                  const ShardFold::Combine& combine) {
    piece_records.assign(plan.pieces.size() * static_cast<std::size_t>(width), 0.0);
    for (std::size_t p = 0; p < plan.pieces.size(); ++p) {
      const double* folded = fold_records(plan.pieces[p], records.data(), width, combine);
      if (folded != nullptr)
        std::copy_n(folded, width, piece_records.begin() + static_cast<std::ptrdiff_t>(p) * width);
    }
    fold.start(channel, piece_records, width);
  }

  // ---- forward

  /// The weights of these operations in all orders in which products of a step read them: they have just come
  /// in.
  void arrange_weights(Range operations) {
    const auto& layers = network.plan().arranged;
    if (layers.empty() || units.empty()) return;
    if (bf16_weights.size() > 0) view.bf16_weights = bf16_weights.data();
    parts_to_arrange.clear();
    for (std::int64_t i = operations.begin; i < operations.end; ++i)
      for (const Dense* layer : layers)
        if (network.plan().tiled[static_cast<std::size_t>(i)] == layer)
          for (std::int64_t part = 0; part < layer->arranged_parts(); ++part)
            parts_to_arrange.emplace_back(layer, part);
    team.run(std::ssize(parts_to_arrange), [&](std::int64_t u, int) {
      const auto& [layer, part] = parts_to_arrange[static_cast<std::size_t>(u)];
      layer->arrange_part(view, part);
    });
  }

  /// The running statistics take in the batch; or, where a population is measured, that does.
  void take_in(const BatchNorm& norm, const std::vector<double>& total, float* statistics) {
    const std::int64_t width = norm.width();
    if (population == nullptr)
      return norm.update_running(statistics, total.data(), total.data() + width, batch);
    auto& moments = population->moments[static_cast<std::size_t>(norm.index())];
    if (population->rows == 0)
      moments = total;
    else
      merge_records(moments.data(), total.data(), width, population->rows, batch);
  }

  void sum_moments(const BatchNorm& norm, std::int64_t u) {
    sum_unit(norm, u, [&](const Unit& unit, Range columns, double* mean) {
      norm.moments(view, unit.rows, columns, mean, mean + norm.width());
    });
  }

  /// From the moments of the units to those of the batch.
  void fold_moments(const BatchNorm& norm, float* statistics) {
    const std::int64_t width = norm.width(), record = 2 * width;
    NormState& state = norms[static_cast<std::size_t>(norm.index())];
    fold_units(record, [width](double* shard, const double* unit, std::int64_t before, std::int64_t rows) {
      merge_records(shard, unit, width, before, rows);
    });
    if (state.per_shard)
      for (std::int64_t shard = plan.run.begin; shard < plan.run.end; ++shard) {
        const double* mine = shard_records.data() + (shard - plan.run.begin) * record;
        const std::int64_t rows = shard_rows(shard).size();
        if (rows > 0) norm.set_group(state, shard - plan.run.begin, mine, mine + width, rows);
      }
    const auto combine = [&](Range left, Range right, double* into, const double* from) {
      merge_records(into, from, width, node_rows(left), node_rows(right));
    };
    start_fold(2 * norm.index(), shard_records, record, combine);
    norm_total.assign(static_cast<std::size_t>(record), 0.0);
    fold.finish(2 * norm.index(), combine, norm_total);
    if (!state.per_shard) norm.set_group(state, 0, norm_total.data(), norm_total.data() + width, batch);
    take_in(norm, norm_total, statistics);
  }

  void load_inputs(const RowSource& source, const Unit& unit) {
    source.inputs(unit.rows, buffers.values[static_cast<std::size_t>(network.plan().input.value)].data() +
                                 unit.rows.begin * network.model().inputs());
    for (std::int64_t r = unit.rows.begin; r < unit.rows.end; ++r) samples[r] = source.sample(r);
  }

  void load_targets(const RowSource& source, const Unit& unit) {
    if (form == TargetForm::classes)
      source.classes(unit.rows, classes.data() + unit.rows.begin);
    else
      source.values(unit.rows, values.data() + unit.rows.begin * network.model().outputs());
    if (weighted) source.weights(unit.rows, weights.data() + unit.rows.begin);
  }

  LossSums compute_loss(const Unit& unit, int thread) {
    const Slot& output = network.plan().output;
    const std::int64_t offset = unit.rows.begin * output.width;
    Targets targets;
    if (form == TargetForm::classes)
      targets.classes = classes.data() + unit.rows.begin;
    else
      targets.values = values.data() + offset;
    if (weighted) targets.weights = weights.data() + unit.rows.begin;
    return loss(view.values[output.value] + offset, unit.rows.size(), targets,
                view.gradients[output.gradient] + offset, thread);
  }

  /// The layer whose parameters an operation has; -1: none.
  int layer_of(std::int64_t i) const {
    const auto at = static_cast<std::size_t>(i);
    if (const Tiled* tiled = network.plan().tiled[at]) return tiled->layer;
    const BatchNorm* norm = network.plan().batch_norm[at];
    return norm != nullptr ? norm->layer : -1;
  }

  bool is_here(Arrival* arrival, std::int64_t i) const {
    const int layer = arrival == nullptr ? -1 : layer_of(i);
    return layer < 0 || arrival->is_here(layer);
  }

  /// The operations at the beginning of `left` that can be computed once the parameters of the first are
  /// here, which are waited for.
  Range ready(Arrival* arrival, Range left) const {
    if (left.size() == 0) return left;
    if (!is_here(arrival, left.begin)) arrival->wait(layer_of(left.begin));
    std::int64_t end = left.begin + 1;
    while (end < left.end && is_here(arrival, end)) ++end;
    return {left.begin, end};
  }

  void for_units(FunctionRef<void(std::int64_t unit, int thread)> work) const {
    team.run(static_cast<std::int64_t>(units.size()), work);
  }

  /// A unit goes through a whole region in one go, as its values are near then; but for parameters that are
  /// still on their way all units go as far as they get.
  void forward(const RowSource& source, float* statistics, Arrival* arrival) {
    bool loaded = false;
    const auto load = [&](const Unit& unit) {
      load_targets(source, unit);
      load_inputs(source, unit);
    };
    if (regions[0].size() > 0 && !is_here(arrival, 0)) {
      for_units([&](std::int64_t u, int) { load(units[static_cast<std::size_t>(u)]); });
      loaded = true;
    }
    for (std::size_t region = 0; region < regions.size(); ++region) {
      if (const BatchNorm* norm = leading_norm(region)) fold_moments(*norm, statistics);
      Range left = regions[region];
      do {
        const Range now = ready(arrival, left);
        left.begin = now.end;
        arrange_weights(now);
        const BatchNorm* next = left.size() == 0 ? leading_norm(region + 1) : nullptr;
        const bool last = left.size() == 0 && region + 1 == regions.size();
        for_units([&](std::int64_t u, int thread) {
          const Unit& unit = units[static_cast<std::size_t>(u)];
          if (!loaded) load(unit);
          for (std::int64_t i = now.begin; i < now.end; ++i) operation(i).forward(view, unit, thread);
          if (next != nullptr) sum_moments(*next, u);
          if (last) unit_sums[static_cast<std::size_t>(u)] = compute_loss(unit, thread);
        });
        loaded = true;
      } while (left.size() > 0);
    }
    sum_losses();
  }

  /// Ends with the moments of the last batch norm: nothing that comes after them is asked for.
  void measure(const RowSource& source) {
    for (std::size_t region = 0; region + 1 < regions.size(); ++region) {
      for_units([&](std::int64_t u, int thread) {
        const Unit& unit = units[static_cast<std::size_t>(u)];
        if (region == 0) load_inputs(source, unit);
        for (std::int64_t i = regions[region].begin; i < regions[region].end; ++i)
          operation(i).forward(view, unit, thread);
        sum_moments(*leading_norm(region + 1), u);
      });
      fold_moments(*leading_norm(region + 1), nullptr);
    }
  }

  /// Units within a shard in their order, shards in the tree.
  void sum_losses() {
    shard_losses.assign(static_cast<std::size_t>(plan.run.size()), {});
    for (std::size_t u = 0; u < units.size(); ++u) {
      LossSums& sums = shard_losses[static_cast<std::size_t>(units[u].shard)];
      sums.loss += unit_sums[u].loss;
      sums.correct += unit_sums[u].correct;
    }
    for (std::size_t p = 0; p < plan.pieces.size(); ++p) {
      const LossSums* sums = fold_records(plan.pieces[p], shard_losses.data(), 1,
                                          [](Range, Range, LossSums* left, const LossSums* right) {
                                            left->loss += right->loss;
                                            left->correct += right->correct;
                                          });
      if (sums != nullptr) piece_sums[p] = *sums;
    }
  }

  // ---- backward

  void sum_gradients(const BatchNorm& norm, std::int64_t u) {
    sum_unit(norm, u, [&](const Unit& unit, Range columns, double* sum) {
      norm.gradient_sums(view, unit, columns, sum, sum + norm.width());
    });
  }

  /// Starts the fold of sum(dy) and sum(dy xhat), which its backward needs and which are the gradients of
  /// shift and scale.
  void start_gradient_sums(const BatchNorm& norm) {
    const std::int64_t width = norm.width(), record = 2 * width;
    NormState& state = norms[static_cast<std::size_t>(norm.index())];
    const auto add_record = [record](double* left, const double* right) {
      for (std::int64_t c = 0; c < record; ++c) left[c] += right[c];
    };
    fold_units(record, [&](double* shard, const double* unit, std::int64_t, std::int64_t) {
      add_record(shard, unit);
    });
    if (state.per_shard)
      for (std::int64_t shard = plan.run.begin; shard < plan.run.end; ++shard)
        set_mean_gradients(norm, shard - plan.run.begin,
                           shard_records.data() + (shard - plan.run.begin) * record,
                           shard_rows(shard).size());
    // The gradients of shift and scale are gradients like others: float from the shard on, so that the
    // exchange goes on with the very sums that this rank would have made of all shards.
    shard_sums.assign(shard_records.begin(), shard_records.end());
    if (watching)
      for (std::int64_t shard = plan.run.begin; shard < plan.run.end; ++shard)
        watch.see_norm(norm.index(), shard, shard_sums.data() + (shard - plan.run.begin) * record, record);
    start_fold(2 * norm.index() + 1, shard_records, record,
               [&](Range, Range, double* left, const double* right) { add_record(left, right); });
    for (std::size_t p = 0; p < plan.pieces.size(); ++p) {
      const float* folded =
          fold_records(plan.pieces[p], shard_sums.data(), record,
                       [record](Range, Range, float* left, const float* right) { add(right, left, record); });
      if (folded != nullptr) norm.store(folded, folded + width, gradients[p]);
    }
  }

  void finish_gradient_sums(const BatchNorm& norm) {
    const std::int64_t record = 2 * norm.width();
    norm_total.assign(static_cast<std::size_t>(record), 0.0);
    fold.finish(
        2 * norm.index() + 1,
        [record](Range, Range, double* left, const double* right) {
          for (std::int64_t c = 0; c < record; ++c) left[c] += right[c];
        },
        norm_total);
    if (!norm.per_shard()) set_mean_gradients(norm, 0, norm_total.data(), batch);
  }

  void set_mean_gradients(const BatchNorm& norm, std::int64_t group, const double* sums, std::int64_t rows) {
    NormState& state = norms[static_cast<std::size_t>(norm.index())];
    const std::int64_t width = norm.width();
    for (std::int64_t c = 0; c < width && rows > 0; ++c) {
      state.mean_gradient[group * width + c] = static_cast<float>(sums[c] / static_cast<double>(rows));
      state.mean_gradient_x[group * width + c] =
          static_cast<float>(sums[width + c] / static_cast<double>(rows));
    }
  }

  void backward(FunctionRef<void(int)> done) {
    for (std::size_t region = regions.size(); region-- > 0;) {
      const BatchNorm* above = leading_norm(region + 1);
      const BatchNorm* norm = leading_norm(region);
      const std::int64_t begin = regions[region].begin + (norm != nullptr ? 1 : 0);
      if (above != nullptr || norm != nullptr || begin < regions[region].end)
        team.run(static_cast<std::int64_t>(units.size()), [&](std::int64_t u, int thread) {
          const Unit& unit = units[static_cast<std::size_t>(u)];
          if (above != nullptr) above->backward(view, unit, thread);
          for (std::int64_t i = regions[region].end; i-- > begin;) operation(i).backward(view, unit, thread);
          if (norm != nullptr) sum_gradients(*norm, u);
        });
      if (norm != nullptr) start_gradient_sums(*norm);
      weight_gradients(region, done);
      if (norm != nullptr) {
        finish_gradient_sums(*norm);
        done(norm->layer);
      }
    }
  }

  void compute_tile(const TileUnit& unit, int thread) {
    float* gradient = gradients[unit.piece];
    if (unit.layer->packs() && !watching) {
      const auto& mine = leaves[unit.piece];
      if (!mine.empty()) unit.layer->fold(view, mine, unit.tile, gradient, set_aside(thread));
      return;
    }
    // Shard by shard, through records that can be looked at: the same sums in the same order.
    float* stack = scratch[static_cast<std::size_t>(thread)].data();
    if (fold_products(unit, plan.pieces[unit.piece], stack, thread))
      unit.layer->store(unit.tile, stack, gradient);
  }

  float* set_aside(int thread) {
    return aside.empty() ? nullptr : aside[static_cast<std::size_t>(thread)].data();
  }

  void weight_gradients(std::size_t region, FunctionRef<void(int)> done) {
    const auto& list = tile_units[region];
    // Layer by layer, so that a layer's exchange goes on while the next one is computed.
    for (std::size_t begin = 0; begin < list.size();) {
      std::size_t end = begin;
      while (end < list.size() && list[end].layer == list[begin].layer) ++end;
      if (list[begin].layer->packs())
        team.run(static_cast<std::int64_t>(units.size()), [&](std::int64_t u, int) {
          const Unit& unit = units[static_cast<std::size_t>(u)];
          list[begin].layer->pack(view, unit.rows, shard_rows(plan.run.begin + unit.shard));
        });
      team.run(static_cast<std::int64_t>(end - begin), [&](std::int64_t i, int thread) {
        compute_tile(list[begin + static_cast<std::size_t>(i)], thread);
      });
      done(list[begin].layer->layer);
      begin = end;
    }
    if (plan.pieces.empty())  // an idle rank has no tiles, but takes part in the exchange
      for (std::int64_t i = regions[region].end; i-- > regions[region].begin;)
        if (const Tiled* layer = network.plan().tiled[static_cast<std::size_t>(i)]) done(layer->layer);
  }
};

TrainingPass::TrainingPass(const Network& network, const Loss& loss, TargetForm form, const Team& team,
                           ShardPlan plan, std::span<const std::int64_t> batches, ShardFold& fold,
                           std::span<const std::int64_t> measured)
    : state_(std::make_unique<State>(network, loss, form, team, std::move(plan), batches, fold, measured)) {}

TrainingPass::~TrainingPass() = default;

Range TrainingPass::rows(std::int64_t batch) const { return state_->rows_of(batch); }

bool TrainingPass::present(Range node, std::int64_t batch, std::int64_t shards) {
  return cut(batch, shards, node.begin).begin < cut(batch, shards, node.end - 1).end;
}

std::span<const LossSums> TrainingPass::forward(const RowSource& source, std::int64_t batch,
                                                std::uint64_t seed, std::uint64_t step,
                                                const float* parameters, float* statistics,
                                                Arrival* arrival) {
  if (batch != state_->batch) state_->set_batch(batch);
  std::fill(state_->piece_sums.begin(), state_->piece_sums.end(), LossSums{});
  state_->view.parameters = parameters;
  state_->view.seed = seed;
  state_->view.step = step;
  state_->weighted = source.weighted();
  if (state_->watching) state_->watch.begin();
  state_->view.active = state_->watching ? state_->watch.active() : nullptr;
  state_->forward(source, statistics, arrival);
  return state_->piece_sums;
}

void TrainingPass::measure(const RowSource& source, std::int64_t batch, const float* parameters,
                           Population& population) {
  State& state = *state_;
  if (batch != state.batch) state.set_batch(batch);
  state.view.parameters = parameters;
  state.view.draws = false;
  state.view.active = nullptr;
  state.view.bf16_weights = nullptr;  // as inference computes
  state.population = &population;
  population.moments.resize(state.norms.size());
  state.measure(source);
  population.rows += batch;
  state.population = nullptr;
  state.view.draws = true;
}

void Population::store(const Network& network, float* statistics) const {
  if (rows < 2) return;
  for (const BatchNorm* norm : network.plan().batch_norm)
    if (norm != nullptr) {
      const std::vector<double>& mine = moments[static_cast<std::size_t>(norm->index())];
      norm->set_running(statistics, mine.data(), mine.data() + norm->width(), rows);
    }
}

void TrainingPass::backward(FunctionRef<void(int)> done) {
  state_->backward(done);
  if (state_->watching) state_->watch.finish();
}

void TrainingPass::observe(bool on) { state_->watching = on; }

std::span<const double> TrainingPass::shard_squares() const { return state_->watch.shard_squares(); }

Observation TrainingPass::observation() { return state_->observation(); }

std::optional<TrainingPass::NotFinite> TrainingPass::find_not_finite() const {
  const State& state = *state_;
  const Network::Plan& plan = state.network.plan();
  const std::int64_t rows = state.rows_of(state.batch).size();
  for (std::size_t buffer = 0; buffer < plan.value_widths.size(); ++buffer) {
    const std::int64_t width = plan.value_widths[buffer];
    std::int64_t first = -1, last = -1;
    for (std::int64_t row = 0; row < rows; ++row) {
      if (all_finite(state.buffers.values[buffer].data() + row * width, width)) continue;
      if (first < 0) first = row;
      last = row;
    }
    if (first >= 0)
      return NotFinite{buffer,
                       plan.value_layers[buffer],
                       {state.first_row + first, state.first_row + last + 1},
                       state.samples[first]};
  }
  return std::nullopt;
}

const float* TrainingPass::gradient(std::size_t piece) const { return state_->gradients[piece]; }

std::int64_t TrainingPass::memory_bytes() const {
  std::int64_t sum = state_->buffers.bytes();
  for (const auto& buffer : state_->own_gradients) sum += buffer.size() * 4;
  for (const auto& buffer : state_->scratch) sum += buffer.size() * 4;
  for (const auto& buffer : state_->aside) sum += buffer.size() * 4;
  sum += state_->packed.size() * 4;
  sum += state_->network.arranged_bytes();
  for (const auto& buffer : state_->bf16_rows) sum += buffer.size() * 2;
  return sum;
}

// ---- inference

struct InferencePass::State {
  const Network& network;
  TargetForm form;
  LossFunction loss;
  float threshold;
  std::vector<Buffers> buffers;  // by thread
  std::vector<NormState> norms;
  std::vector<Buffer<float>> scratch, values;  // by thread: [kChunk, outputs]
  std::vector<Buffer<float>> weights;          // by thread: [kChunk]
  std::vector<Buffer<std::int32_t>> classes;   // by thread: [kChunk]
  std::vector<Buffer<std::int64_t>> samples;   // by thread: [kChunk]
  const float* parameters = nullptr;

  State(const Network& net, const Loss& loss_text, TargetForm target_form, int threads)
      : network(net),
        form(target_form),
        loss(loss_text, net.model().outputs(), threads, kChunk),
        threshold(loss_text.threshold()),
        norms(make_norms(net.plan(), 1, false)) {
    for (int t = 0; t < threads; ++t) {
      buffers.emplace_back(net.plan(), kChunk, false);
      scratch.emplace_back(kChunk * net.model().outputs());
      values.emplace_back(form == TargetForm::values ? kChunk * net.model().outputs() : 0);
      classes.emplace_back(form == TargetForm::classes ? kChunk : 0);
      weights.emplace_back(kChunk);
      samples.emplace_back(kChunk);
    }
  }
};

InferencePass::InferencePass(const Network& network, const Loss& loss, TargetForm form, int threads,
                             std::span<const std::int64_t> sizes)
    : state_(std::make_unique<State>(network, loss, form, threads)) {
  for (const std::int64_t rows : std::set<std::int64_t>(sizes.begin(), sizes.end())) {
    require(rows >= 1 && rows <= kChunk, ErrorKind::internal, "a chunk of ", rows, " rows");
    for (const auto& operation : network.plan().operations)
      operation->prepare(network.factory(), rows, false);
    state_->loss.prepare(network.factory(), rows);
  }
}

InferencePass::~InferencePass() = default;

void InferencePass::set(const float* parameters, const float* statistics) {
  state_->parameters = parameters;
  for (const BatchNorm* norm : state_->network.plan().batch_norm)
    if (norm != nullptr)
      norm->set_from_running(state_->norms[static_cast<std::size_t>(norm->index())], statistics);
}

float InferencePass::threshold() const { return state_->threshold; }

/// Leaves what the network computes where it stands, and returns that.
const float* InferencePass::forward(const RowSource& source, Range rows, int thread,
                                    const Sampling* sampling) const {
  const State& state = *state_;
  const Network::Plan& plan = state.network.plan();
  const auto t = static_cast<std::size_t>(thread);
  View view;
  view.values = state.buffers[t].value_pointers.data();
  view.norms = state_->norms.data();
  view.parameters = state.parameters;
  if (sampling != nullptr) {
    view.draws = true;
    view.seed = sampling->seed;
    view.step = kSampleSteps + sampling->number;
    for (std::int64_t r = 0; r < rows.size(); ++r) state_->samples[t][r] = source.sample(rows.begin + r);
    view.samples = state.samples[t].data();
  }
  const Unit unit{{0, rows.size()}, 0};
  source.inputs(rows, view.values[plan.input.value]);
  for (const auto& operation : plan.operations) operation->forward(view, unit, thread);
  return view.values[plan.output.value];
}

void InferencePass::predict(const RowSource& source, Range rows, int thread, float* outputs, float* raw,
                            const Sampling* sampling) const {
  const float* z = forward(source, rows, thread, sampling);
  if (outputs != nullptr) state_->loss.activate(z, rows.size(), outputs, thread);
  if (raw != nullptr) std::copy_n(z, rows.size() * state_->network.model().outputs(), raw);
}

LossSums InferencePass::run(const RowSource& source, Range rows, int thread, float* outputs,
                            float* raw) const {
  State& state = *state_;
  const auto t = static_cast<std::size_t>(thread);
  const float* z = forward(source, rows, thread, nullptr);
  if (outputs != nullptr) state.loss.activate(z, rows.size(), outputs, thread);
  if (raw != nullptr) std::copy_n(z, rows.size() * state.network.model().outputs(), raw);
  Targets targets;
  if (state.form == TargetForm::classes) {
    source.classes(rows, state.classes[t].data());
    targets.classes = state.classes[t].data();
  } else {
    source.values(rows, state.values[t].data());
    targets.values = state.values[t].data();
  }
  if (source.weighted()) {
    source.weights(rows, state.weights[t].data());
    targets.weights = state.weights[t].data();
  }
  return state.loss(z, rows.size(), targets, state.scratch[t].data(), thread);
}

}  // namespace trainer::nn
