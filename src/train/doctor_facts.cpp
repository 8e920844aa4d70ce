#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "trainer/comm/host.h"
#include "trainer/core/digest.h"
#include "trainer/core/grammar.h"
#include "trainer/h5/version.h"
#include "trainer/nn/onednn_facts.h"
#include "trainer/train/doctor.h"

#ifdef __clang__
#define TRAINER_COMPILER "Clang " __VERSION__
#else
#define TRAINER_COMPILER "GCC " __VERSION__
#endif

namespace trainer::train {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::string program_digest() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  Digest digest;
  std::vector<char> piece(std::size_t{1} << 20);
  while (file) {
    file.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    digest.add(piece.data(), static_cast<std::size_t>(file.gcount()));
  }
  return digest.hex();
}

std::string build_text() {
  const std::string mpi = comm::mpi_library_version();
  return text(TRAINER_COMPILER, ", oneDNN ", nn::onednn_version(), ", ", mpi.substr(0, mpi.find(',')),
              ", HDF5 ", h5::hdf5_version());
}

}  // namespace

RankFacts facts_here(int node, int threads) {
  RankFacts facts;
  facts.host = comm::host_name();
  facts.node = node;
  facts.processors = comm::processors_of_process();
  const std::vector<int> offered = comm::processors_of_launcher();
  facts.available_processors = static_cast<int>(offered.size());
  facts.available_cores = comm::cores_among(offered);
  const int lent = comm::cpus_lent_by_slurm();
  if (lent > 0 && lent < facts.available_processors) {
    facts.available_cores = std::max(1, facts.available_cores * lent / facts.available_processors);
    facts.available_processors = std::max(lent, static_cast<int>(facts.processors.size()));
  }
  facts.online_processors = comm::cpus_of_node();
  facts.quota = comm::processor_quota();
  facts.threads = threads;
  facts.launcher = comm::launcher();
  facts.processor = comm::processor_model();
  facts.isa = nn::onednn_isa();
  facts.build = build_text();
  facts.program = program_digest();
  facts.free_memory_bytes = comm::available_memory_bytes();
  facts.held_memory_bytes = comm::private_memory_bytes();
  facts.omp_num_threads = variable("OMP_NUM_THREADS");
  facts.omp_proc_bind = variable("OMP_PROC_BIND");
  return facts;
}

std::string facts_text(const RankFacts& f) {
  return text("host ", one_line(f.host), "\nnode ", f.node, "\nprocessors ", comm::list_text(f.processors),
              "\navailable_processors ", f.available_processors, "\navailable_cores ", f.available_cores,
              "\nonline_processors ", f.online_processors, "\nquota ", format_number(f.quota), "\nthreads ",
              f.threads, "\nlauncher ", f.launcher, "\nprocessor ", one_line(f.processor), "\nisa ",
              one_line(f.isa), "\nbuild ", one_line(f.build), "\nprogram ", f.program, "\nfree_memory_bytes ",
              f.free_memory_bytes, "\nheld_memory_bytes ", f.held_memory_bytes, "\nomp_num_threads ",
              one_line(f.omp_num_threads), "\nomp_proc_bind ", one_line(f.omp_proc_bind), "\n");
}

RankFacts parse_facts(const std::string& source) {
  std::map<std::string, std::string> values;
  std::istringstream lines(source);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t blank = line.find(' ');
    require(blank != std::string::npos, ErrorKind::internal, "no line of facts: \"", line, "\"");
    values[line.substr(0, blank)] = line.substr(blank + 1);
  }
  const auto word = [&](const char* name) {
    const auto found = values.find(name);
    require(found != values.end(), ErrorKind::internal, "the facts of a rank lack ", name);
    return found->second;
  };
  const auto whole = [&](const char* name) {
    const auto number = parse_integer(word(name));
    require(number.has_value(), ErrorKind::internal, "the facts of a rank: ", name, " is ", word(name));
    return *number;
  };
  const auto quota = parse_number(word("quota"));
  require(quota.has_value(), ErrorKind::internal, "the facts of a rank: quota is ", word("quota"));
  return {.host = word("host"),
          .node = static_cast<int>(whole("node")),
          .processors = comm::parse_list(word("processors")),
          .available_processors = static_cast<int>(whole("available_processors")),
          .available_cores = static_cast<int>(whole("available_cores")),
          .online_processors = static_cast<int>(whole("online_processors")),
          .quota = *quota,
          .threads = static_cast<int>(whole("threads")),
          .launcher = word("launcher"),
          .processor = word("processor"),
          .isa = word("isa"),
          .build = word("build"),
          .program = word("program"),
          .free_memory_bytes = whole("free_memory_bytes"),
          .held_memory_bytes = whole("held_memory_bytes"),
          .omp_num_threads = word("omp_num_threads"),
          .omp_proc_bind = word("omp_proc_bind")};
}

std::vector<RankFacts> gather_facts(const comm::Communicator& world, int threads) {
  const auto ranks_of_node = world.node().all_gather(static_cast<std::int64_t>(world.rank()));
  const auto node = static_cast<int>(*std::min_element(ranks_of_node.begin(), ranks_of_node.end()));
  std::vector<RankFacts> all;
  for (const std::string& one : world.all_gather(facts_text(facts_here(node, threads))))
    all.push_back(parse_facts(one));
  return all;
}

}  // namespace trainer::train
