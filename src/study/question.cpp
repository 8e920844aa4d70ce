#include "question.h"

#include <algorithm>
#include <cmath>

#include "trainer/core/error.h"
#include "trainer/core/grammar.h"
#include "trainer/optim/schedule.h"
#include "trainer/train/prepare.h"

namespace trainer::study {
namespace {

std::int64_t size_of(const std::string& word, const std::string& source) {
  const auto number = parse_integer(word);
  require(
      number && *number >= 1, ErrorKind::usage, "--batch-sizes ", source, ": \"", word,
      "\" is no number of rows; expected powers of two as in 32..8192, a list as in 32,100,full, or full");
  return *number;
}

}  // namespace

std::vector<std::int64_t> parse_batch_sizes(const std::string& source, std::int64_t rows) {
  std::vector<std::int64_t> sizes;
  const std::size_t dots = source.find("..");
  if (dots != std::string::npos) {
    const std::int64_t first = size_of(source.substr(0, dots), source);
    const std::string end = source.substr(dots + 2);
    const std::int64_t last = end == "full" ? rows : size_of(end, source);
    require(first <= last, ErrorKind::usage, "--batch-sizes ", source, ": the range ends before it begins");
    for (std::int64_t size = first; size <= std::min(last, rows); size *= 2) {
      sizes.push_back(size);
      if (size > rows / 2) break;
    }
    if (end == "full" && sizes.back() != rows) sizes.push_back(rows);
    require(!sizes.empty(), ErrorKind::usage, "--batch-sizes ", source, ": there are ", rows,
            " training rows");
    return sizes;
  }
  for (std::size_t begin = 0; begin <= source.size();) {
    const std::size_t comma = std::min(source.find(',', begin), source.size());
    std::string word = source.substr(begin, comma - begin);
    word.erase(0, word.find_first_not_of(' '));
    word.erase(word.find_last_not_of(' ') + 1);
    const std::int64_t size = word == "full" ? rows : size_of(word, source);
    require(size <= rows, ErrorKind::usage, "--batch-sizes ", source, ": ", size,
            " rows were asked for, there are ", rows, " training rows");
    sizes.push_back(size);
    begin = comma + 1;
  }
  std::ranges::sort(sizes);
  require(std::ranges::adjacent_find(sizes) == sizes.end(), ErrorKind::usage, "--batch-sizes ", source,
          ": a size stands there twice");
  return sizes;
}

Budget Budget::parse(const std::string& source) {
  Budget budget;
  if (source.find("epoch") != std::string::npos || source.find("step") != std::string::npos) {
    const auto length = optim::Length::parse("--budget", source);
    require(length.value > 0, ErrorKind::usage, "--budget ", source, ": expected more than nothing");
    if (length.unit == optim::Length::Unit::epochs)
      budget.epochs = length.value;
    else
      budget.steps = static_cast<std::int64_t>(length.value);
  } else {
    budget.seconds = train::parse_duration("--budget", source);
    require(budget.seconds > 0, ErrorKind::usage, "--budget ", source, ": expected more than no time");
  }
  return budget;
}

std::int64_t Budget::steps_of(std::int64_t batch, std::int64_t rows) const {
  if (steps > 0) return steps;
  if (seconds > 0) return 0;
  return optim::Length{epochs, optim::Length::Unit::epochs}.steps((rows + batch - 1) / batch);
}

Question question_of(const Request& request) {
  const Options& options = request.options;
  Question question;
  question.goal = request.configuration.goal;
  question.aim.has_goal = !question.goal.empty();
  if (request.kind == Kind::search) {
    require(!options.vary.empty(), ErrorKind::usage,
            "`trainer study search` needs --vary, such as --vary \"lr=log(1e-4,1e-1) hidden=list(15,30)\"");
    question.space = Space("--vary", options.vary);
    question.batches = {0};
  } else if (options.tune != "none") {
    question.space = Space("--tune", options.tune);
  }
  for (const Variable& variable : question.space.variables()) {
    require(request.kind != Kind::batch || variable.name != "batch-size", ErrorKind::usage,
            "--tune: the batch size is what the study varies; leave it out");
    require(
        request.kind != Kind::batch || variable.name != "lr" || request.configuration.lr_scaling == "none",
        ErrorKind::usage, "--lr-scaling ", request.configuration.lr_scaling,
        ": the learning rate is searched anew at each batch size; leave it out, or give --tune=none");
    if (request.require_variable) request.require_variable(variable.name);
  }
  constexpr std::uint64_t kLargestSeed = std::uint64_t{1} << 62;
  require(request.configuration.seed <= kLargestSeed, ErrorKind::usage, "--seed ", request.configuration.seed,
          ": a study takes those behind it, too; give one up to ", kLargestSeed);
  question.rules.points = options.points;
  question.rules.finalists = options.finalists;
  question.rules.seeds = options.seeds;
  question.rules.seed = request.configuration.seed;
  constexpr std::int64_t kRungs = 3;
  if (options.stop_early == "halving") question.rules.rungs = kRungs;
  if (request.kind == Kind::search) question.rules.widenings = 0;
  return question;
}

}  // namespace trainer::study
