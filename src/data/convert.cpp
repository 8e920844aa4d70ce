#include "trainer/data/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "convert_plan.h"
#include "files.h"
#include "labels.h"
#include "pack.h"
#include "trainer/comm/agreement.h"
#include "trainer/core/buffer.h"
#include "trainer/core/error.h"
#include "trainer/data/open.h"
#include "trainer/h5/row_writer.h"

namespace trainer::data {
namespace {

using Type = h5::RowSet::Type;

constexpr std::int64_t kPortionBytes = std::int64_t{32} << 20;
constexpr std::int64_t kLeastPortionBytes = std::int64_t{1} << 20;
/// More classes, or these many names in an attribute, and the file says less by itself.
constexpr std::int64_t kMostPlainClasses = 1000;

/// Whether texts as targets give the classes the numbers that they have: readers sort them.
bool names_can_be_texts(const std::vector<std::string>& names) {
  const auto is_plain = [](const std::string& name) {
    return !name.empty() && name.front() != ' ' && name.back() != ' ' &&
           std::ranges::none_of(name,
                                [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  };
  return !names.empty() && std::ranges::all_of(names, is_plain) &&
         std::ranges::adjacent_find(names, std::greater_equal<>()) == names.end();
}

std::int64_t longest(const std::vector<std::string>& names) {
  std::size_t most = 0;
  for (const std::string& name : names) most = std::max(most, name.size());
  return static_cast<std::int64_t>(most);
}

/// What the file holds: the inputs of a split and its targets, split after split.
class Layout {
 public:
  explicit Layout(const Plan& plan) : plan_(plan) {
    const std::vector<std::string>& names = plan.splits[0].facts.class_names;
    if (names_can_be_texts(names)) names_ = names;
  }
  bool has_targets() const { return plan_.splits[0].facts.kind != TargetKind::none; }
  const std::vector<std::string>& names() const { return names_; }  ///< of classes written as texts
  std::size_t inputs(std::size_t split) const { return split * (has_targets() ? 2 : 1); }
  std::size_t targets(std::size_t split) const { return inputs(split) + 1; }

  std::vector<h5::RowSet> sets() const {
    const bool has_test = plan_.splits.size() > 1;
    std::vector<h5::RowSet> list;
    for (std::size_t s = 0; s < plan_.splits.size(); ++s) {
      const DataFacts& facts = plan_.splits[s].facts;
      list.push_back({.path = !has_test ? "/inputs"
                              : s == 0  ? "/x_train"
                                        : "/x_test",
                      .type = facts.element_type == "uint8" ? Type::u8 : Type::f32,
                      .columns = facts.features,
                      .row_shape = facts.feature_shape,
                      .rows = facts.rows});
      if (has_targets())
        list.push_back(targets_of(facts, !has_test ? "/targets" : s == 0 ? "/y_train" : "/y_test"));
    }
    return list;
  }

 private:
  h5::RowSet targets_of(const DataFacts& facts, const std::string& path) const {
    h5::RowSet set{.path = path, .columns = facts.targets, .rows = facts.rows};
    if (facts.kind == TargetKind::values) return set;
    set.type = names_.empty() ? Type::i32 : Type::text;
    set.columns = names_.empty() ? 0 : longest(names_);
    const auto count = static_cast<std::int64_t>(plan_.class_names.size());
    if (names_.empty() && count > 0 && count <= kMostPlainClasses)
      set.attributes["class_names"] = plan_.class_names;
    return set;
  }

  const Plan& plan_;
  std::vector<std::string> names_;
};

/// What was seen of the targets by one rank.
struct Seen {
  std::vector<std::vector<std::int64_t>> counts;  ///< by split and class
  bool fractions = false;
};

/// Writes rows to the file that all ranks write to.
class Part {
 public:
  Part(const Layout& layout, h5::RowWriter writer, std::size_t splits)
      : layout_(layout), writer_(std::move(writer)) {
    seen.counts.resize(splits);
  }

  void copy(const Source& source, std::size_t split, Range rows) {
    const DataFacts facts = with_rows(source.facts, rows.size());
    const std::int64_t bytes = bytes_needed(facts);
    if (memory_.size() < bytes) memory_ = {};  // before there is another
    if (memory_.size() == 0) memory_ = Buffer<std::byte>(bytes);
    const RowStore store = store_in(memory_.data(), facts);
    source.read(rows, store);
    const auto values = static_cast<std::size_t>(rows.size() * facts.features);
    const std::size_t set = layout_.inputs(split);
    if (store.bytes != nullptr)
      writer_.write(set, rows.begin, std::span<const std::uint8_t>(store.bytes, values));
    else
      writer_.write(set, rows.begin, std::span<const float>(store.floats, values));
    if (layout_.has_targets()) copy_targets(facts, store, split, rows.begin);
  }
  void sync() { writer_.sync(); }
  void finish() { writer_.finish(); }
  const std::vector<std::int64_t>& places() const { return writer_.places(); }

  Seen seen;

 private:
  void copy_targets(const DataFacts& facts, const RowStore& store, std::size_t split, std::int64_t first) {
    const std::size_t set = layout_.targets(split);
    const auto rows = static_cast<std::size_t>(facts.rows);
    if (facts.kind == TargetKind::values) {
      const std::span<const float> values(store.values, rows * static_cast<std::size_t>(facts.targets));
      seen.fractions = seen.fractions ||
                       std::ranges::any_of(values, [](float value) { return value != std::floor(value); });
      return writer_.write(set, first, values);
    }
    const std::span<const std::int32_t> classes(store.classes, rows);
    std::vector<std::int64_t>& counts = seen.counts[split];
    const std::vector<std::int64_t> more = count_labels(classes, facts.name);
    counts.resize(std::max(counts.size(), more.size()));
    for (std::size_t c = 0; c < more.size(); ++c) counts[c] += more[c];
    if (layout_.names().empty()) return writer_.write(set, first, classes);
    const auto width = static_cast<std::size_t>(longest(layout_.names()));
    std::vector<char> texts(rows * width, '\0');
    for (std::size_t row = 0; row < rows; ++row) {
      const std::string& name = layout_.names().at(static_cast<std::size_t>(classes[row]));
      if (!name.empty()) std::memcpy(texts.data() + row * width, name.data(), name.size());
    }
    writer_.write(set, first, std::span<const char>(texts));
  }

  const Layout& layout_;
  h5::RowWriter writer_;
  Buffer<std::byte> memory_;
};

void require_path(const std::string& out) {
  require(out.ends_with(".h5") || out.ends_with(".hdf5"), ErrorKind::usage, "--out ", out,
          ": expected a file that ends in .h5 or .hdf5");
}

void require_room(const Plan& plan, const MemoryLimit& limit) {
  for (const Source& source : plan.splits)
    require(source.any_rows || decoded_bytes(source.facts) <= limit.bytes, ErrorKind::data,
            "--data: ", plan.origin, " cannot be read in parts, and its rows need ",
            decoded_bytes(source.facts) >> 20, " MiB of memory; --memory-limit ", limit.text, " is ",
            limit.bytes >> 20, " MiB: give more, or convert it on a node that has it");
}

/// **Collective.** Rank 0 makes the file, the others join it.
std::unique_ptr<Part> open_part(const comm::Communicator& world, const ConvertRequest& request,
                                const Plan& plan, const Layout& layout) {
  std::unique_ptr<Part> part;
  std::string places;
  comm::on_first_rank(world, [&] {
    require_no_data_file(request.out, {request.data.data, request.data.test, request.data.targets_data});
    part = std::make_unique<Part>(layout,
                                  h5::RowWriter(request.out, plan.splits[0].facts.rows, layout.sets(),
                                                {{"format", std::string("trainer data")},
                                                 {"version", std::int64_t{1}},
                                                 {"data", plan.splits[0].facts.name}}),
                                  plan.splits.size());
    places = bytes_of(part->places());
  });
  places = world.broadcast(places, 0);
  comm::together(world, [&] {
    if (world.rank() == 0) return;
    part = std::make_unique<Part>(layout,
                                  h5::RowWriter::join(request.out, plan.splits[0].facts.rows, layout.sets(),
                                                      values_of<std::int64_t>(places)),
                                  plan.splits.size());
  });
  return part;
}

/// **Collective.** Every rank takes its turn at the portions; they agree after each round, so that an error
/// ends all of them soon and nobody is waited for too long.
void copy_rows(const comm::Communicator& world, const ConvertRequest& request, const Plan& plan,
               std::int64_t portion_bytes, Part& part) {
  std::int64_t all = 0, done = 0;
  for (const Source& source : plan.splits) all += source.facts.rows;
  const auto ranks = static_cast<std::size_t>(world.size());
  for (std::size_t split = 0; split < plan.splits.size(); ++split) {
    const Source& source = plan.splits[split];
    DataFacts facts = source.facts;
    facts.blocks = blocks_of(source);
    const std::vector<Range> portions = portions_of(source, facts, portion_bytes);
    for (std::size_t first = 0; first < portions.size(); first += ranks) {
      const std::size_t mine = first + static_cast<std::size_t>(world.rank());
      comm::together(world, [&] {
        if (mine < portions.size()) part.copy(source, split, portions[mine]);
      });
      const std::size_t last = std::min(portions.size(), first + ranks) - 1;
      if (world.rank() == 0 && request.progress) request.progress(done + portions[last].end, all);
    }
    done += source.facts.rows;
  }
}

/// **Collective.** What all ranks saw.
void join(const comm::Communicator& world, Seen& seen) {
  for (std::vector<std::int64_t>& counts : seen.counts) {
    const auto sizes = world.all_gather(static_cast<std::int64_t>(counts.size()));
    counts.resize(static_cast<std::size_t>(*std::ranges::max_element(sizes)));
    world.sum(counts);
  }
  std::int64_t fractions = seen.fractions ? 1 : 0;
  world.sum({&fractions, 1});
  seen.fractions = fractions > 0;
}

/// What --task must say for the file to be understood as the data was.
std::string task_to_say(const Plan& plan, const Seen& seen, std::int64_t classes, bool as_texts) {
  const DataFacts& facts = plan.splits[0].facts;
  if (facts.kind == TargetKind::none) return "autoencoder";
  if (facts.kind == TargetKind::classes)
    return classes > kMostPlainClasses || (classes < 1 && !as_texts) ? "classification" : "";
  if (plan.task == Task::classification) return "classification";  // a distribution over classes
  return seen.fractions ? "" : "regression";
}

Converted converted(const Plan& plan, const Layout& layout, const Seen& seen) {
  Converted out;
  out.train = plan.splits[0].facts;
  if (plan.splits.size() > 1) out.test = plan.splits[1].facts;
  if (out.train.kind == TargetKind::classes) {
    const std::int64_t classes = count_classes(plan, seen.counts);
    const std::string absent = absent_classes(seen.counts[0], classes);
    if (!absent.empty()) out.notes.push_back("note: no training row has class " + absent);
    std::int64_t present = 0;
    for (const auto& counts : seen.counts)
      present = std::max(present, static_cast<std::int64_t>(counts.size()));
    if (present < classes)
      out.notes.push_back(text("note: no row has a class from ", present, " on: of the ", classes,
                               " classes the file shows ", present));
    out.train.targets = classes;
    if (out.test) out.test->targets = classes;
  }
  out.task = task_to_say(plan, seen, out.train.targets, !layout.names().empty());
  return out;
}

}  // namespace

Converted convert_data(const comm::Communicator& world, const ConvertRequest& request) {
  const MemoryLimit limit = memory_limit(world, request.memory_limit);
  comm::together(world, [&] { require_path(request.out); });
  const Plan plan = plan_with_test(world, request.data, request.without_test);
  comm::together(world, [&] { require_room(plan, limit); });
  comm::require_same(world, "the files of --data", plan.visible);

  const Layout layout(plan);
  const std::unique_ptr<Part> part = open_part(world, request, plan, layout);
  copy_rows(world, request, plan,
            std::clamp(limit.bytes / (16 * std::int64_t{world.size()}), kLeastPortionBytes, kPortionBytes),
            *part);
  comm::together(world, [&] { part->sync(); });
  join(world, part->seen);
  Converted out;
  comm::together(world, [&] { out = converted(plan, layout, part->seen); });
  comm::on_first_rank(world, [&] { part->finish(); });
  return out;
}

}  // namespace trainer::data
