#include "trainer/nn/model.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <map>

namespace trainer::nn {
namespace {

constexpr std::int64_t kMaxWidth = std::int64_t{1} << 24;
constexpr std::int64_t kMaxLayers = 10'000;

const std::vector<std::string> kLayerNames = {
    "dense",    "batch_norm", "layer_norm", "relu",    "leaky_relu", "elu",   "gelu",     "silu",
    "softplus", "sigmoid",    "tanh",       "softmax", "dropout",    "noise", "residual", "repeat"};

const std::map<std::string, LayerKind> kActivations = {
    {"relu", LayerKind::relu},      {"leaky_relu", LayerKind::leaky_relu},
    {"elu", LayerKind::elu},        {"gelu", LayerKind::gelu},
    {"silu", LayerKind::silu},      {"softplus", LayerKind::softplus},
    {"tanh", LayerKind::tanh},      {"sigmoid", LayerKind::sigmoid},
    {"softmax", LayerKind::softmax}};

/// Builds the layers of one sequence; widths are followed through from left to right.
class Builder {
 public:
  Builder(const ParsedText& text, std::int64_t outputs) : text_(text), outputs_(outputs) {}

  std::vector<LayerSpec> build(const std::vector<Term>& terms, std::int64_t width,
                               const std::string& prefix) {
    const std::vector<const Term*> flat = write_out(terms);
    std::vector<LayerSpec> layers;
    const std::size_t digits = std::max<std::size_t>(2, std::to_string(flat.size() - 1).size());
    for (const Term* term : flat) {
      std::string number = std::to_string(layers.size());
      number.insert(0, digits - number.size(), '0');
      layers.push_back(layer(*term, width, prefix + number + "_" + term->name));
      width = layers.back().outputs;
    }
    return layers;
  }

 private:
  /// `repeat(n, ...)` written out, recursively. A term may be long: it is read once and never copied for a
  /// repetition.
  std::vector<const Term*> write_out(const std::vector<Term>& terms) {
    std::vector<const Term*> flat;
    for (const Term& term : terms) {
      if (term.name != "repeat") {
        count(term, 1);
        flat.push_back(&term);
        continue;
      }
      ArgumentReader arguments(text_, term);
      const std::int64_t times = arguments.integer("n", 1, kMaxLayers);
      repeated_.push_back(arguments.nested_sequence());
      arguments.finish();
      const std::vector<const Term*> body = write_out(repeated_.back());
      count(term, (times - 1) * static_cast<std::int64_t>(body.size()));
      for (std::int64_t i = 0; i < times; ++i) flat.insert(flat.end(), body.begin(), body.end());
    }
    return flat;
  }

  void count(const Term& term, std::int64_t layers) {
    count_ += layers;
    if (count_ > kMaxLayers) text_.fail_at(term.offset, text("more than ", kMaxLayers, " layers"));
  }

  LayerSpec layer(const Term& term, std::int64_t width, std::string path) {
    LayerSpec spec;
    spec.name = term.name;
    spec.path = std::move(path);
    spec.offset = term.offset;
    spec.inputs = width;
    spec.outputs = width;
    ArgumentReader arguments(text_, term);
    if (term.name == "dense") {
      spec.kind = LayerKind::dense;
      read_units(arguments, term, spec);
      spec.bias = arguments.boolean("bias", true);
      read_initialiser(arguments, spec);
    } else if (term.name == "batch_norm") {
      spec.kind = LayerKind::batch_norm;
      spec.momentum = arguments.number("momentum", 0, 1, 0.1);
      spec.epsilon = arguments.number("epsilon", 0, 1, 1e-5, true);
      spec.shard_statistics = arguments.word("statistics", {"global", "shard"}, "global") == "shard";
    } else if (term.name == "layer_norm") {
      spec.kind = LayerKind::layer_norm;
      spec.epsilon = arguments.number("epsilon", 0, 1, 1e-5, true);
    } else if (term.name == "noise") {
      spec.kind = LayerKind::noise;
      spec.deviation = arguments.number("stddev", 0, 1e6);
    } else if (term.name == "dropout") {
      spec.kind = LayerKind::dropout;
      spec.rate = arguments.number("rate", 0, 1, std::nullopt, false, true);
    } else if (term.name == "residual") {
      spec.kind = LayerKind::residual;
      const std::vector<Term> body =
          arguments.nested_sequence();  // first: it takes what stands without a key
      const std::string projection = arguments.word("projection", {"auto", "always"}, "auto");
      if (body.empty()) text_.fail_at(term.offset, "residual(...) holds no layer");
      spec.body = build(body, width, spec.path + "/");
      spec.outputs = spec.body.back().outputs;
      spec.projection = projection == "always" || spec.outputs != width;
    } else if (const auto activation = kActivations.find(term.name); activation != kActivations.end()) {
      spec.kind = activation->second;
      if (spec.kind == LayerKind::leaky_relu) spec.slope = arguments.number("slope", 0, 1, 0.01);
      if (spec.kind == LayerKind::elu) spec.alpha = arguments.number("alpha", 0, 1e6, 1.0);
    } else {
      const std::string near = nearest_name(term.name, kLayerNames);
      text_.fail_at(term.offset, text("unknown layer \"", term.name, "\"",
                                      near.empty() ? "; see `trainer train --help` for the names"
                                                   : "; did you mean " + near + "?"));
    }
    arguments.finish();
    return spec;
  }

  void read_units(ArgumentReader& arguments, const Term& term, LayerSpec& spec) {
    const Term* units = arguments.term("units");
    if (units == nullptr) text_.fail_at(term.offset, "dense needs a number of units, as in dense(512)");
    if (units->name == "outputs") {
      spec.outputs = outputs_;
      return;
    }
    const auto number = parse_integer(units->name);
    if (!number || *number < 1 || *number > kMaxWidth || units->has_parentheses)
      text_.fail_at(units->offset,
                    text("expected a number of units from 1 to ", kMaxWidth, ", or the word outputs"));
    spec.outputs = *number;
  }

  void read_initialiser(ArgumentReader& arguments, LayerSpec& spec) {
    const Term* term = arguments.term("init");
    if (term == nullptr || term->name == "auto") {
      automatic_.push_back(spec.path);
      return;
    }
    using Kind = Initialiser::Kind;
    ArgumentReader inner(text_, *term);
    if (term->name == "he") {
      spec.initialiser = {Kind::he, 0};
    } else if (term->name == "glorot") {
      spec.initialiser = {Kind::glorot, 0};
    } else if (term->name == "zeros") {
      spec.initialiser = {Kind::zeros, 0};
    } else if (term->name == "normal") {
      spec.initialiser = {Kind::normal, inner.number("s", 0, 1e6)};
    } else if (term->name == "uniform") {
      spec.initialiser = {Kind::uniform, inner.number("a", 0, 1e6)};
    } else if (term->name == "constant") {
      spec.initialiser = {Kind::constant, inner.number("v", -1e6, 1e6)};
    } else {
      text_.fail_at(term->offset, "expected auto, he, glorot, normal(s), uniform(a), zeros or constant(v)");
    }
    inner.finish();
  }

 public:
  bool is_automatic(const std::string& path) const {
    return std::find(automatic_.begin(), automatic_.end(), path) != automatic_.end();
  }

 private:
  const ParsedText& text_;
  std::int64_t outputs_;
  std::int64_t count_ = 0;
  std::deque<std::vector<Term>> repeated_;  // bodies, which stay where they are
  std::vector<std::string> automatic_;
};

/// `512-512` stands for dense(512) relu dense(512) relu dense(outputs).
std::vector<Term> expand_short_form(const std::vector<Term>& terms) {
  if (terms.size() != 1 || terms[0].has_parentheses) return terms;
  const std::string& word = terms[0].name;
  if (word.empty() || word.find_first_not_of("0123456789-") != std::string::npos) return terms;
  std::vector<Term> expanded;
  const auto dense = [&](const std::string& units, std::size_t offset) {
    Term value{units, false, {}, offset};
    expanded.push_back({"dense", true, {Argument{"", {value}, offset}}, offset});
  };
  std::size_t begin = 0;
  while (begin <= word.size()) {
    const std::size_t end = std::min(word.find('-', begin), word.size());
    dense(word.substr(begin, end - begin), terms[0].offset + begin);
    expanded.push_back({"relu", false, {}, terms[0].offset + begin});
    begin = end + 1;
  }
  dense("outputs", terms[0].offset);
  return expanded;
}

/// Resolves init=auto: He before the relu family, Glorot otherwise. "Before" looks past norms, dropout and
/// noise, and out of a residual's end into what follows it.
void resolve_initialisers(std::vector<LayerSpec>& layers, const Builder& builder, LayerKind after) {
  for (std::size_t i = layers.size(); i-- > 0;) {
    LayerSpec& layer = layers[i];
    const Initialiser automatic{is_rectifier(after) ? Initialiser::Kind::he : Initialiser::Kind::glorot, 0};
    if (layer.kind == LayerKind::dense) {
      if (builder.is_automatic(layer.path)) layer.initialiser = automatic;
      after = LayerKind::dense;
    } else if (layer.kind == LayerKind::residual) {
      layer.initialiser = automatic;
      resolve_initialisers(layer.body, builder, after);
      after = LayerKind::residual;
    } else if (is_activation(layer.kind)) {
      after = layer.kind;
    }
  }
}

}  // namespace

bool is_activation(LayerKind kind) {
  return is_rectifier(kind) || kind == LayerKind::sigmoid || kind == LayerKind::tanh ||
         kind == LayerKind::softmax;
}

bool is_rectifier(LayerKind kind) {
  return kind == LayerKind::relu || kind == LayerKind::leaky_relu || kind == LayerKind::elu ||
         kind == LayerKind::gelu || kind == LayerKind::silu || kind == LayerKind::softplus;
}

Model::Model(const std::string& source, std::int64_t inputs, std::int64_t outputs, bool allow_one)
    : parsed_("--model", source), inputs_(inputs), outputs_(outputs) {
  require(inputs >= 1 && inputs <= kMaxWidth, ErrorKind::data, "the data has ", inputs,
          " input columns; from 1 to ", kMaxWidth, " are possible");
  require(outputs >= 1 && outputs <= kMaxWidth, ErrorKind::data, "the task needs ", outputs,
          " outputs; from 1 to ", kMaxWidth, " are possible");
  if (parsed_.sequence().empty())
    parsed_.fail_at(0, "the model is empty; try \"dense(512) relu dense(outputs)\" or 512-512");
  Builder builder(parsed_, outputs);
  layers_ = builder.build(expand_short_form(parsed_.sequence()), inputs, "");
  resolve_initialisers(layers_, builder, LayerKind::dense);
  const LayerSpec& last = layers_.back();
  if (allow_one && last.outputs == 1) outputs_ = 1;
  if (last.outputs != outputs_)
    parsed_.fail_at(last.offset,
                    trainer::text("the last layer is ", last.outputs, " wide, but the data needs ", outputs,
                                  " outputs; end the model with dense(outputs)"));
}

}  // namespace trainer::nn
