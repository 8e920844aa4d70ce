#include "csv_table.h"

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "csv_encoding.h"
#include "csv_field.h"
#include "missing.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::data {
namespace {

using Places = std::vector<std::int64_t>;

/// "; it has 'a', 'b', ..." and the name that is nearest.
std::string names_there(const std::string& wanted, const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 8;
  std::string out = "; it has ";
  for (std::size_t c = 0; c < std::min(names.size(), kMost); ++c)
    out += (c > 0 ? ", " : "") + shown(names[c]);
  if (names.size() > kMost) out += text(" and ", names.size() - kMost, " more");
  const std::string near = names.size() <= 1000 ? nearest_name(wanted, names) : "";
  return near.empty() ? out : out + text(" (did you mean ", near, "?)");
}

constexpr const char* kInputs = "--inputs";
constexpr const char* kTargets = "--target-columns";

bool is_usual_target(std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name == "target" || name == "label" || name == "class" || name == "y";
}

class TableMaker {
 public:
  TableMaker(const std::string& path, const CsvLayout& layout, const Request& request, Task task)
      : path_(path),
        layout_(layout),
        request_(request),
        wants_targets_(task != Task::autoencoder && !request.without_targets),
        by_names_of_classes_(task != Task::regression && !request.class_names.empty()) {
    table_.separator = layout.separator;
    table_.header = layout.header;
    table_.columns = std::ssize(layout.columns);
    for (const CsvHeadColumn& column : layout.columns) table_.names.push_back(column.name);
    for (std::int64_t c = 0; layout.header && c < table_.columns; ++c) places_.emplace(name(c), c);
    require(request.missing == "error" || request.missing == "drop" || request.missing == "mean",
            ErrorKind::usage, "--missing: '", request.missing,
            "' is not known; expected error, drop or mean");
    table_.drop_missing = request.missing == "drop";
    table_.keep_missing = request.missing == "mean";
    table_.input_remedy = missing_remedy(request, false);
    table_.target_remedy = missing_remedy(request, true);
  }

  CsvTable make() {
    if (!request_.groups.empty()) table_.group = group_place();
    if (request_.encoding.empty()) {
      use_asked_columns();
    } else {
      use_columns_of(csv_encoding_of(request_.encoding));
    }
    for (const CsvColumn& column : table_.used) refuse_decimal_comma(column.place);
    return std::move(table_);
  }

 private:
  const std::string& name(std::int64_t place) const { return table_.names[static_cast<std::size_t>(place)]; }

  std::int64_t group_place() const {
    const std::string option = "--validation groups(" + request_.groups + ")";
    try {
      return asked_place(option, std::string(trimmed(request_.groups)));
    } catch (const Error& error) {
      fail(error.kind(), error.what(),
           request_.encoding.empty() ? ""
                                     : "; the model was validated so, say --validation 0 to take all rows");
    }
  }

  void use_asked_columns() {
    const Places inputs = asked(kInputs, request_.inputs);
    Places targets = asked(kTargets, request_.target_columns);
    if (targets.empty() && wants_targets_) targets.push_back(usual_target(inputs));
    for (const std::int64_t place : inputs)
      require(std::find(targets.begin(), targets.end(), place) == targets.end(), ErrorKind::usage,
              "--inputs: column ", place + 1, " (", shown(name(place)), ") of ", path_,
              " is the target; name another by --target-columns, or leave it out of --inputs");
    for (const std::int64_t place : inputs.empty() ? all_but(targets) : inputs)
      table_.used.push_back(found_column(place));
    require(!table_.used.empty(), ErrorKind::data, path_, ": has no column left for the inputs (",
            table_.columns, table_.columns == 1 ? " column" : " columns", " in all, separated by ",
            layout_.separator == ' ' ? "blanks" : shown(std::string_view(&layout_.separator, 1)),
            "); expected inputs beside the target");
    use_targets(targets);
  }

  /// Every column that is no target and no group.
  Places all_but(const Places& targets) const {
    const std::unordered_set<std::int64_t> left_out(targets.begin(), targets.end());
    // The first column of a pandas table has no name: it counts the rows and is no input.
    const bool counts_rows = table_.header && !layout_.columns.front().is_named && table_.columns > 1;
    Places places;
    for (std::int64_t c = counts_rows ? 1 : 0; c < table_.columns; ++c)
      if (!left_out.contains(c) && c != table_.group) places.push_back(c);
    return places;
  }

  void use_columns_of(const CsvEncoding& encoding) {
    const bool by_name = encoding.named && table_.header;
    const bool without = !by_name && table_.columns != encoding.columns;  // targets are not there
    if (without) require_inputs_alone(encoding);
    for (const CsvEncodedColumn& input : encoding.inputs) {
      CsvColumn column;
      column.place = by_name   ? place_of(input.name)
                     : without ? place_without_targets(input, encoding)
                               : input.place;
      // A checkpoint may be made to name a column twice.
      require(column.place >= 0 && column.place < table_.columns, ErrorKind::data, path_, ": has ",
              table_.columns, " columns, and the model's inputs do not lie in them");
      column.categorical = input.categorical;
      column.known = input.categorical;
      column.values = input.categories;
      table_.used.push_back(std::move(column));
    }
    require_same_inputs();
    if (!wants_targets_) return;
    Places targets = asked(kTargets, request_.target_columns);
    if (targets.empty()) {
      require(!without, ErrorKind::data, path_, ": has no target column, only the ", table_.columns,
              " inputs of the model");
      for (const CsvEncodedColumn& target : encoding.targets)
        targets.push_back(by_name ? place_of(target.name) : target.place);
    }
    if (targets.empty()) targets.push_back(usual_target({}));
    use_targets(targets);
  }

  /// --inputs may say once more what the model knows, and nothing else.
  void require_same_inputs() const {
    const Places again = asked(kInputs, request_.inputs);
    const bool same =
        again.empty() || std::equal(again.begin(), again.end(), table_.used.begin(), table_.used.end(),
                                    [](std::int64_t place, const CsvColumn& c) { return place == c.place; });
    std::string trained;
    for (const CsvColumn& column : table_.used) {
      if (trained.size() > 200) break;
      trained += (trained.empty() ? "" : ", ") + shown(name(column.place));
    }
    require(same, ErrorKind::usage, "--inputs ", request_.inputs,
            ": are not the columns that the model was trained with (", trained,
            table_.used.size() > 1 ? ", in this order" : "", "); leave the option out");
  }

  /// A table without targets has the columns that are inputs, or all that are no targets.
  void require_inputs_alone(const CsvEncoding& encoding) const {
    const auto inputs = std::ssize(encoding.inputs);
    const std::int64_t others = encoding.columns - std::ssize(encoding.targets);
    require(table_.columns == inputs || table_.columns == others, ErrorKind::data, path_, ": has ",
            table_.columns, " columns; the model takes ", inputs,
            others == inputs ? "" : text(", ", others, " with those that are no inputs"), ", or ",
            encoding.columns, " with targets",
            table_.header == encoding.named ? ""
                                            : " (columns go by place, as only one of both tables has names)");
  }

  std::int64_t place_without_targets(const CsvEncodedColumn& input, const CsvEncoding& encoding) const {
    const auto before = [&](const std::vector<CsvEncodedColumn>& columns) {
      return std::count_if(columns.begin(), columns.end(),
                           [&](const CsvEncodedColumn& column) { return column.place < input.place; });
    };
    const bool inputs_alone = table_.columns == std::ssize(encoding.inputs);
    return inputs_alone ? before(encoding.inputs) : input.place - before(encoding.targets);
  }

  void refuse_decimal_comma(std::int64_t place) const {
    const CsvHeadColumn& head = layout_.columns[static_cast<std::size_t>(place)];
    require(head.kind != CsvKind::text || !has_decimal_comma(head.value), ErrorKind::data, path_, ": line ",
            head.line, ", column ", place + 1, " ('", head.name, "'): ", shown(head.value),
            " has a comma among its digits; numbers are written as 1234.5");
  }

  std::int64_t place_of(const std::string& wanted) const {
    const auto found = places_.find(wanted);
    require(found != places_.end(), ErrorKind::data, path_, ": line 1: has no column ", shown(wanted),
            ", which the model was trained with", names_there(wanted, table_.names));
    return found->second;
  }

  /// A column as it was found, to be an input or a target.
  CsvColumn found_column(std::int64_t place) const {
    const CsvHeadColumn& head = layout_.columns[static_cast<std::size_t>(place)];
    // Without a value a missing one is an error that names its line when rows are read.
    require(head.kind != CsvKind::unknown || !table_.drop_missing, ErrorKind::data, path_, ": column ",
            place + 1, " (", shown(head.name),
            ") has no value in the first rows, so it cannot be told whether it holds ",
            "numbers; leave the column out by --inputs, or move a row with a value to the front of the file");
    CsvColumn column;
    column.place = place;
    column.categorical = head.kind == CsvKind::text;
    if (head.kind != CsvKind::unknown) column.evidence = text(shown(head.value), " in line ", head.line);
    return column;
  }

  void use_targets(const Places& targets) {
    if (!wants_targets_) return;
    for (const std::int64_t place : targets) {
      CsvColumn column = found_column(place);
      column.target = true;
      if (by_names_of_classes_ && targets.size() == 1) use_class_names(column);
      require(!column.categorical || targets.size() == 1, ErrorKind::usage, "--target-columns: column ",
              place + 1, " (", shown(name(place)), ") of ", path_,
              " holds text; several target columns must hold numbers");
      table_.used.push_back(std::move(column));
    }
  }

  void use_class_names(CsvColumn& column) const {
    column.categorical = true;
    column.known = true;
    column.values = request_.class_names;
    column.or_index = std::none_of(column.values.begin(), column.values.end(), [](const std::string& value) {
      return parse_field(value).kind != FieldKind::text;
    });
  }

  /// A list of columns that an option names.
  Places asked(const std::string& option, std::string_view list) const {
    Places places;
    for (const std::string& word : words_of(list)) {
      places.push_back(asked_place(option, word));
      require(std::count(places.begin(), places.end(), places.back()) == 1, ErrorKind::usage, option,
              ": names column ", places.back() + 1, " twice");
    }
    return places;
  }

  std::int64_t asked_place(const std::string& option, const std::string& word) const {
    const auto named = places_.find(word);
    if (named != places_.end()) return named->second;
    if (word == "last") return table_.columns - 1;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    const bool is_number = error == std::errc() && end == word.data() + word.size();
    require(is_number, ErrorKind::usage, option, ": ", path_, " has no column ", shown(word),
            table_.header ? names_there(word, table_.names)
                          : text("; it has no header, so columns are named by their number from 1 to ",
                                 table_.columns));
    require(number >= 1 && number <= table_.columns, ErrorKind::usage, option, ": ", path_, " has no column ",
            number, "; expected 1 to ", table_.columns);
    return number - 1;
  }

  /// A column with a usual name, else the last; not one of `inputs`.
  std::int64_t usual_target(const Places& inputs) const {
    const auto is_input = [&](std::int64_t place) {
      return place == table_.group || std::find(inputs.begin(), inputs.end(), place) != inputs.end();
    };
    Places usual;
    for (std::int64_t c = 0; c < table_.columns; ++c)
      if (is_usual_target(name(c)) && !is_input(c)) usual.push_back(c);
    require(usual.size() < 2, ErrorKind::usage, "--target-columns: ", path_, " has the columns ",
            usual.empty() ? "" : shown(name(usual.front())), " and ",
            usual.empty() ? "" : shown(name(usual.back())), "; say which is the target");
    if (!usual.empty()) return usual.front();
    const std::int64_t last = table_.columns - 1;
    require(!is_input(last), ErrorKind::usage, "--target-columns: the last column of ", path_, " (",
            shown(name(last)),
            ") is one of --inputs or that of the groups, and no other is called target, label, class or y; ",
            "say which is the target");
    return last;
  }

  const std::string& path_;
  const CsvLayout& layout_;
  const Request& request_;
  bool wants_targets_;
  bool by_names_of_classes_;
  CsvTable table_;
  std::unordered_map<std::string, std::int64_t> places_;  ///< by name, with a header
};

}  // namespace

std::vector<std::string> words_of(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    words.emplace_back(trimmed(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return words;
}

CsvTable csv_table(const std::string& path, const CsvLayout& layout, const Request& request, Task task) {
  return TableMaker(path, layout, request, task).make();
}

void fail_at(const std::string& path, const CsvTable& table, const CsvFault& fault) {
  std::string column;
  if (fault.column >= 0) {
    column = text(", column ", fault.column + 1);
    if (table.header && fault.column < table.columns)
      column += text(" (", shown(table.names[static_cast<std::size_t>(fault.column)]), ")");
  }
  fail(ErrorKind::data, path, ": line ", fault.line, column, ": ", fault.what);
}

}  // namespace trainer::data
