#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>
#include <optional>

#include "ensemble.h"
#include "prediction_file.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/clock.h"
#include "trainer/data/encoding.h"
#include "trainer/train/evaluator.h"
#include "trainer/train/prepare.h"
#include "trainer/train/run.h"

namespace trainer::train {
namespace {

constexpr std::int64_t kChunk = nn::Inference::kChunk;
/// Of one kind of values of the window on its way to rank 0.
constexpr std::int64_t kWindowBytes = std::int64_t{128} << 20;

/// All rows of a data set as a model takes them; there are no targets.
class AllRows final : public nn::RowSource {
 public:
  AllRows(const data::DataSet& data, const data::Scaling& scaling) : data_(data), scaling_(scaling) {}
  void inputs(Range rows, float* out) const override {
    std::array<std::int64_t, kChunk> list;
    std::iota(list.begin(), list.end(), rows.begin);
    data_.gather_scaled(std::span(list).first(static_cast<std::size_t>(rows.size())), scaling_, out);
  }
  void classes(Range, std::int32_t*) const override { refuse(); }
  void values(Range, float*) const override { refuse(); }
  std::int64_t sample(std::int64_t row) const override { return row; }

 private:
  [[noreturn]] static void refuse() { fail(ErrorKind::internal, "a prediction asks for targets"); }
  const data::DataSet& data_;
  const data::Scaling& scaling_;
};

/// A random layer anywhere in the layers.
bool draws(const std::vector<nn::LayerSpec>& layers) {
  return std::ranges::any_of(layers, [](const nn::LayerSpec& layer) {
    return layer.kind == nn::LayerKind::dropout || layer.kind == nn::LayerKind::noise || draws(layer.body);
  });
}

void require_samples_differ(const std::vector<LoadedModel>& models, std::int64_t samples) {
  require(samples == 0 ||
              std::ranges::any_of(
                  models, [](const LoadedModel& model) { return draws(model.network->model().layers()); }),
          ErrorKind::usage, "--samples ", samples,
          " needs a model with dropout or noise layers: all samples of ", models[0].file,
          " would be equal; leave it out");
}

/// Nobody wants the predictions in the place of what they are made from.
void require_other_file(const PredictRequest& request, const std::vector<LoadedModel>& models) {
  const auto same = [&](const std::string& file) {
    std::error_code error;  // a file that is not there is no other's
    return std::filesystem::equivalent(request.out, file, error);
  };
  const Configuration& asked = request.configuration;
  data::require_no_data_file(request.out, {asked.data, asked.test, asked.targets_data});
  for (const LoadedModel& model : models)
    require(!same(model.file), ErrorKind::usage, "--out ", request.out,
            " is the model itself; choose another file");
}

const data::DataSet& rows_to_predict(const data::OpenedData& opened, const std::string& split) {
  require(split != "test" || opened.test != nullptr, ErrorKind::usage,
          "--split test: ", opened.train->facts().name,
          " has no test split; leave --split out to predict all rows");
  return split != "train" && opened.test != nullptr ? *opened.test : *opened.train;
}

PredictionLayout layout_of(const PredictRequest& request, const std::vector<LoadedModel>& models,
                           const data::DataFacts& facts) {
  const LoadedModel& first = models.front();
  PredictionLayout layout;
  layout.path = request.out;
  layout.rows = facts.rows;
  layout.outputs = first.outputs;
  layout.classification = first.task == "classification";
  layout.deviation = models.size() > 1 || request.samples > 0;
  layout.class_names = first.class_names;
  if (first.task == "regression") layout.target_names = data::target_names(first.encoding, first.outputs);
  std::vector<std::string> files;
  for (const LoadedModel& model : models) files.push_back(model.file);
  layout.attributes = {{"format", std::string("trainer predictions")},
                       {"version", std::int64_t{1}},
                       {"task", first.task},
                       {"data", facts.name},
                       {"models", files}};
  if (request.samples > 0) {
    layout.attributes["samples"] = request.samples;
    layout.attributes["seed"] = static_cast<std::int64_t>(request.seed);
  }
  return layout;
}

/// The rows of one window that one rank computes.
struct Share {
  std::vector<float> outputs, deviation, classes;
};

class Prediction {
 public:
  Prediction(const comm::Communicator& world, const Team& team, const Ensemble& ensemble,
             const PredictionLayout& layout, const Samples& samples)
      : world_(world), team_(team), ensemble_(ensemble), layout_(layout), samples_(samples) {}

  /// **Collective.** All rows; `file`: on rank 0.
  void run(PredictionFile* file, report::RowLines& lines) {
    const std::int64_t window = window_rows();
    for (std::int64_t begin = 0; begin < layout_.rows; begin += window) {
      const Range rows{begin, std::min(layout_.rows, begin + window)};
      comm::together(world_, [&] { compute(rows); });
      Share all;
      all.outputs = gather(share_.outputs);
      all.deviation = gather(share_.deviation);
      all.classes = gather(share_.classes);
      comm::on_first_rank(world_, [&] {
        file->append({begin, all.outputs, all.deviation, all.classes});
        lines.update(rows.end, layout_.rows);
      });
    }
  }

 private:
  /// Whole chunks, enough for all threads of all ranks while that is no lot of memory. No result depends on
  /// it.
  std::int64_t window_rows() const {
    const std::int64_t workers = std::int64_t{world_.size()} * team_.size();
    const std::int64_t most = std::max<std::int64_t>(1, kWindowBytes / (kChunk * layout_.outputs * 4));
    return kChunk * std::min(most, std::max<std::int64_t>(256, 4 * workers));
  }

  /// This rank's part of the window: a run of its chunks.
  void compute(Range window) {
    const std::int64_t chunks = (window.size() + kChunk - 1) / kChunk;
    const Range run = cut(chunks, world_.size(), world_.rank());
    const std::int64_t begin = window.begin + run.begin * kChunk;
    const std::int64_t end = std::max(begin, std::min(window.end, window.begin + run.end * kChunk));
    const auto rows = static_cast<std::size_t>(end - begin);
    const auto values = rows * static_cast<std::size_t>(layout_.outputs);
    share_.outputs.resize(values);
    share_.deviation.resize(layout_.deviation ? values : 0);
    share_.classes.resize(layout_.classification ? rows : 0);
    team_.run(run.size(), [&](std::int64_t c, int thread) {
      const Range chunk{begin + c * kChunk, std::min(end, begin + (c + 1) * kChunk)};
      const std::int64_t row = chunk.begin - begin;
      const auto place = [](std::vector<float>& memory, std::int64_t offset) {
        return memory.empty() ? nullptr : memory.data() + offset;
      };
      ensemble_.predict(chunk, thread, samples_, place(share_.outputs, row * layout_.outputs),
                        place(share_.deviation, row * layout_.outputs), place(share_.classes, row));
    });
  }

  std::vector<float> gather(const std::vector<float>& mine) const {
    return world_.gather(mine.data(), static_cast<std::int64_t>(mine.size()), 0);
  }

  const comm::Communicator& world_;
  const Team& team_;
  const Ensemble& ensemble_;
  const PredictionLayout& layout_;
  Samples samples_;
  Share share_;
};

void tell(const PredictRequest& request, const PredictionLayout& layout,
          const std::vector<LoadedModel>& models) {
  if (request.report == nullptr) return;
  std::string lines;
  if (!request.quiet) {
    lines += text("rows ", layout.rows, "\noutputs ", layout.outputs, "\n");
    if (models.size() > 1) lines += text("models ", models.size(), "\n");
    if (request.samples > 0) lines += text("samples ", request.samples, "\n");
    if (std::ranges::any_of(models, &LoadedModel::is_average)) lines += "weights average\n";
  }
  std::fputs((lines + "out " + layout.path + "\n").c_str(), request.report);
  std::fflush(request.report);
}

}  // namespace

int run_prediction(const comm::Communicator& world, const PredictRequest& request) {
  comm::together(world, [&] { require_prediction_path(request.out); });
  const comm::Communicator node = world.node();
  std::vector<LoadedModel> models = load_models(world, request.models, request.threads);
  const LoadedModel& first = models.front();
  Configuration configuration = request.configuration;
  configuration.task = first.task;
  configuration.validation = "0";
  comm::together(world, [&] { configuration.missing = settle_missing(models, configuration.missing, true); });
  const KnownModel known{first.scalings, first.class_names, first.encoding, true};
  const PreparedData data = prepare_data(world, node, configuration, &known);
  const data::DataSet* set = nullptr;
  comm::together(world, [&] {
    require_fit(first, data.facts());
    set = &rows_to_predict(data.opened, request.split);
    require_samples_differ(models, request.samples);
    if (world.rank() == 0) require_other_file(request, models);
  });
  const PredictionLayout layout = layout_of(request, models, set->facts());

  std::vector<std::unique_ptr<const nn::RowSource>> sources;
  for (const LoadedModel& model : models)
    sources.push_back(std::make_unique<AllRows>(*set, model.scalings.inputs));
  const Ensemble ensemble(models, std::move(sources), nn::TargetForm::classes, request.threads,
                          Evaluator::sizes(layout.rows));
  const Team team(request.threads);
  std::unique_ptr<PredictionFile> file;
  comm::on_first_rank(world, [&] { file = PredictionFile::create(layout, team); });
  report::RowLines lines(request.progress == report::ProgressStyle::none ? nullptr : request.report,
                         request.progress_every_seconds);
  Prediction(world, team, ensemble, layout, {request.samples, request.seed}).run(file.get(), lines);
  comm::on_first_rank(world, [&] {
    file->close();
    tell(request, layout, models);
  });
  return 0;
}

}  // namespace trainer::train
