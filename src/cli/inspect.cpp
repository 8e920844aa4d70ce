#include <filesystem>
#include <sstream>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/cli/commands.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::cli {
namespace {

namespace fs = std::filesystem;
using checkpoint::Attributes;
using checkpoint::Checkpoint;

std::string value_text(std::int64_t value) { return std::to_string(value); }
std::string value_text(double value) { return format_number(value); }
std::string value_text(const std::string& value) { return value; }
template <class T>
std::string value_text(const std::vector<T>& values) {
  std::string list;
  for (const T& value : values) list += (list.empty() ? "" : " ") + value_text(value);
  return list;
}

std::string attribute_text(const checkpoint::Attribute& attribute) {
  return std::visit([](const auto& value) { return value_text(value); }, attribute);
}

void print_all(std::ostream& out, const std::string& prefix, const Attributes& attributes) {
  for (const auto& [name, value] : attributes) out << prefix << name << ' ' << attribute_text(value) << '\n';
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string result;
  for (const std::int64_t size : shape) result += (result.empty() ? "" : " x ") + std::to_string(size);
  return result.empty() ? "1" : result;
}

/// Batch norm's running statistics are part of the model but are not trained.
bool is_trained(const std::string& path) { return path.find("/running_") == std::string::npos; }

void print_tensors(std::ostream& out, const Checkpoint& file) {
  std::int64_t parameters = 0;
  for (const checkpoint::Tensor& tensor : file.model) {
    out << "/model/" << tensor.path << ' ' << shape_text(tensor.shape) << '\n';
    if (is_trained(tensor.path)) parameters += static_cast<std::int64_t>(tensor.values.size());
  }
  out << "parameters " << parameters << '\n';
}

void print_last_metrics(std::ostream& out, const Checkpoint& file) {
  for (const auto& [column, values] : file.history) {
    if (!values.empty()) out << "metrics." << column << ' ' << format_number(values.back()) << '\n';
  }
}

Checkpoint read_for_inspection(const fs::path& path, bool verify, std::string& digest) {
  digest = "good";
  try {
    return checkpoint::read(path);
  } catch (const Error& error) {
    if (verify) throw;
    digest = text("bad: ", error.what());
  }
  return checkpoint::read(path, checkpoint::Check::contents);
}

}  // namespace

std::string inspect_text(const std::string& file, bool verify) {
  const fs::path path = fs::is_directory(file) ? fs::path(file) / "best.h5" : fs::path(file);
  std::string digest;
  const Checkpoint content = read_for_inspection(path, verify, digest);
  std::ostringstream out;
  out << "file " << path.string() << '\n';
  print_all(out, "", content.root);
  print_all(out, "model.", content.model_attributes);
  print_tensors(out, content);
  print_all(out, "scaling.", content.scaling_attributes);
  print_all(out, "optimizer.", content.optimizer_attributes);
  print_all(out, "progress.", content.progress);
  print_last_metrics(out, content);
  out << "digest " << digest << '\n';
  return out.str();
}

}  // namespace trainer::cli
