#include "csv_target.h"

#include <algorithm>

#include "csv_encoding.h"
#include "csv_field.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

/// What the targets of `data` are, of which the columns, categories and rows are known.
class TargetFacts {
 public:
  TargetFacts(const CsvData& data, const CsvFindings& findings, Task task)
      : data_(data), findings_(findings), task_(task) {}

  void put(DataFacts& facts) const {
    const std::vector<CsvColumn>& used = data_.table.used;
    const auto count = std::count_if(used.begin(), used.end(), [](const CsvColumn& c) { return c.target; });
    facts.kind = TargetKind::none;
    if (count == 0) return;
    const CsvColumn& column = used.back();
    facts.kind = TargetKind::values;
    facts.targets = count;
    if (count > 1) return;
    if (column.categorical) {
      require(task_ != Task::regression, ErrorKind::usage, "--task: regression does not fit the target ",
              place(column), ", which holds text (", column.evidence, "); name another by --target-columns");
      facts.kind = TargetKind::classes;
      facts.targets = std::ssize(column.values);
      facts.class_names = column.values;
    } else if (is_class(column, findings_.targets[used.size() - 1])) {
      facts.kind = TargetKind::classes;
      facts.targets = 0;
    }
  }

 private:
  std::string place(const CsvColumn& column) const {
    return text("column ", column.place + 1, " (",
                shown(data_.table.names[static_cast<std::size_t>(column.place)]), ") of ",
                data_.files.front().path);
  }

  bool is_class(const CsvColumn& column, const CsvTargetFacts& found) const {
    constexpr double kMostGuessed = 1000;
    constexpr double kMostClasses = 1'000'000;
    if (task_ == Task::regression) return false;
    if (task_ == Task::classification) {
      require(!found.fractions && found.least >= 0 && found.greatest < kMostClasses, ErrorKind::data,
              "--task: classification does not fit the target ", place(column), ", whose values go from ",
              found.least, " to ", found.greatest, found.fractions ? " with fractions" : "",
              "; classes are integers from 0 to 999,999, or texts");
      return true;
    }
    if (found.fractions) return false;
    require(found.written_whole && found.least == 0 && found.greatest < kMostGuessed, ErrorKind::usage,
            "--task: the target ", place(column), " holds integers from ", found.least, " to ",
            found.greatest, found.written_whole ? "" : ", written like 1.0",
            "; they may be classes or numbers, say --task classification or --task regression");
    return true;
  }

  const CsvData& data_;
  const CsvFindings& findings_;
  Task task_;
};

}  // namespace

Task csv_task(const Request& request) {
  const Task asked = task_of(request.task);
  if (asked != Task::unsaid || request.encoding.empty()) return asked;
  const CsvEncoding known = csv_encoding_of(request.encoding);
  if (known.targets.empty()) return asked;
  return known.classes ? Task::classification : Task::regression;
}

void put_target_facts(const CsvData& data, const CsvFindings& findings, Task task, DataFacts& facts) {
  TargetFacts(data, findings, task).put(facts);
}

}  // namespace trainer::data
