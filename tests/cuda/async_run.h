// Jobs whose steps are scheduled asynchronously of the host, and the same jobs whose steps do not.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "staged_run.h"
#include "support/replica.h"

namespace weft::test {

/// Of the models and requests here.
inline constexpr std::int64_t kAheadVocab = 300;

/// A small model with so many end tokens that sequences end in the middle.
nlohmann::json ahead_config(const std::string& family);

/// What can be seen of a completion but for its times.
std::string text_of(const Completion& completion);

struct AheadOutcome {
  std::vector<std::string> completions;  ///< `text_of` them
  EngineStats stats;
  RecorderCounts recorder;
};

/// What this rank of `group` has seen.
AheadOutcome run_job(const SyntheticModel& model, const std::vector<Request>& requests,
                     ReplicaOptions options, bool ahead, const GpuOptions& gpu, Group& group);

/// Steps with digests never are scheduled asynchronously.
ReplicaOptions without_digests();

/// One rank's outcome with asynchronous scheduling, after checking that the same completions come
/// without, and the same rows: none that is dropped counts.
AheadOutcome check_ahead(const SyntheticModel& model, const std::vector<Request>& requests,
                         const ReplicaOptions& options,
                         const GpuOptions& gpu = testing::options_of(1));

/// Completions that an end token or a stop string ended.
std::int64_t stopped(const AheadOutcome& outcome);

/// Short prompts and completions of up to 14 tokens; every other one is sampled.
std::vector<Request> plain_requests(std::int64_t count);

/// Every kind of sampling, stop strings and ids, ends that may not come yet, scored prompts, empty
/// completions, bad words of one and of two tokens.
std::vector<Request> mixed_requests();

}  // namespace weft::test
