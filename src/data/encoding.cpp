#include "trainer/data/encoding.h"

#include "csv_encoding.h"
#include "csv_table.h"
#include "hdf5_encoding.h"
#include "trainer/core/error.h"

namespace trainer::data {
namespace {

std::vector<std::string> names_in(const std::string& encoding) {
  if (is_hdf5_encoding(encoding)) {
    Request request;
    take_hdf5_encoding(encoding, request);
    if (request.targets.find('[') != std::string::npos) return {};  // a part of a data set
    return words_of(request.targets);
  }
  const CsvEncoding csv = csv_encoding_of(encoding);
  std::vector<std::string> names;
  for (const CsvEncodedColumn& column : csv.targets)
    if (csv.named) names.push_back(column.name);
  return names;
}

}  // namespace

std::vector<std::string> input_names(const std::string& encoding, std::int64_t features) {
  if (encoding.empty() || is_hdf5_encoding(encoding)) return {};
  try {
    std::vector<std::string> names;
    const CsvEncoding csv = csv_encoding_of(encoding);
    for (const CsvEncodedColumn& column : csv.inputs) {
      const std::string name = csv.named ? column.name : text("column ", column.place + 1);
      if (!column.categorical) names.push_back(name);
      for (const std::string& category : column.categories) names.push_back(text(name, " = ", category));
    }
    if (std::ssize(names) == features) return names;
  } catch (const Error&) {  // names are not worth an end
  }
  return {};
}

std::vector<std::string> target_names(const std::string& encoding, std::int64_t targets) {
  if (encoding.empty()) return {};
  try {
    std::vector<std::string> names = names_in(encoding);
    if (std::ssize(names) == targets) return names;
  } catch (const Error&) {  // names are not worth an end
  }
  return {};
}

}  // namespace trainer::data
