#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "trainer/cli/commands.h"
#include "trainer/comm/host.h"
#include "trainer/core/error.h"
#include "trainer/core/grammar.h"

namespace trainer::cli {
namespace {

/// The processors that this rank may call its own. Ranks that are not bound share one set of processors.
int own_share_of_processors() {
  const int mine = comm::cpus_of_process();
  const int ranks = std::max(1, comm::ranks_on_node());
  const int share = comm::bound_by_launcher() ? std::min(mine, comm::cpus_of_node() / ranks) : mine / ranks;
  return std::max(1, share);
}

bool needs_quotes(const std::string& word) {
  return word.empty() || !std::all_of(word.begin(), word.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view("-_./,:=+@%").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

std::string quoted(const std::string& word) {
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

}  // namespace

int resolve_threads(const train::Configuration& configuration) {
  if (configuration.threads > 0) return static_cast<int>(configuration.threads);
  const char* variable = std::getenv("OMP_NUM_THREADS");
  if (variable == nullptr || *variable == '\0') return own_share_of_processors();
  const std::string text = variable;
  // A list sets nested levels; ours is the first.
  const std::optional<std::int64_t> threads = parse_integer(text.substr(0, text.find(',')));
  require(threads && *threads >= 1 && *threads <= 4096, ErrorKind::usage, "OMP_NUM_THREADS: \"", text,
          "\" is not a whole number from 1 to 4096");
  return static_cast<int>(*threads);
}

void limit_instruction_set(const train::Configuration& configuration) {
  if (!configuration.isa.empty()) ::setenv("ONEDNN_MAX_CPU_ISA", configuration.isa.c_str(), 1);
}

std::string shell_text(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) {
    result += (result.empty() ? "" : " ") + (needs_quotes(word) ? quoted(word) : word);
  }
  return result;
}

}  // namespace trainer::cli
