#include "details.h"

#include "trainer/core/grammar.h"
#include "trainer/data/encoding.h"
#include "trainer/report/csv.h"

namespace trainer::train {
namespace {

/// The data's own names; the numbers of the classes where it has none.
std::vector<std::string> class_names(const Measured& measured, const data::DataFacts& facts) {
  const std::size_t classes = measured.class_rows.size();
  if (facts.class_names.size() == classes) return facts.class_names;
  std::vector<std::string> names;
  for (std::size_t c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  return names;
}

/// Empty where they are not known.
std::vector<std::string> output_names(const Measured& measured, const data::DataFacts& facts) {
  return data::target_names(facts.encoding, static_cast<std::int64_t>(measured.rmse.size()));
}

/// A name in one line.
std::string in_a_line(std::string name) {
  for (char& c : name)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return name;
}

using OfClass = double (Measured::*)(std::size_t) const;
constexpr std::pair<const char*, OfClass> kOfClass[] = {
    {"precision", &Measured::precision}, {"recall", &Measured::recall}, {"f1", &Measured::f1}};
using OfOutput = std::vector<double> Measured::*;
constexpr std::pair<const char*, OfOutput> kOfOutput[] = {
    {"rmse", &Measured::rmse}, {"mae", &Measured::mae}, {"r2", &Measured::r2}};

}  // namespace

void add_details(report::JsonObject& json, const std::string& prefix, const Measured& measured,
                 const data::DataFacts& facts) {
  if (!measured.class_rows.empty()) {
    report::JsonObject classes;
    classes.add("name", class_names(measured, facts)).add("rows", measured.class_rows);
    for (const auto& [name, of_class] : kOfClass) {
      std::vector<double> values;
      for (std::size_t c = 0; c < measured.class_rows.size(); ++c) values.push_back((measured.*of_class)(c));
      classes.add(name, values);
    }
    json.add(prefix + "classes", classes);
  }
  if (measured.rmse.empty()) return;
  report::JsonObject outputs;
  if (const auto names = output_names(measured, facts); !names.empty()) outputs.add("name", names);
  for (const auto& [name, of_output] : kOfOutput) outputs.add(name, measured.*of_output);
  json.add(prefix + "outputs", outputs);
}

void add_confusion(report::JsonObject& json, const Measured& measured) {
  if (measured.confusion.empty()) return;
  json.add("confusion", measured.confusion, static_cast<std::int64_t>(measured.class_rows.size()));
}

std::string detail_lines(const Measured& measured, const data::DataFacts& facts) {
  std::string lines;
  const std::size_t classes = measured.class_rows.size();
  if (facts.class_names.size() == classes)
    for (std::size_t c = 0; c < classes; ++c)
      lines += text("class_", c, " ", in_a_line(facts.class_names[c]), "\n");
  const std::vector<std::string> outputs = output_names(measured, facts);
  for (std::size_t k = 0; k < outputs.size(); ++k)
    lines += text("target_", k, " ", in_a_line(outputs[k]), "\n");
  for (const auto& [name, of_class] : kOfClass)
    for (std::size_t c = 0; c < classes; ++c)
      lines += text(name, "_", c, " ", format_number((measured.*of_class)(c)), "\n");
  for (const auto& [name, of_output] : kOfOutput)
    for (std::size_t k = 0; k < (measured.*of_output).size(); ++k)
      lines += text(name, "_", k, " ", format_number((measured.*of_output)[k]), "\n");
  if (classes > 20) return lines;
  for (std::size_t i = 0; i < measured.confusion.size(); ++i)
    lines += text("confusion_", i / classes, "_", i % classes, " ", measured.confusion[i], "\n");
  return lines;
}

void write_confusion(const std::string& path, const Measured& measured, const data::DataFacts& facts) {
  const std::vector<std::string> names = class_names(measured, facts);
  std::vector<std::string> columns = {"true"};
  columns.insert(columns.end(), names.begin(), names.end());
  report::CsvFile file = report::CsvFile::create(path, columns);
  for (std::size_t c = 0; c < names.size(); ++c) {
    const auto begin = measured.confusion.begin() + static_cast<std::ptrdiff_t>(c * names.size());
    std::vector<report::CsvCell> cells = {names[c]};
    cells.insert(cells.end(), begin, begin + static_cast<std::ptrdiff_t>(names.size()));
    file.append(cells);
  }
  file.flush();
}

}  // namespace trainer::train
