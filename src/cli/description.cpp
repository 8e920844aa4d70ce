#include "description.h"

#include <boost/program_options/value_semantic.hpp>

namespace trainer::cli {
namespace {

namespace po = boost::program_options;

constexpr unsigned kColumns = 100;

po::value_semantic* semantic(const Option& option) {
  po::typed_value<std::string>* value = po::value<std::string>();
  if (option.is_boolean()) return value->value_name("[BOOL]")->implicit_value("true", "");
  return value->value_name(option.placeholder);
}

/// Marks tell what may change at resume: they mean nothing to other commands.
std::string mark(const Option& option, Command command) {
  if (command != Command::train && command != Command::resume) return "";
  if (option.effect == Effect::bits) return " [bits]";
  return option.effect == Effect::free ? " [free]" : "";
}

std::string printed_help(const Option& option, Command command) {
  std::string help = option.help;
  if (!option.default_text.empty() && option.effect != Effect::none) help += " (" + option.default_text + ")";
  if (!option.alias.empty()) help += "; also --" + option.alias;
  return help + mark(option, command);
}

}  // namespace

po::options_description parser_description(Command command) {
  po::options_description all;
  for (const Option& option : option_table()) {
    if (!option.belongs_to(command)) continue;
    all.add_options()(option.name.c_str(), semantic(option), "");
    if (!option.alias.empty()) all.add_options()(option.alias.c_str(), semantic(option), "");
  }
  return all;
}

po::options_description printed_description(Command command) {
  po::options_description all(kColumns, kColumns / 2);
  std::vector<std::string> groups;
  for (const Option& option : option_table()) {
    if (groups.empty() || groups.back() != option.group) groups.push_back(option.group);
  }
  for (const std::string& group : groups) {
    po::options_description part(group, kColumns, kColumns / 2);
    for (const Option& option : option_table()) {
      if (option.group != group || !option.belongs_to(command)) continue;
      part.add_options()(option.name.c_str(), semantic(option), printed_help(option, command).c_str());
    }
    if (!part.options().empty()) all.add(part);
  }
  return all;
}

}  // namespace trainer::cli
