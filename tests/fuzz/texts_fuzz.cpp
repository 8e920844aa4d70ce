// The texts of the options: model, loss, optimizer, schedule, augmentation, ... The first byte of an input
// says which, the rest is the text.

#include <cmath>
#include <functional>
#include <memory>

#include "csv_encoding.h"
#include "fuzz_target.h"
#include "hdf5_selection.h"
#include "trainer/data/augmentation.h"
#include "trainer/data/generate.h"
#include "trainer/data/open.h"
#include "trainer/data/order.h"
#include "trainer/data/split.h"
#include "trainer/nn/loss.h"
#include "trainer/nn/model.h"
#include "trainer/optim/optimizer.h"
#include "trainer/optim/rate_scaling.h"
#include "trainer/optim/schedule.h"

using namespace trainer;

namespace {

data::DataFacts images() {
  data::DataFacts facts;
  facts.rows = 1'000;
  facts.features = 784;
  facts.feature_shape = {28, 28};
  facts.targets = 10;
  facts.element_type = "uint8";
  facts.blocks = {0, 100, 350, 900};
  return facts;
}

void model(const std::string& text) {
  const nn::Model model(text, 784, 10);
  must(!model.layers().empty() && model.layers().back().outputs == 10, "a model ends in the outputs");
  for (const char* const loss : {"softmax_cross_entropy", "binary_cross_entropy", "mse"})
    accepted([&] { nn::join(model, nn::Loss::parse(loss)); });
}

void loss(const std::string& text) { nn::Loss::parse(text); }

void optimizer(const std::string& text) {
  const std::unique_ptr<optim::Optimizer> optimizer = optim::Optimizer::parse(text);
  must(optimizer->default_rate() > 0, "an optimizer has a rate");
  accepted([&] { optim::Optimizer::parse(optimizer->square_root_text(4)); });
}

void schedule(const std::string& text) {
  const optim::Schedule schedule(text, "10 steps", 0.1, 1'000, 50);
  for (const std::int64_t step : {1, 2, 10, 500, 1'000, 100'000})
    must(!std::isnan(schedule.rate(step)), "rates are numbers");
}

void warmup(const std::string& text) {
  const optim::Schedule schedule("cosine", text, 0.1, 1'000, 50);
  must(std::isfinite(schedule.rate(1)), "rates are finite");
}

void length(const std::string& text) {
  must(optim::Length::parse("--evaluate-every", text).steps(50) >= 0, "lengths are not negative");
}

void augmentation(const std::string& text) { const data::Augmentation checked(text, images(), 1); }

void split(const std::string& text) {
  const data::Splittable rows{
      .rows = 1'000, .test_rows = 100, .own_rows = 0, .files = {0, 300, 310}, .blocks = {0, 100, 350, 900}};
  for (const bool in_blocks : {false, true}) {
    data::Splittable these = rows;
    if (!in_blocks) these.blocks.clear();
    const data::Split split = data::split_rows(text, 7, these);
    must(!split.training.empty(), "rows are left to train on");
    if (split.of == data::Split::Of::training)
      must(split.training.size() + split.validation.size() == 1'000, "each row is used once");
  }
}

void shuffle(const std::string& text) {
  const data::DataFacts facts = images();
  const std::string resolved = data::resolved_shuffle(text, facts);
  const data::EpochOrder order(1, data::RowSet::all(facts.rows), resolved, facts.blocks);
  must(order.row_at(3, 999) < 1'000, "rows are in the data set");
}

void selections(const std::string& text) { data::parse_hdf5_selections("--inputs", text); }
void row_axes(const std::string& text) { data::parse_row_axes(text); }

void generator(const std::string& text) {
  const data::Generator generator(text);
  must(generator.rows() > 0 && generator.features() > 0, "a generator makes rows");
  if (generator.features() > 100'000 || generator.targets() > 100'000) return;
  std::vector<float> inputs(static_cast<std::size_t>(2 * generator.features())),
      values(static_cast<std::size_t>(2 * std::max<std::int64_t>(1, generator.targets())));
  std::vector<std::int32_t> classes(2);
  const std::int64_t rows = std::min<std::int64_t>(2, generator.rows());
  generator.fill(generator.rows() - rows, rows, inputs.data(), classes.data(), values.data());
}

void rate_scaling(const std::string& text) { optim::parse_rate_scaling(text); }

void csv_encoding(const std::string& text) {
  const std::string again = data::text_of(data::csv_encoding_of(text));
  must(data::text_of(data::csv_encoding_of(again)) == again, "an encoding is read back as it was written");
}

void file_name(const std::string& text) { data::names_files(text); }

struct Target {
  void (*run)(const std::string&);
  std::vector<std::string> seeds;
};

const std::vector<Target>& targets() {
  static const std::vector<Target> all{
      {model,
       {"dense(512) batch_norm relu dropout(0.2) dense(outputs)", "512-256-10",
        "repeat(3){dense(64) relu} dense(outputs)", "residual(projection=true){dense(32) gelu} dense(10)",
        "dense(8, bias=false, init=normal(0.1)) leaky_relu(0.2) elu(alpha=2) layer_norm noise(0.1) "
        "dense(outputs) softmax"}},
      {loss, {"mse", "huber(delta=1.5, outputs=sum)", "softmax_cross_entropy(label_smoothing=0.1)"}},
      {optimizer,
       {"adam(beta1=0.9, beta2=0.95, inside_root=true)", "sgd(momentum=0.9, nesterov=true)",
        "lamb(weight_decay=0.1)", "rmsprop(0.9, 1e-7)"}},
      {schedule,
       {"cosine(final=0.1)", "one_cycle(start=0.1, peak=0.2)", "step(every=100 steps, factor=0.5)",
        "plateau(patience=2, min=0.01)", "exponential(every=1 epoch, factor=0.9, horizon=500 steps)"}},
      {warmup, {"5 epochs", "0.25 epochs", "500 steps", "0"}},
      {length, {"1 epoch", "1e3 steps", "0.5 epochs"}},
      {augmentation,
       {"shift(2) flip noise(0.1)",
        "rotate(10) scale(0.1) elastic(8, 3) erase(4, probability=0.2) mixup(0.2)"}},
      {split,
       {"0.1", "5000 rows", "100 rows", "tail(0.1)", "files(0.5)", "groups(g/station, 0.1)", "test", "0"}},
      {shuffle, {"rows", "chunks(2)", "none", "false", "chunks"}},
      {selections, {"T, Q[:,0:40], PS", "group/table:member[:, -1, ::2]", "/x[:,5:40:3]"}},
      {row_axes, {"0", "-1", "0,2"}},
      {generator,
       {"teacher(features=16, hidden=32, outputs=2, rows=100)", "circle(rows=50, noise=0.1)",
        "spiral(classes=3)", "table(xor)", "blobs(features=5, classes=4, seed=9)"}},
      {rate_scaling, {"linear", "sqrt", "none"}},
      {csv_encoding, {"header 1\nseparator ,\ncolumn width number\ncolumn color classes red blue\n", "x"}},
      {file_name, {"data/*.h5", "test", "x.csv"}}};
  return all;
}

}  // namespace

std::vector<std::string> trainer::fuzz_seeds() {
  std::vector<std::string> seeds;
  for (std::size_t i = 0; i < targets().size(); ++i)
    for (const std::string& seed : targets()[i].seeds) seeds.push_back(static_cast<char>(i) + seed);
  return seeds;
}
std::vector<std::string> trainer::fuzz_tokens() {
  return {"(",
          ")",
          "{",
          "}",
          "[",
          "]",
          "=",
          ",",
          ":",
          " ",
          "-1",
          "1e308",
          "nan",
          "inf",
          "1e-320",
          "repeat",
          "repeat(9999){",
          "outputs",
          "true",
          "residual{",
          "9223372036854775807",
          "-9223372036854775808",
          "18446744073709551616",
          "epochs",
          "steps",
          "dense(1)"};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  accepted([&] { targets()[data[0] % targets().size()].run(text); });
  return 0;
}
