#include "trainer/train/doctor.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "doctor_folder.h"
#include "trainer/comm/agreement.h"
#include "trainer/comm/host.h"
#include "trainer/core/grammar.h"
#include "trainer/train/self_test.h"

namespace trainer::train {
namespace {

/// "vm", or "n001 and 15 more".
std::string hosts_text(const std::vector<RankFacts>& facts) {
  std::set<std::string> hosts;
  for (const RankFacts& f : facts) hosts.insert(f.host);
  return hosts.size() == 1 ? *hosts.begin()
                           : text(facts.front().host, " and ", hosts.size() - 1, " more hosts");
}

std::string padded(const std::string& word, std::size_t width) {
  return word + std::string(word.size() < width ? width - word.size() : 0, ' ') + "  ";
}

/// Rows of cells as columns of the width that they need.
std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string lines;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) line += padded(row[c], widths[c]);
    line.resize(line.find_last_not_of(' ') + 1);
    lines += line + "\n";
  }
  return lines;
}

/// Different values of the ranks of a node, in their order: "0-1 | 2-3", cut where it gets long.
template <class Value>
std::string values_text(const std::vector<RankFacts>& facts, const std::vector<int>& ranks,
                        const Value& value) {
  constexpr std::size_t kMost = 4;
  std::vector<std::string> different;
  for (const int rank : ranks) {
    const std::string one = value(facts[static_cast<std::size_t>(rank)]);
    if (std::find(different.begin(), different.end(), one) == different.end()) different.push_back(one);
  }
  std::string all;
  for (std::size_t k = 0; k < std::min(kMost, different.size()); ++k)
    all += (k == 0 ? "" : " | ") + (different[k].empty() ? "?" : different[k]);
  return different.size() > kMost ? all + " | ..." : all;
}

std::string table_of(const std::vector<RankFacts>& facts) {
  constexpr std::size_t kMostNodes = 64;
  std::map<int, std::vector<int>> nodes;
  for (std::size_t rank = 0; rank < facts.size(); ++rank)
    nodes[facts[rank].node].push_back(static_cast<int>(rank));
  std::vector<std::vector<std::string>> rows = {
      {"host", "ranks", "threads", "may run on", "bound", "cores", "processors", "limit", "free memory"}};
  for (const auto& [first, ranks] : nodes) {
    if (rows.size() > kMostNodes) break;
    const RankFacts& f = facts[static_cast<std::size_t>(first)];
    rows.push_back(
        {f.host, comm::list_text(ranks),
         values_text(facts, ranks, [](const RankFacts& one) { return std::to_string(one.threads); }),
         values_text(facts, ranks, [](const RankFacts& one) { return comm::list_text(one.processors); }),
         values_text(facts, ranks, [](const RankFacts& one) { return one.is_bound() ? "yes" : "no"; }),
         std::to_string(f.available_cores),
         f.available_processors == f.online_processors
             ? std::to_string(f.online_processors)
             : text(f.available_processors, " of ", f.online_processors),
         f.quota > 0 ? format_number(static_cast<double>(static_cast<int>(f.quota * 100)) / 100) : "none",
         f.free_memory_bytes > 0 ? text(f.free_memory_bytes >> 20, " MiB") : "?"});
  }
  std::string lines = table_text(rows);
  if (nodes.size() > kMostNodes) lines += text("... and ", nodes.size() - kMostNodes, " more hosts\n");
  return lines;
}

std::string variables_text(const RankFacts& facts) {
  std::string all;
  if (!facts.omp_num_threads.empty()) all += ", OMP_NUM_THREADS=" + facts.omp_num_threads;
  if (!facts.omp_proc_bind.empty()) all += ", OMP_PROC_BIND=" + facts.omp_proc_bind;
  return all;
}

/// What rank 0 tells: each check as `ok` or its findings.
class Report {
 public:
  explicit Report(std::FILE* out) : out_(out) {}

  void write(const std::string& lines) const {
    if (out_ == nullptr) return;
    std::fputs(lines.c_str(), out_);
    std::fflush(out_);
  }

  /// The findings of `check`, or `ok` with `summary`.
  void tell(const std::string& check, const std::vector<Finding>& findings, const std::string& summary) {
    bool any = false;
    for (const Finding& finding : findings) {
      if (finding.check != check) continue;
      any = true;
      const bool is_problem = finding.severity == Severity::problem;
      (is_problem ? problems_ : advices_) += 1;
      if (is_problem) exit_code_ = std::max(exit_code_, static_cast<int>(finding.kind));
      line(is_problem ? "problem" : "advice", check, finding.text);
      line("", "", "-> " + finding.remedy);
    }
    if (!any) line("ok", check, summary);
  }

  void not_checked(const std::string& check, const std::string& why) const { line("-", check, why); }

  int finish() const {
    write(text("doctor: problems ", problems_, ", advice ", advices_, "\n"));
    return exit_code_;
  }

 private:
  void line(const std::string& state, const std::string& check, const std::string& what) const {
    write(padded(state, 7) + padded(check, 10) + what + "\n");
  }

  std::FILE* out_;
  int problems_ = 0, advices_ = 0, exit_code_ = 0;
};

/// The data and the model laid out as training would, or why that does not work.
struct Trial {
  std::unique_ptr<Prepared> prepared;
  std::vector<Finding> findings;  ///< about "data" or "options"
  std::optional<bool> same_arithmetic;
};

/// **Collective.** Whether all ranks compute alike.
bool compute_alike(const comm::Communicator& world, const Prepared& prepared, int threads) {
  std::string digest;
  comm::together(world, [&] {
    digest = arithmetic_digest(*prepared.network, prepared.loss, prepared.data->form, *prepared.optimizer,
                               prepared.plan.batch, prepared.plan.shards, threads);
  });
  const auto all = world.all_gather(digest);
  return std::all_of(all.begin(), all.end(), [&](const std::string& one) { return one == all.front(); });
}

/// **Collective.**
Trial try_data(const comm::Communicator& world, const comm::Communicator& node,
               const DoctorRequest& request) {
  Trial trial;
  try {
    trial.prepared =
        std::make_unique<Prepared>(prepare(world, prepare_training_data(world, node, request.configuration),
                                           request.configuration, request.threads));
    trial.same_arithmetic = compute_alike(world, *trial.prepared, request.threads);
  } catch (const comm::AgreedError& error) {  // the same on every rank
    const bool options = error.kind() == ErrorKind::usage;
    trial.prepared.reset();
    trial.findings.push_back(
        {.severity = Severity::problem,
         .check = options ? "options" : "data",
         .text = error.what(),
         .remedy = options ? "mend the option" : "mend or move the data, so that every host can read it",
         .kind = error.kind()});
  }
  return trial;
}

std::string data_summary(const Prepared& prepared) {
  const PreparedData& data = *prepared.data;
  return text(data.facts().name, ": ", data.facts().rows, " rows of ", data.facts().features,
              " inputs, read by every rank");
}

}  // namespace

std::int64_t checkpoint_bytes(const Prepared& prepared) {
  constexpr std::int64_t kRest = 64 << 10;  // names, attributes, history
  const auto states = static_cast<std::int64_t>(prepared.optimizer->state_names().size());
  const nn::Network& network = *prepared.network;
  const std::int64_t model = network.parameter_count() + network.statistic_floats();
  return 4 * (model * (prepared.averages ? 2 : 1) + network.parameter_count() * states) + kRest;
}

std::vector<std::string> start_findings(const comm::Communicator& world, const StartCircumstances& start) {
  const auto facts = gather_facts(world, start.threads);
  std::vector<std::string> lines;
  comm::on_first_rank(world, [&] {
    auto findings = diagnose(facts, {.bytes_per_rank = start.bytes_per_rank, .same_arithmetic = true});
    for (const auto& more :
         {lock_findings(start.folder), space_findings(start.folder, start.checkpoint_bytes, start.keep)})
      findings.insert(findings.end(), more.begin(), more.end());
    for (const Finding& finding : findings)
      if (finding.at_start) lines.push_back("warning: " + finding.text + "; " + finding.remedy);
  });
  return lines;
}

int run_doctor(const comm::Communicator& world, const DoctorRequest& request) {
  const comm::Communicator node = world.node();
  Report report(world.rank() == 0 ? request.out : nullptr);
  auto facts = gather_facts(world, request.threads);
  report.write(text("doctor: ", world.size(), " rank", world.size() == 1 ? "" : "s", " on ",
                    hosts_text(facts), facts[0].launcher.empty() ? "" : ", started by " + facts[0].launcher,
                    variables_text(facts[0]), "\n\n", table_of(facts), "\n"));

  const Trial trial = request.check_data ? try_data(world, node, request) : Trial{};
  Circumstances circumstances;
  circumstances.same_arithmetic = trial.same_arithmetic;
  if (trial.prepared) {
    circumstances.bytes_per_rank = estimated_bytes(*trial.prepared, world.size());
    facts = gather_facts(world, request.threads);  // what is left now that the data are in memory
  }
  const auto findings = diagnose(facts, circumstances);
  const RankFacts& first = facts[0];
  report.tell("placement", findings, "every thread has a processor of its own");
  report.tell("processors", findings,
              text(first.processor, ", ", first.isa,
                   trial.same_arithmetic.value_or(false) ? ", all ranks compute alike" : ""));
  report.tell("builds", findings, text(first.build, ", program ", first.program.substr(0, 8)));
  if (trial.prepared) {
    report.tell("memory", findings,
                text((circumstances.bytes_per_rank >> 20) + 1, " MiB a rank for this model and batch"));
  } else {
    report.not_checked("memory", "not checked: give --data (and --model)");
  }

  const std::string& out = request.configuration.out;
  const FolderReport folder =
      examine_folder(world, out.empty() ? "runs" : out,
                     trial.prepared ? checkpoint_bytes(*trial.prepared) : 0, request.configuration.keep);
  report.tell("folder", folder.findings, folder.summary);
  if (!request.check_data) {
    report.not_checked("data", "not checked: give --data");
  } else if (trial.prepared || trial.findings[0].check == "data") {
    report.tell("data", trial.findings, trial.prepared ? data_summary(*trial.prepared) : "");
  } else {
    report.tell("options", trial.findings, "");
  }
  std::int64_t code = report.finish();
  world.broadcast(&code, sizeof(code), 0);
  return static_cast<int>(code);
}

}  // namespace trainer::train
