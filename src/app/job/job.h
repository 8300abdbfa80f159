// A job file: what `weft run` and `weft plan` are told. docs/reference/job-file.md describes every
// key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/job/value_type.h"
#include "base/types.h"
#include "engine/request.h"
#include "ops/isa.h"

namespace weft {

class YamlValue;

enum class InputFormat { openai, jsonl, text };
/// What names of special tokens in prompts are. automatic: tokens in texts, text in chats.
enum class SpecialTokens { automatic, text, parse };
/// What becomes of a chat of which the model's template leaves something out.
enum class LostMessages { error, warn };
enum class Device { automatic, cpu, cuda };
enum class Numerics { invariant, fast };
/// How replicas come by their weights.
enum class WeightLoading { automatic, read, broadcast };
/// What drafts tokens.
enum class Speculation { none, lookup };
enum class Collectives { automatic, nccl, staged };

/// "openai", "jsonl", "text".
std::string_view name(InputFormat format);
/// "auto", "text", "parse".
std::string_view name(SpecialTokens special_tokens);
std::string_view name(LostMessages lost);
/// "auto", "cpu", "cuda".
std::string_view name(Device device);
/// "invariant", "fast".
std::string_view name(Numerics numerics);
/// "auto", "read", "broadcast".
std::string_view name(WeightLoading loading);
/// "none", "lookup".
std::string_view name(Speculation speculation);
/// "auto", "nccl", "staged".
std::string_view name(Collectives collectives);

/// An amount of memory: left to the program, in bytes, or a fraction of what there is.
struct MemoryAmount {
  enum class Kind { automatic, bytes, fraction };
  Kind kind = Kind::automatic;
  Bytes bytes = 0;      ///< of Kind::bytes
  double fraction = 0;  ///< of Kind::fraction, in (0, 1]
  bool operator==(const MemoryAmount&) const = default;
};

/// Where the prompts come from.
struct JobInput {
  std::filesystem::path file;
  InputFormat format = InputFormat::openai;
  LostMessages lost_messages = LostMessages::error;
  std::string field = "prompt";  ///< jsonl: the member that holds the text
  SpecialTokens special_tokens = SpecialTokens::automatic;
};

/// Sizes of the parallel axes as asked for; legality is checked elsewhere.
struct JobParallel {
  int tp = 1;
  int pp = 1;
  int sp = 1;
  int ep = 1;
  std::optional<int> dp;  ///< nothing: as many replicas as the ranks allow
};

struct JobEngine {
  Device device = Device::automatic;
  bool share_gpus = false;  ///< several ranks may have one GPU; for tests
  Collectives collectives = Collectives::automatic;
  bool symmetric_memory = false;  ///< for messages that NCCL gathers
  Numerics numerics = Numerics::invariant;
  std::optional<bool> cuda_graphs;  ///< nothing: where it can be
  bool async_scheduling = true;     ///< where it can be
  Isa isa = Isa::automatic;
  std::optional<int> threads;  ///< of each rank; nothing: the rank's share of its host's cores
  std::int64_t max_batch_tokens = 2048;
  std::int64_t max_sequences = 256;
  std::int64_t max_sequence_length = 0;  ///< 0: the model's
  std::int64_t kv_block = 32;            ///< tokens of one page of the cache, a multiple of 16
  MemoryAmount kv_memory;                ///< of each rank
  std::int64_t prefill_chunk = 0;   ///< most prompt tokens of a sequence in a step; 0: no limit
  std::int64_t sp_threshold = 256;  ///< prompts from that length on are shared by the sp ranks
  bool prefix_sharing = true;       ///< the first pages of equal prompts are computed once
  Speculation speculation = Speculation::none;
  std::int64_t max_draft = 16;         ///< tokens that a sequence may draft in a step
  std::optional<std::int64_t> layers;  ///< run only that many; nothing: all
  WeightLoading load = WeightLoading::automatic;
  double watchdog_seconds = 300;  ///< 0: no watchdog
};

struct JobOutput {
  std::filesystem::path dir;
  bool digest = false;       ///< each result row carries its logits digest and token ids
  std::int64_t created = 0;  ///< "created" of every result row, seconds since 1970
  double sync_interval = 5;  ///< seconds until a finished row is on the disk
  bool trace = false;        ///< write trace.json
};

/// How a run goes on and ends.
struct JobRun {
  std::optional<std::int64_t> time_limit;  ///< seconds from the start; nothing: none
  bool slurm_time_limit = false;           ///< in place of it, what Slurm leaves the job
  double progress_seconds = 60;            ///< between progress lines; 0: none
};

/// An effective job: the file with the command line's overrides. Paths are usable from the current
/// directory.
struct Job {
  std::filesystem::path model;
  JobInput input;
  /// Defaults for requests that do not set their own; `seed` is the job's seed, from which requests
  /// without a seed derive theirs.
  SamplingParams sampling;
  JobParallel parallel;
  JobEngine engine;
  JobOutput output;
  JobRun run;
};

/// Reads a job file and applies overrides "key.path=value" in order. Relative paths in the file are
/// relative to its folder, those in overrides to the current directory. Throws UserError
/// "FILE:LINE: …" or "--set KEY: …" for anything that is not exactly right: unknown key (the
/// nearest valid one is named), duplicate key, wrong type, out of range, missing. "${NAME}" in a
/// path is the environment's variable, which must be set.
Job load_job(const std::filesystem::path& file, std::span<const std::string> overrides = {});

/// engine.watchdog_seconds as the command line alone has it, before the job file is read; else the
/// default, mistakes too, of which load_job speaks.
double watchdog_before_job_file(std::span<const std::string> overrides);

/// The job as a job file: every key, in the order of the table, paths absolute. `load_job` of it
/// gives the same job.
std::string to_yaml(const Job& job);

/// The table that parsing, writing, the documentation, the JSON Schema, completion and the "did you
/// mean" all come from.
struct JobKey {
  std::string path;          ///< "engine.kv_block"
  ValueType type;            ///< with its bounds, which are checked before `read` is called
  std::string_view meaning;  ///< one sentence
  bool required = false;
  std::function<void(const YamlValue& value, Job& job)> read;  ///< a value of that type
  std::function<std::string(const Job& job)> write;  ///< as YAML flow text, paths absolute
  std::string_view old_path = {};  ///< its name in earlier versions, which is still read
};
std::span<const JobKey> job_keys();

}  // namespace weft
