#include "csv.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <utility>

#include "csv_encoding.h"
#include "csv_field.h"
#include "csv_file.h"
#include "csv_layout.h"
#include "csv_plan.h"
#include "csv_scan.h"
#include "csv_source.h"
#include "csv_target.h"
#include "files.h"
#include "pack.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPieceBytes = 4 << 20;

/// The name that a file and its compressed form share, without folders.
std::string packed(const CsvLayout& layout) {
  Packer out;
  out.put(layout.separator);
  out.put(layout.header);
  out.put(std::ssize(layout.columns));
  for (const CsvHeadColumn& column : layout.columns) {
    out.put(column.is_named);
    out.put_text(column.name);
    out.put(column.kind);
    out.put_text(column.value);
    out.put(column.line);
  }
  return std::move(out).bytes();
}

CsvLayout layout_of(const std::string& bytes) {
  Unpacker in(bytes);
  CsvLayout layout;
  layout.separator = in.get<char>();
  layout.header = in.get<bool>();
  layout.columns.resize(static_cast<std::size_t>(in.get<std::ptrdiff_t>()));
  for (CsvHeadColumn& column : layout.columns) {
    column.is_named = in.get<bool>();
    column.name = in.get_text();
    column.kind = in.get<CsvKind>();
    column.value = in.get_text();
    column.line = in.get<std::int64_t>();
  }
  return layout;
}

/// What `look` finds in a file; a row at fault becomes Error(data).
template <class Look>
auto in_file(const std::string& path, const Look& look) {
  try {
    return look(CsvFile(path));
  } catch (const CsvFault& fault) {
    fail_at(path, {}, fault);
  }
}

/// Those of --inputs that can only be names.
std::vector<std::string> named_inputs(const Request& request) {
  std::vector<std::string> words = words_of(request.inputs);
  std::erase_if(words, [](const std::string& word) {
    return word.empty() || word == "last" || word.find_first_not_of("0123456789") == word.npos;
  });
  return words;
}

CsvLayout share_layout(const std::string& path, const Request& request, const ShareWork& share) {
  std::vector<std::string> names = named_inputs(request);
  if (!request.encoding.empty())
    for (const CsvEncodedColumn& column : csv_encoding_of(request.encoding).inputs)
      if (!column.name.empty()) names.push_back(column.name);
  const auto look = [&](const CsvFile& file) { return packed(read_layout(file, names)); };
  return layout_of(share(1, [&](std::int64_t) { return in_file(path, look); }).front());
}

std::vector<CsvFileFacts> share_files(const std::vector<std::string>& paths, const CsvLayout& layout,
                                      const ShareWork& share) {
  struct Found {
    std::int64_t bytes;
    bool compressed;
    CsvBegin begin;
  };
  const auto look = [&](const CsvFile& file) {
    Packer out;
    out.put(Found{file.bytes(), file.is_compressed(), rows_begin(file, layout)});
    return std::move(out).bytes();
  };
  const std::vector<std::string> results = share(
      std::ssize(paths), [&](std::int64_t f) { return in_file(paths[static_cast<std::size_t>(f)], look); });
  std::vector<CsvFileFacts> files;
  for (std::size_t f = 0; f < paths.size(); ++f) {
    const auto found = Unpacker(results[f]).get<Found>();
    files.push_back({paths[f], found.bytes, found.compressed, found.begin});
  }
  return files;
}

std::string encoding_of(const CsvTable& table, TargetKind kind) {
  CsvEncoding encoding{
      .columns = table.columns, .named = table.header, .classes = kind == TargetKind::classes};
  for (const CsvColumn& column : table.used) {
    const std::string name = table.header ? table.names[static_cast<std::size_t>(column.place)] : "";
    if (column.target) {
      encoding.targets.push_back({.place = column.place, .name = name});
    } else {
      encoding.inputs.push_back({column.place, name, column.categorical, column.values});
    }
  }
  return text_of(encoding);
}

/// A column of text that (almost) counts the rows says nothing of other rows.
void refuse_names_of_rows(const CsvData& data, std::int64_t rows) {
  constexpr std::int64_t kFew = 20;
  const CsvTable& table = data.table;
  const auto counts_rows = [&](const CsvColumn& column) {
    const std::int64_t categories = std::ssize(column.values);
    return column.categorical && !column.known && !column.target && categories > kFew &&
           2 * categories > rows;
  };
  const auto found = std::ranges::find_if(table.used, counts_rows);
  if (found == table.used.end()) return;
  const auto name = [&](const CsvColumn& column) {
    return table.header ? table.names[static_cast<std::size_t>(column.place)] : text(column.place + 1);
  };
  constexpr std::size_t kMostShown = 100;
  std::string others;
  for (const CsvColumn& column : table.used)
    if (!column.target && !counts_rows(column)) others += (others.empty() ? "" : ", ") + name(column);
  fail(ErrorKind::data, data.files.front().path, ": column ", found->place + 1, " (",
       shown(table.names[static_cast<std::size_t>(found->place)]), ") holds text (", found->evidence, ") of ",
       found->values.size(), " categories in ", rows,
       " rows: what names single rows is no input; leave it out",
       others.empty()                ? ", and no input is left"
       : others.size() <= kMostShown ? text(" with --inputs \"", others, "\"")
                                     : " with --inputs, a list of the other columns");
}

/// Source::groups of the one column that was asked for.
std::function<std::vector<std::int64_t>(const std::string&)> groups_of(const std::string& column,
                                                                       std::vector<std::int32_t> groups) {
  const auto all = std::make_shared<const std::vector<std::int32_t>>(std::move(groups));
  return [column, all](const std::string& path) -> std::vector<std::int64_t> {
    require(path == column, ErrorKind::internal, "groups(", path, ") were not read, but groups(", column,
            ")");
    return {all->begin(), all->end()};
  };
}

std::string data_name(const std::vector<std::string>& paths) {
  if (paths.size() == 1) return fs::path(plain_name(paths.front())).stem().string();
  return fs::absolute(paths.front()).lexically_normal().parent_path().filename().string();
}

/// Where the data is and how it was understood, for people. `chosen`: --inputs says which columns are used.
std::string origin_of(const CsvData& data, const CsvFindings& findings, bool chosen) {
  const CsvTable& table = data.table;
  std::string out = data.files.front().path;
  if (data.files.size() > 1) out += text(" and ", data.files.size() - 1, " more");
  out += text(" (", table.header ? "a header, " : "no header, ", table.columns, " columns separated by ",
              table.separator == ' '    ? "blanks"
              : table.separator == '\t' ? "tabs"
                                        : shown(std::string_view(&table.separator, 1)));
  const auto categorical = std::count_if(table.used.begin(), table.used.end(), [](const CsvColumn& column) {
    return column.categorical && !column.target;
  });
  if (categorical > 0) out += text(", ", categorical, " of them categories");
  const char* word = ", target ";
  if (chosen) {
    constexpr std::size_t kMostShown = 100;
    const char* before = ", inputs ";
    for (const CsvColumn& column : table.used) {
      if (column.target) continue;
      if (out.size() > kMostShown + data.files.front().path.size()) {
        out += ", ...";
        break;
      }
      out += before + shown(table.names[static_cast<std::size_t>(column.place)]);
      before = ", ";
    }
  }
  for (const CsvColumn& column : table.used) {
    if (!column.target) continue;
    out += word + shown(table.names[static_cast<std::size_t>(column.place)]);
    word = ", ";
  }
  if (findings.dropped > 0) out += text(", ", findings.dropped, " rows with missing values left out");
  return out + ")";
}

}  // namespace

bool is_csv(const std::string& path) {
  const std::string name = plain_name(path);
  constexpr std::array kEndings{".csv", ".tsv", ".txt", ".dat"};
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](const char* ending) { return name.ends_with(ending); });
}

Plan csv_plan_in_pieces(const std::vector<std::string>& paths, const Request& request, const ShareWork& share,
                        std::int64_t piece_bytes) {
  const CsvLayout layout = share_layout(paths.front(), request, share);
  const Task task = csv_task(request);
  CsvData data;
  data.table = csv_table(paths.front(), layout, request, task);
  data.files = share_files(paths, layout, share);
  CsvFindings findings = scan_csv(data.files, data.table, piece_bytes, share);
  require(findings.rows > 0, ErrorKind::data, paths.front(),
          findings.dropped > 0 ? text(": all ", findings.dropped, " rows lack a value (--missing drop)")
                               : text(": holds no row of data", layout.header ? ", only a header" : ""));
  data.marks = std::move(findings.marks);
  for (std::size_t i = 0; i < data.table.used.size(); ++i) {
    CsvColumn& column = data.table.used[i];
    if (!column.categorical || column.known) continue;
    column.values = findings.categories[i];
  }
  refuse_names_of_rows(data, findings.rows);
  for (CsvColumn& column : data.table.used) column.known = column.known || column.categorical;
  DataFacts& facts = data.facts;
  facts.name = data_name(paths);
  facts.rows = findings.rows;
  facts.features = csv_features(data.table);
  facts.feature_shape = {facts.features};
  facts.element_type = "float32";
  put_target_facts(data, findings, task, facts);
  facts.encoding = encoding_of(data.table, facts.kind);

  if (!findings.targets.empty()) data.greatest_class = findings.targets.back().greatest;

  Plan plan;
  plan.task = task_of(request.task);
  plan.origin = origin_of(data, findings, !request.inputs.empty());
  plan.class_names = facts.class_names;
  std::string identity;
  for (const CsvFileFacts& file : data.files) {
    identity += plain_name(file.path) + "\n";
    plan.visible += text(fs::path(file.path).filename().string(), ": ", file.bytes, " bytes\n");
  }
  plan.splits.push_back(csv_source(std::move(data)));
  if (!request.groups.empty())
    plan.splits.front().groups = groups_of(request.groups, std::move(findings.groups));
  plan.splits.front().identity = identity + plan.splits.front().facts.encoding;
  return plan;
}

Plan csv_plan(const std::vector<std::string>& paths, const Request& request, const ShareWork& share) {
  return csv_plan_in_pieces(paths, request, share, kPieceBytes);
}

}  // namespace trainer::data
