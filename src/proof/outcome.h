// What became of requests, in a form that ranks can compare.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/digest.h"
#include "engine/request.h"

namespace weft {

/// One completion. Plain bytes: it travels between ranks.
struct Outcome {
  std::int64_t index = 0;  ///< of the request
  std::int64_t prompt_tokens = 0;
  Digest tokens;  ///< of ids and the reason of the end
  Digest logits;  ///< of the logits' digest and all log-probabilities

  bool operator==(const Outcome&) const = default;
};

/// In the order of the completions.
std::vector<Outcome> outcomes_of(const std::vector<Completion>& completions);

/// The outcomes of a job whose replicas shared the requests.
struct Merged {
  std::vector<Outcome> outcomes;  ///< in the order of their indices
  std::string fault;              ///< a sentence where the ranks of a replica do not agree
};

/// `of_ranks`: every rank's outcomes; each `replica_size` consecutive ranks are a replica, whose
/// ranks must have the same ones.
Merged merge(const std::vector<std::vector<Outcome>>& of_ranks, int replica_size);

/// What is wrong with `found`, in a sentence: requests that are missing, there more than once, or
/// other than in `expected`, which has each of them once, by index. Nothing when all is well.
std::string fault_of(const std::vector<Outcome>& found, const std::vector<Outcome>& expected);

}  // namespace weft
