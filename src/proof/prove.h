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

/// The one value of a model that all its trials must give, over all requests.
struct ProofDigests {
  Digest tokens;
  Digest logits;
};

/// What came of it, the same on every rank.
struct ProofResult {
  std::int64_t trials = 0;            ///< that were tried to their end
  std::int64_t preempting = 0;        ///< trials in which sequences were preempted of the cache
  std::vector<std::string> failures;  ///< one sentence each: model, layout, schedule, request
  std::vector<ProofDigests> digests;  ///< by model
};

/// What a caller may want to hear and say while the proof runs; both are asked on every rank.
struct ProofWatch {
  /// Told about how many trials are done.
  std::function<void(std::int64_t done)> progress = [](std::int64_t) {};
  /// Whether to leave out what has not begun. Ranks may answer differently: one is enough for all
  /// that compute the next trial together.
  std::function<bool()> stop = [] { return false; };
};

/// Runs `trials` (in order of their ranks, as `trials_of` gives them), several at a time where
/// there are ranks for them. The replicas of a layout share the requests; what they found is merged
/// and compared, each request's tokens, end and logits, with what one rank alone found. It is a
/// failure, too, when ranks of a replica do not agree, when a request is missing or there twice,
/// and when a schedule that `preempts` threw no sequence out though one replica had all requests.
/// Writes the models into a temporary folder for each rank. Every rank must call it.
ProofResult prove(const std::vector<ProofModel>& models, const std::vector<Trial>& trials,
                  Group& world, const ProofWatch& watch = {});

}  // namespace weft
