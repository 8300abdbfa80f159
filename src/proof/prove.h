// Runs the proof on the ranks of a job.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "comm/group.h"
#include "proof/trial.h"

namespace weft {

/// What came of it, the same on every rank.
struct ProofResult {
  std::int64_t trials = 0;
  std::int64_t preempting = 0;        ///< trials in which sequences were thrown out of the cache
  std::vector<std::string> failures;  ///< one sentence each: model, layout, schedule, request
  std::vector<Digest> digests;        ///< the one value of each model, over all its requests
};

/// Runs `trials` (in order of their replicas' sizes, as `trials_of` gives them) on replicas formed
/// from the ranks of `world`, several at a time where there are ranks for them, and compares each
/// request's tokens, end and logits digest with those of one rank alone. A schedule that `preempts`
/// fails as well when it threw no sequence out. Writes the models into a
/// temporary folder for each rank. Every rank must call it. `progress` is called now and then, on
/// every rank.
ProofResult prove(const std::vector<ProofModel>& models, const std::vector<Trial>& trials,
                  Group& world, const std::function<void(std::int64_t done)>& progress = nullptr);

}  // namespace weft
