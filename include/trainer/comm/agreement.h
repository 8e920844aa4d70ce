#pragma once

#include <exception>
#include <string>

#include "trainer/comm/communicator.h"
#include "trainer/core/error.h"

namespace trainer::comm {

/// An Error that every rank throws, with the same kind and message: the ranks have agreed on it, so that the
/// job can end in order (rank 0 prints, all finalise). Any other exception that leaves a rank's work must end
/// the job by Communicator::abort.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// Collective: the named agreement point. `mine` is what went wrong on this rank (null: nothing). When any
/// rank failed, every rank throws the same AgreedError: the one of the lowest failing rank, its kind and
/// message, with "rank R on HOST: " put before it when not all ranks failed with the same message (then it
/// stands alone).
void agree_on_error(const Communicator& ranks, const std::exception_ptr& mine);

/// Collective. Runs `work` on this rank, then agrees: work may fail on some ranks only, and may not itself be
/// collective.
template <class Work>
void together(const Communicator& ranks, const Work& work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  agree_on_error(ranks, failure);
}

/// Collective: rank 0's outcome for all. `mine` counts on rank 0 only; every rank throws the same AgreedError
/// when rank 0 failed.
void follow_first_rank(const Communicator& ranks, const std::exception_ptr& mine);

/// Collective. Runs `work` on rank 0 alone, which may fail: then every rank throws what rank 0 threw, as an
/// AgreedError.
template <class Work>
void on_first_rank(const Communicator& ranks, const Work& work) {
  std::exception_ptr failure;
  try {
    if (ranks.rank() == 0) work();
  } catch (...) {
    failure = std::current_exception();
  }
  follow_first_rank(ranks, failure);
}

/// Collective. Throws AgreedError(communication) on every rank unless `value` is the same on all; the message
/// names `what` (such as "the configuration"), the ranks and hosts that differ from rank 0, and the first
/// line that differs.
void require_same(const Communicator& ranks, const std::string& what, const std::string& value);

}  // namespace trainer::comm
