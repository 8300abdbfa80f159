// The end-of-run report, as text and as summary.json.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "app/output/journal_frame.h"
#include "app/output/timings.h"
#include "base/quantiles.h"
#include "base/tracer.h"
#include "base/types.h"
#include "comm/traffic.h"
#include "engine/request.h"
#include "layout/grid.h"

namespace weft {

/// Time to first token: from when the engine was given the request to its first token.
double time_to_first_token(const Completion& completion);
/// From when the engine was given the request to its last token.
double end_to_end_latency(const Completion& completion);
/// Time per output token after the first; meaningful from two tokens on.
double time_per_output_token(const Completion& completion);

/// Seconds that the ranks spent in one phase.
struct PhaseReport {
  std::string name;
  double least = 0;
  double mean = 0;
  double most = 0;
  int slowest = 0;  ///< the rank with the most
};

/// Least, mean and most of the ranks.
struct Spread {
  double least = 0;
  double mean = 0;
  double most = 0;
};

/// What travelled along an axis (see Traffic): totals of a rank.
struct AxisReport {
  Primitive axis = Primitive::tp;
  Spread calls;
  Spread sent;      ///< bytes
  Spread received;  ///< bytes
};

/// What there is to tell of a run. Counts are of this run alone unless said otherwise.
struct RunReport {
  // What ran where.
  std::string model;      ///< path
  std::string processor;  ///< "cpu avx512 x 2 threads"
  Layout layout;
  std::vector<std::string> hosts;  ///< by rank; repeated names are folded
  std::string numerics = "invariant";
  double cores = 0;        ///< of the rank with the fewest; 0: not known
  std::string core_limit;  ///< what leaves it no more: "affinity mask"
  // Requests, of the whole job.
  std::int64_t requests = 0;
  std::int64_t succeeded = 0;
  std::int64_t failed = 0;
  std::int64_t resumed = 0;     ///< of these, done by earlier runs
  std::int64_t non_finite = 0;  ///< failed in this run by logits that are NaN or infinite
  // Tokens, of this run.
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  Quantiles ttft_seconds;               ///< of completed requests
  Quantiles tpot_seconds;               ///< of those with two tokens or more
  Quantiles latency_seconds;            ///< of completed requests, see end_to_end_latency
  std::int64_t steps = 0;               ///< of the first rank of each replica
  std::int64_t step_sequences = 0;      ///< sequences, summed over these steps
  std::int64_t sequence_slots = 0;      ///< engine.max_sequences, summed over these steps
  std::int64_t names_left_as_text = 0;  ///< prompts with names of special tokens that stayed text
  std::int64_t preemptions = 0;
  std::int64_t lossy_chats = 0;     ///< of which the chat template left something out
  std::int64_t graphs = 0;          ///< CUDA graphs recorded by the first rank of each replica
  std::int64_t replayed_steps = 0;  ///< its steps that were one of them
  std::int64_t prefix_tokens_looked_up = 0;   ///< see Scheduler
  std::int64_t prefix_tokens_taken_over = 0;  ///< of these, not computed again
  std::int64_t drafted_tokens = 0;            ///< see EngineStats
  std::int64_t accepted_tokens = 0;
  // Wall time in seconds. The phases need not add up to the total.
  double wall_seconds = 0;
  double load_seconds = 0;
  double prefill_seconds = 0;  ///< steps of prompt tokens only
  double mixed_seconds = 0;    ///< steps of both
  double decode_seconds = 0;   ///< steps of decodes only
  double output_seconds = 0;
  PhaseSeconds own_phases{};              ///< of this rank alone
  std::vector<PhaseReport> phases;        ///< of the main thread of each rank; see `phase_columns`
  Traffic own_traffic;                    ///< of this rank alone
  std::vector<ExpertLoad> own_experts;    ///< of the tokens that this rank alone counts
  std::vector<ExpertLoad> experts;        ///< of all tokens, by layer with experts
  std::vector<AxisReport> communication;  ///< along the axes on which anything travelled
  // Memory in bytes, of the rank that needs most.
  Bytes planned_memory = 0;
  Bytes peak_memory = 0;
  std::int64_t dropped_spans = 0;  ///< of all ranks, that trace.json had no room for
  // Of all runs of the job together, this one included.
  RunsTotal all_runs;
  RowTokens all_tokens;
  std::string environment;  ///< see environment_json; empty: not known
  std::string results;      ///< path of results.jsonl; empty when the job is not complete
};

/// Adds a completion's tokens and times; the prompt's tokens only when it `counts_prompt`.
void add_completion(RunReport& report, const Completion& completion, bool counts_prompt);
/// The same from the record of a request.
void add_recorded(RunReport& report, const RequestTiming& request);

/// Generated tokens a second, over all of the run but loading.
double tokens_per_second(const RunReport& report);

/// Share of all ranks' time that went to waiting for other stages of a pipeline; 0 without phases.
double bubble_share(const RunReport& report);

/// The experts' imbalance (see ExpertLoad): over the layers on average, and in the worst of them.
struct ExpertImbalance {
  double mean = 0;
  double most = 0;
  std::int64_t worst_layer = 0;
};
ExpertImbalance expert_imbalance(const std::vector<ExpertLoad>& experts);

/// Share of the tokens looked up that were taken over; 0 when none were.
double prefix_hit_rate(const RunReport& report);

/// For people: under 30 lines, no escape codes.
std::string to_text(const RunReport& report);

/// Mean sequences in a step over the most there may be; 0 without steps.
double batch_occupancy(const RunReport& report);

/// For programs, a line each: "weft-metric NAME VALUE UNIT". docs/reference/formats.md lists them.
std::string to_metrics(const RunReport& report);

/// summary.json: the same figures with full precision, and the versions.
std::string to_json(const RunReport& report);

}  // namespace weft
