// What the proof tries: every layout, every schedule, and random combinations of both.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "layout/grid.h"
#include "proof/proof_model.h"
#include "proof/replica.h"

namespace weft {

/// How a replica's work is put into steps, by a name for messages.
struct Schedule {
  std::string name;
  ReplicaOptions options;   ///< all but the layout
  std::uint64_t order = 0;  ///< seed of the requests' order; 0: as they are
  bool preempts = false;    ///< meant to throw sequences out: to see none go would be a failure
  /// Which requests a replica computes; see share_of.
  std::function<std::vector<Request>(const std::vector<Request>& requests, int replica,
                                     int replicas, std::uint64_t seed)>
      share = share_of;
};

/// One property each: batch sizes 1, 2, 17 and 65, chunks around the key block, blocks of several
/// sizes, preemption by a cache that is too small, reordered requests, all prompts shared and none,
/// both transports, several threads, no prefix sharing. The first is the plainest.
std::vector<Schedule> proof_schedules();

/// The product of batch sizes 1, 2, 17 and 65, chunks of 1, 7, 127, 128, 129 and all tokens,
/// requests in order and reordered, and a cache that is roomy or too small.
std::vector<Schedule> crossed_schedules();

/// One run of one model.
struct Trial {
  std::size_t model = 0;  ///< in proof_models()
  Layout layout;
  Schedule schedule;
  /// Seed of how the requests fall on the replicas. Where it is odd, one replica reads the weights
  /// for all.
  std::uint64_t shares = 0;
};

/// How much is tried.
struct ProofScope {
  int ranks = 1;              ///< layouts of up to that many ranks
  bool full = false;          ///< every layout with every schedule, the crossed ones included
  std::int64_t random = 200;  ///< random combinations of these, unless full
  std::uint64_t seed = 1;     ///< of these
  std::int64_t parts = 1;     ///< only every `parts`-th trial, of these
  std::int64_t part = 1;      ///< beginning with this one, from 1
  std::int64_t most = 0;      ///< only so many of the rest, spread evenly over it; 0: all
};

/// The trials, ordered by their ranks: every layout that a model allows, those with several
/// replicas included, with the plainest schedule, every other of `proof_schedules` with three
/// layouts of the most ranks (where there are as many), and `random` combinations; or the product.
/// A pure function of the arguments.
std::vector<Trial> trials_of(const std::vector<ProofModel>& models, const ProofScope& scope);

}  // namespace weft
