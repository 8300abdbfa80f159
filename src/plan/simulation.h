// A job on predicted steps: the engine of a run, with its scheduler, on a stepper that computes
// nothing and says how long it would have taken.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/quantiles.h"
#include "plan/step_model.h"

namespace weft {

/// A request as far as time goes.
struct SimulatedRequest {
  std::vector<TokenId> prompt;
  std::int64_t answer = 0;  ///< tokens that it generates
};

struct Simulation {
  double load_seconds = 0;
  double seconds = 0;  ///< of the run: loading, then to the end of the last replica
  std::int64_t prompt_tokens = 0;
  std::int64_t answer_tokens = 0;
  std::int64_t refused = 0;  ///< requests that the engine does not take: they get error rows
  std::int64_t steps = 0;    ///< of all replicas
  std::int64_t preemptions = 0;
  std::int64_t prefix_tokens = 0;  ///< taken over from earlier prompts
  // Seconds of a replica, on average over replicas and stages.
  double prefill = 0;        ///< computing in steps with prefill rows
  double decode = 0;         ///< computing in the others
  double communication = 0;  ///< of both
  double host = 0;
  double bubble = 0;  ///< stages that wait for one another
  double tail = 0;    ///< from a replica's last token to the end of the job
  double cache = 0;   ///< share of the cache's blocks in use, over time
  Quantiles ttft;
  Quantiles tpot;
};

/// Runs the requests through `verdict.layout.dp` replicas that claim them as those of a run do.
/// A deterministic function of its arguments.
Simulation simulate(std::span<const SimulatedRequest> requests, const LayoutVerdict& verdict,
                    StepModel& model);

}  // namespace weft
