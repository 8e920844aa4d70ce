#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "trainer/comm/host.h"
#include "trainer/core/grammar.h"
#include "trainer/train/doctor.h"

namespace trainer::train {
namespace {

using AllFacts = std::vector<RankFacts>;

/// The ranks of one node, and what they have together.
struct Node {
  std::string host;
  std::vector<int> ranks;
  int processors = 0;  ///< that the launcher had
  int cores = 0;       ///< of these
  double quota = 0;    ///< 0: none
  int threads = 0;     ///< of all ranks
  std::set<int> used;  ///< processors that some rank may run on
  bool any_bound = false;

  /// Physical cores that can work at a time.
  int usable_cores() const {
    const int most = std::max(1, cores);
    return quota > 0 ? std::clamp(static_cast<int>(quota), 1, most) : most;
  }
  /// Of the processors that ranks may run on.
  int used_cores() const {
    if (processors == 0) return 0;
    return static_cast<int>((static_cast<std::int64_t>(used.size()) * cores + processors - 1) / processors);
  }
};

std::vector<Node> nodes_of(const AllFacts& facts) {
  std::map<int, Node> nodes;
  for (std::size_t rank = 0; rank < facts.size(); ++rank) {
    const RankFacts& f = facts[rank];
    Node& node = nodes[f.node];
    node.host = f.host;
    node.ranks.push_back(static_cast<int>(rank));
    node.processors = std::max(node.processors, f.available_processors);
    node.cores = std::max(node.cores, f.available_cores);
    node.quota = std::max(node.quota, f.quota);
    node.threads += f.threads;
    node.used.insert(f.processors.begin(), f.processors.end());
    node.any_bound = node.any_bound || f.is_bound();
  }
  std::vector<Node> list;
  for (auto& [first, node] : nodes) list.push_back(std::move(node));
  return list;
}

/// Cores of its own for every rank.
struct Placement {
  int ranks_per_node = 1;
  int cores_per_rank = 1;
  int processors_per_core = 1;
};

/// What suits all nodes, with the ranks that there are or, where they are more than cores, fewer.
Placement best_placement(const std::vector<Node>& nodes) {
  Placement best;
  int cores = std::numeric_limits<int>::max();
  for (const Node& node : nodes) {
    best.ranks_per_node = std::max(best.ranks_per_node, static_cast<int>(node.ranks.size()));
    best.processors_per_core = std::max(best.processors_per_core, node.processors / std::max(1, node.cores));
    cores = std::min(cores, node.usable_cores());
  }
  if (nodes.empty()) return best;
  best.ranks_per_node = std::min(best.ranks_per_node, cores);
  best.cores_per_rank = cores / best.ranks_per_node;
  return best;
}

std::string count(std::int64_t number, const std::string& what) {
  return text(number, " ", what, number == 1 ? "" : "s");
}

/// "rank 0", "ranks 0-3 and 8".
std::string ranks_text(const std::vector<int>& ranks) {
  return (ranks.size() == 1 ? "rank " : "ranks ") + comm::list_text(ranks);
}

/// "2 processors (0-1)".
std::string processors_text(const std::set<int>& processors) {
  return text(count(static_cast<std::int64_t>(processors.size()), "processor"), " (",
              comm::list_text({processors.begin(), processors.end()}), ")");
}

const RankFacts& of(const AllFacts& facts, int rank) { return facts[static_cast<std::size_t>(rank)]; }

/// Ranks of one node that share processors, directly or through others.
struct Sharers {
  std::vector<int> ranks;
  std::set<int> processors;
  int threads = 0;
  bool bound = true;
};

std::vector<Sharers> sharers_of(const AllFacts& facts, const Node& node) {
  std::vector<Sharers> groups;
  for (const int rank : node.ranks) {
    const RankFacts& f = of(facts, rank);
    Sharers joined{{rank}, {f.processors.begin(), f.processors.end()}, f.threads, f.is_bound()};
    std::vector<Sharers> others;
    for (Sharers& group : groups) {
      const bool meets = std::any_of(f.processors.begin(), f.processors.end(),
                                     [&](int processor) { return group.processors.contains(processor); });
      if (!meets) {
        others.push_back(std::move(group));
        continue;
      }
      joined.ranks.insert(joined.ranks.end(), group.ranks.begin(), group.ranks.end());
      joined.processors.insert(group.processors.begin(), group.processors.end());
      joined.threads += group.threads;
      joined.bound = joined.bound && group.bound;
    }
    std::sort(joined.ranks.begin(), joined.ranks.end());
    others.push_back(std::move(joined));
    groups = std::move(others);
  }
  std::sort(groups.begin(), groups.end(),
            [](const Sharers& a, const Sharers& b) { return a.ranks.front() < b.ranks.front(); });
  return groups;
}

Finding advice(std::string check, std::string what, std::string remedy, bool at_start = true) {
  return {
      .check = std::move(check), .text = std::move(what), .remedy = std::move(remedy), .at_start = at_start};
}

/// The same thing is wrong on many nodes or ranks as a rule: it is told of the first, with the number of the
/// others.
class Repeated {
 public:
  void add(const std::string& what) {
    if (times_++ == 0) first_ = what;
  }
  bool any() const { return times_ > 0; }
  /// `others`: what is counted, in the singular.
  std::string text(const std::string& others) const {
    return times_ <= 1 ? first_ : trainer::text(first_, " (and ", count(times_ - 1, "more " + others), ")");
  }

 private:
  int times_ = 0;
  std::string first_;
};

/// Threads against the processors that they may run on.
void add_crowding(const AllFacts& facts, const std::vector<Node>& nodes, std::vector<Finding>& findings,
                  std::set<std::string>& crowded_hosts) {
  Repeated alone, together, unbound;
  for (const Node& node : nodes) {
    for (const Sharers& group : sharers_of(facts, node)) {
      const auto processors = static_cast<int>(group.processors.size());
      const int idle = node.usable_cores() - node.used_cores();
      const std::string others = group.bound && idle > 0
                                     ? text(", while ", idle, " of the node's ", count(node.cores, "core"),
                                            idle == 1 ? " is idle" : " are idle")
                                     : "";
      if (processors == 0) continue;
      bool told = false;
      if (group.threads > processors) {
        told = true;
        const std::string where = text(" on ", node.host);
        if (group.ranks.size() == 1) {
          alone.add(text(ranks_text(group.ranks), where, " has ", count(group.threads, "thread"),
                         " and may run on ", processors_text(group.processors), others));
        } else if (group.bound) {
          together.add(text(ranks_text(group.ranks), where, " are bound to the same cores and have ",
                            count(group.threads, "thread"), " on ", processors_text(group.processors),
                            others));
        } else {
          unbound.add(text(ranks_text(group.ranks), where, " have ", count(group.threads, "thread"),
                           " in all and share ", processors_text(group.processors)));
        }
      } else {
        for (const int rank : group.ranks) {
          const RankFacts& f = of(facts, rank);
          if (f.threads <= static_cast<int>(f.processors.size())) continue;
          told = true;
          alone.add(text("rank ", rank, " on ", node.host, " has ", count(f.threads, "thread"),
                         " and may run on ", processors_text({f.processors.begin(), f.processors.end()}),
                         others));
        }
      }
      if (told) crowded_hosts.insert(node.host);
    }
  }
  const std::string remedy = "use `" + placement_line(facts) + "`";
  if (alone.any()) findings.push_back(advice("placement", alone.text("rank"), remedy));
  if (together.any()) findings.push_back(advice("placement", together.text("such group"), remedy));
  if (unbound.any())
    findings.push_back(advice("placement", unbound.text("node"),
                              remedy + " (the results are the same for any number of ranks)"));
}

void add_quota(const AllFacts& facts, const std::vector<Node>& nodes, std::vector<Finding>& findings) {
  Repeated found;
  for (const Node& node : nodes) {
    if (node.quota <= 0 || node.threads <= node.quota * 1.01) continue;
    found.add(text("the container (cgroup) on ", node.host, " may use ",
                   format_number(std::round(node.quota * 100) / 100), " processors' time, but its ",
                   count(static_cast<std::int64_t>(node.ranks.size()), "rank"),
                   node.ranks.size() == 1 ? " has " : " have ", count(node.threads, "thread"),
                   " in all: they are stopped again and again"));
  }
  if (found.any())
    findings.push_back(advice("placement", found.text("node"),
                              "use `" + placement_line(facts) + "`, or raise the container's limit"));
}

void add_idle(const AllFacts& facts, const std::vector<Node>& nodes,
              const std::set<std::string>& crowded_hosts, std::vector<Finding>& findings) {
  const Placement line = best_placement(nodes);
  Repeated by_binding, by_threads;
  for (const Node& node : nodes) {
    if (crowded_hosts.contains(node.host)) continue;
    const int usable = node.usable_cores();
    const int working = std::min(node.threads, node.used_cores());
    const int idle = usable - working;
    // What is left over when the cores are shared out evenly is nobody's fault.
    const int best = std::min(static_cast<int>(node.ranks.size()), line.ranks_per_node) * line.cores_per_rank;
    if (idle <= 0 || working >= best) continue;
    const std::string rest =
        text(": ", idle, " of ", count(usable, "core"), idle == 1 ? " is idle" : " are idle");
    const std::string who =
        text(count(static_cast<std::int64_t>(node.ranks.size()), "rank"), " on ", node.host);
    if (node.any_bound && node.used_cores() < usable) {
      by_binding.add(text("the ", who, node.ranks.size() == 1 ? " was" : " were", " bound to ",
                          processors_text(node.used), rest));
    } else {
      by_threads.add(text("the ", who, node.ranks.size() == 1 ? " has " : " have ",
                          count(node.threads, "thread"), node.ranks.size() == 1 ? "" : " in all", rest));
    }
  }
  const std::string remedy = "use `" + placement_line(facts) + "`";
  if (by_binding.any()) findings.push_back(advice("placement", by_binding.text("node"), remedy));
  // Fewer threads than cores are somebody's wish: no word about it at every start.
  if (by_threads.any()) findings.push_back(advice("placement", by_threads.text("node"), remedy, false));
}

/// OpenMP ties threads to processors counted from the first that the process may use.
void add_openmp_binding(const AllFacts& facts, const std::vector<Node>& nodes,
                        std::vector<Finding>& findings) {
  Repeated found;
  for (const Node& node : nodes) {
    for (const Sharers& group : sharers_of(facts, node)) {
      const std::string& how = of(facts, group.ranks.front()).omp_proc_bind;
      if (group.ranks.size() < 2 || how.empty() || how == "false" || how == "FALSE") continue;
      found.add(text("OMP_PROC_BIND=", how, " puts the threads of each of ", ranks_text(group.ranks), " on ",
                     node.host, " on the same processors, counted from the first of ",
                     comm::list_text({group.processors.begin(), group.processors.end()})));
    }
  }
  if (found.any())
    findings.push_back(advice("placement", found.text("node"),
                              "unset OMP_PROC_BIND, or use `" + placement_line(facts) + "`"));
}

/// One value and the ranks that have it, the most frequent first.
struct Variety {
  std::vector<std::pair<std::string, std::vector<int>>> values;

  template <class Value>
  Variety(const AllFacts& facts, const Value& value) {
    std::map<std::string, std::vector<int>> by_value;
    for (std::size_t rank = 0; rank < facts.size(); ++rank)
      by_value[value(facts[rank])].push_back(static_cast<int>(rank));
    values.assign(by_value.begin(), by_value.end());
    std::stable_sort(values.begin(), values.end(),
                     [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  }
  bool differs() const { return values.size() > 1; }
  /// "A on ranks 0-3 (a), B on rank 4 (b)", with the first host of each.
  std::string text(const AllFacts& facts) const {
    std::string all;
    for (std::size_t k = 0; k < values.size() && k < 4; ++k) {
      const auto& [value, ranks] = values[k];
      all += trainer::text(k == 0 ? "" : ", ", value, " on ", ranks_text(ranks), " (",
                           of(facts, ranks[0]).host, ranks.size() > 1 ? ", ...)" : ")");
    }
    return values.size() > 4 ? trainer::text(all, " and ", values.size() - 4, " more") : all;
  }
};

void add_differences(const AllFacts& facts, const Circumstances& circumstances,
                     std::vector<Finding>& findings) {
  const Variety isas(facts, [](const RankFacts& f) { return f.isa; });
  const Variety models(facts, [](const RankFacts& f) { return f.processor; });
  if (isas.differs()) {
    const bool alike = circumstances.same_arithmetic.value_or(false);
    findings.push_back(
        {.severity = alike ? Severity::advice : Severity::problem,
         .check = "processors",
         .text = "the ranks have different instruction sets: " + isas.text(facts),
         .remedy = alike ? "they compute alike here, but the slowest sets the pace: take nodes of "
                           "one kind"
                         : "take nodes of one kind, or limit all to what each has, as with --isa "
                           "AVX2",
         .kind = ErrorKind::communication});
  } else if (models.differs()) {
    findings.push_back(advice("processors", "the processors differ: " + models.text(facts),
                              "the slowest sets the pace: take nodes of one kind"));
  }
  const Variety sizes(facts, [](const RankFacts& f) { return count(f.available_processors, "processor"); });
  if (sizes.differs())
    findings.push_back(
        advice("processors", "the nodes differ in size: " + sizes.text(facts),
               "every rank gets the same share of the rows and the slowest sets the pace: take "
               "nodes of one size, or the same number of cores on each"));
  const Variety threads(facts, [](const RankFacts& f) { return count(f.threads, "thread"); });
  if (threads.differs())
    findings.push_back(advice("placement",
                              "the ranks have different numbers of threads: " + threads.text(facts),
                              "every rank gets the same share of the rows: give --threads, or use `" +
                                  placement_line(facts) + "`"));
}

void add_builds(const AllFacts& facts, std::vector<Finding>& findings) {
  const Variety builds(facts, [](const RankFacts& f) { return f.build; });
  const Variety programs(facts, [](const RankFacts& f) { return "program " + f.program.substr(0, 8); });
  if (!builds.differs() && !programs.differs()) return;
  findings.push_back({.severity = Severity::problem,
                      .check = "builds",
                      .text = "the ranks run different builds of trainer: " +
                              (builds.differs() ? builds : programs).text(facts),
                      .remedy = "install one build on all nodes, or start it from a folder that all see",
                      .kind = ErrorKind::communication});
}

std::string gibibytes(std::int64_t bytes) {
  const double value = static_cast<double>(bytes) / (1 << 30);
  return format_number(std::round(value * 100) / 100) + " GiB";
}

void add_memory(const AllFacts& facts, const std::vector<Node>& nodes, std::int64_t bytes_per_rank,
                std::vector<Finding>& findings) {
  if (bytes_per_rank <= 0) return;
  Repeated found;
  for (const Node& node : nodes) {
    std::int64_t available = 0, held = 0;
    for (const int rank : node.ranks) {
      const RankFacts& f = of(facts, rank);
      if (f.free_memory_bytes > 0 && (available == 0 || f.free_memory_bytes < available))
        available = f.free_memory_bytes;
      held += f.held_memory_bytes;
    }
    if (available == 0) continue;  // not known
    const std::int64_t needed = bytes_per_rank * static_cast<std::int64_t>(node.ranks.size());
    if (needed <= available + held) continue;
    found.add(text("the ", count(static_cast<std::int64_t>(node.ranks.size()), "rank"), " on ", node.host,
                   " need ", gibibytes(needed), " for this model and batch, ", gibibytes(available + held),
                   " can be had"));
  }
  if (!found.any()) return;
  findings.push_back(
      {.severity = Severity::problem,
       .check = "memory",
       .text = found.text("node"),
       .remedy = "start fewer ranks on a node (with more threads each), take more nodes, or a smaller "
                 "--batch-size or --model",
       .kind = ErrorKind::usage});
}

}  // namespace

std::string placement_line(const AllFacts& facts) {
  const std::vector<Node> nodes = nodes_of(facts);
  const Placement best = best_placement(nodes);
  const auto ranks = std::min(facts.size(), static_cast<std::size_t>(best.ranks_per_node) * nodes.size());
  const std::string launcher = facts.empty() ? "" : facts.front().launcher;
  const std::string program = text("trainer ... --threads ", best.cores_per_rank);
  if (launcher.empty() && ranks == 1) return program;
  if (launcher == "srun")
    return text("srun --mpi=pmix -n ", ranks, " --ntasks-per-node=", best.ranks_per_node,
                " --cpus-per-task=", best.cores_per_rank * best.processors_per_core, " --cpu-bind=cores ",
                program);
  return text("mpirun -np ", ranks, " --map-by ppr:", best.ranks_per_node, ":node:pe=", best.cores_per_rank,
              " --bind-to core ", program);
}

std::vector<Finding> diagnose(const AllFacts& facts, const Circumstances& circumstances) {
  const std::vector<Node> nodes = nodes_of(facts);
  std::vector<Finding> findings;
  std::set<std::string> crowded_hosts;
  add_crowding(facts, nodes, findings, crowded_hosts);
  add_quota(facts, nodes, findings);
  add_idle(facts, nodes, crowded_hosts, findings);
  add_openmp_binding(facts, nodes, findings);
  add_differences(facts, circumstances, findings);
  add_builds(facts, findings);
  add_memory(facts, nodes, circumstances.bytes_per_rank, findings);
  return findings;
}

}  // namespace trainer::train
