// Configuration files and command lines. An input is the text of a file, or, after a first byte of 1, a
// command line whose words are lines.

#include <sstream>

#include "fuzz_target.h"
#include "scratch_file.h"
#include "trainer/cli/command_line.h"
#include "trainer/cli/config_file.h"

using namespace trainer;
using namespace trainer::cli;

namespace {

/// What is written of a configuration reads back the same.
void check_round_trip(const CommandLine& line) {
  const std::string written = config_text(line.configuration, {}, "comment");
  CommandLine again;
  if (!accepted([&] { apply_config(parse_config(written, "again"), again); }))
    std::fprintf(stderr, "%s", written.c_str());
  else if (config_text(again.configuration, {}, "comment") == written)
    return;
  must(false, "a written configuration reads back the same");
}

void config(const std::string& text) {
  const ScratchFile file(text);
  CommandLine line;
  apply_config(read_config(file.path()), line);
  check_round_trip(line);
  require_same_bits("run", text, config_text(line.configuration, {}, ""));
}

void command_line(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream lines(text);
  for (std::string word; std::getline(lines, word);) {
    if (word.starts_with("--config")) return;  // other files are no part of the input
    words.push_back(word);
  }
  check_round_trip(parse_command_line(words));
}

}  // namespace

std::vector<std::string> trainer::fuzz_seeds() {
  std::string everything;
  CommandLine line;
  for (const Option& option : option_table()) {
    const std::string value = option.get(line);
    if (option.belongs_to(Command::train) && !value.empty() && option.name != "config")
      everything += option.name + " = " + value + "\n";
  }
  return {
      everything,
      "# a run\n\ndata = mnist\nmodel = dense(512) relu dense(outputs)\nlr = 1e-3\n; more\nbatch = full\n",
      "\xef\xbb\xbf"
      "epochs = 3\r\ntime-limit = 1-00:00:00\r\nmemory-limit = 1 GiB\r\nvalidation = 0.1\r\n",
      "\x01train\n--data\nmnist\n--epochs\n3\n--quiet\n",
      "\x01resume\nruns/x\n--threads\n2\n",
      "\x01--lr=0.1\n--goal\nval_accuracy>=0.9\n--class-weights\n1,2,3\n--evaluate-every\n0.5 epochs\n",
      "\x01predict\nm.h5\n--data\nx.csv\n--out\ny.h5\n--samples\n4\n",
      "\x01"
      "evaluate\na.h5\nb.h5\n--data\nd\n--split\ntest\n--out\nf.json\n"};
}
std::vector<std::string> trainer::fuzz_tokens() {
  std::vector<std::string> tokens = {"=",      "\n",    "#",    ";",    "\r",         "--",
                                     "true",   "false", "-1",   "0",    "nan",        "1e308",
                                     "1e-320", "inf",   "none", "auto", "full",       "9223372036854775808",
                                     "\"",     "[a]",   "GiB",  "%",    "1-00:00:00", "min"};
  for (const Option& option : option_table()) {
    tokens.push_back(option.name);
    tokens.push_back("\n" + option.name + " = ");
    tokens.push_back("\n--" + option.name + "\n");
  }
  return tokens;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  accepted([&] { text.starts_with('\x01') ? command_line(text.substr(1)) : config(text); });
  return 0;
}
