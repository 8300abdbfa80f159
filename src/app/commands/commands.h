// The commands of the program: their options and entry points, each in its own file. All return
// the exit status and throw UserError for the user's mistakes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/exit_status.h"
#include "base/types.h"
#include "engine/request.h"
#include "ops/isa.h"

namespace weft {

/// `weft convert HF_DIR MODEL_DIR`, `weft convert --add-file MODEL_DIR FILE` and `weft synth
/// CONFIG_JSON MODEL_DIR`.
struct ConvertOptions {
  std::filesystem::path source;  ///< folder of the checkpoint; synth: a config.json
  std::filesystem::path model_dir;
  std::optional<DType> dtype;
  int tp = 1;
  int pp = 1;
  int ep = 1;
  std::optional<int> segments;  ///< cap for o and down; nothing: the contract's
  std::uint64_t seed = 0;       ///< synth only
  /// convert only: list this file in the manifest of `model_dir`, and convert nothing.
  std::optional<std::filesystem::path> added;
};
int command_convert(const ConvertOptions& options);
int command_synth(const ConvertOptions& options);

/// `weft verify MODEL_DIR`.
struct VerifyOptions {
  std::filesystem::path model_dir;
};
int command_verify(const VerifyOptions& options);

/// `weft tokenize MODEL_DIR`: lines of standard input, to standard output.
struct TokenizeOptions {
  std::filesystem::path model_dir;
  bool decode = false;         ///< arrays of ids to text
  bool plain = false;          ///< encode: without BOS and the like
  bool parse_special = false;  ///< encode: names of special tokens are these tokens
  bool keep_special = false;   ///< decode: special tokens by name
};
int command_tokenize(const TokenizeOptions& options);

/// `weft run JOB_YAML`.
struct RunOptions {
  std::filesystem::path job;
  std::vector<std::string> overrides;  ///< "key.path=value"
  bool retry_failed = false;           ///< compute the rows that failed again
  bool metrics = false;                ///< "weft-metric" lines on standard error at the end
};
int command_run(const RunOptions& options);

/// `weft status JOB_YAML`: with `retry_failed` only rows that succeeded count.
int command_status(const RunOptions& options);

/// `weft report DIR…`.
struct ReportOptions {
  std::vector<std::filesystem::path> directories;
  std::vector<std::filesystem::path> compared;  ///< the other set of runs, B
  std::string format = "text";                  ///< "csv", "json", "html"
  std::filesystem::path output;                 ///< empty: standard output
  std::string baseline;                         ///< "ranks=1"; empty: the fewest ranks
};
int command_report(const ReportOptions& options);

/// `weft plan JOB_YAML`.
struct PlanOptions {
  std::filesystem::path job;
  std::vector<std::string> overrides;
  std::optional<int> ranks;  ///< a table of all layouts of that many
  std::optional<int> gpus_per_node;
  std::optional<int> gpu_memory;  ///< GiB that a GPU has; nothing: as the visible one
  // Whose speed to predict, at most one of them; none: no prediction.
  std::string limits;           ///< rates of a rank, see parse_limits; empty: not given
  std::string gpu;              ///< a kind of GPU, see gpu_limits; empty: not given
  bool measure = false;         ///< this machine's CPU
  std::string sort = "decode";  ///< of a table, see plan_order
  bool all = false;             ///< of a table: every layout
  bool json = false;
  bool verbose = false;  ///< what is divided, and what travels
  // How long the prompt file takes.
  bool simulate = false;
  std::string answers = "max";            ///< see simulated_requests
  std::vector<int> nodes;                 ///< a curve over these numbers of nodes
  std::optional<std::string> time_limit;  ///< of each run, as run.time_limit
};
int command_plan(const PlanOptions& options);

/// `weft generate MODEL_DIR`. Exactly one of `prompt`, `prompt_file` and `ids` is set.
struct GenerateOptions {
  /// For a person's one prompt: greedy, and long enough to read.
  GenerateOptions() {
    sampling.temperature = 0;
    sampling.max_tokens = 128;
  }

  std::filesystem::path model_dir;
  std::optional<std::string> prompt;
  std::optional<std::filesystem::path> prompt_file;
  std::optional<std::vector<TokenId>> ids;
  bool chat = false;                  ///< the prompt is a user's message, for the chat template
  std::optional<std::string> system;  ///< with `chat`: a system message before it
  bool no_thinking = false;           ///< with `chat`: the template's enable_thinking is false
  SamplingParams sampling;
  int tp = 1;
  std::optional<int> threads;  ///< nothing: the rank's share of its host's cores
  Isa isa = Isa::automatic;
  std::int64_t max_sequence_length = 0;  ///< 0: the model's
  bool digest = false;                   ///< print the logits digest at the end
  bool quiet = false;                    ///< no figures at the end
};
int command_generate(const GenerateOptions& options);

/// `weft bench MODEL_DIR`: on all ranks as one tensor-parallel replica.
struct BenchOptions {
  std::filesystem::path model_dir;
  std::optional<int> threads;  ///< nothing: the rank's share of its host's cores
  Isa isa = Isa::automatic;
  int runs = 7;                      ///< timed steps of each case
  bool no_graphs = false;            ///< on GPUs: nothing is recorded
  bool no_async_scheduling = false;  ///< on a GPU: of the parts, no step is launched ahead
  bool long_cases = false;           ///< also 4,096 prompt tokens, and decode behind 8,192
  bool parts = false;  ///< also the all-reduce alone, and choosing tokens for 256 sequences
};
int command_bench(const BenchOptions& options);

/// `weft selftest`: on layouts of up to all ranks.
struct SelftestOptions {
  bool full = false;            ///< every layout with every schedule
  std::int64_t random = 200;    ///< random combinations, unless full
  std::uint64_t seed = 1;       ///< of these
  std::int64_t parts = 1;       ///< only every so-manieth trial,
  std::int64_t part = 1;        ///< beginning with this one
  std::int64_t trials = 0;      ///< only so many, spread over all; 0: all
  std::int64_t time_limit = 0;  ///< seconds after which no trial begins; 0: none
};
int command_selftest(const SelftestOptions& options);

/// `weft job`: what is known of the keys of job files. One of these, or none.
struct JobOptions {
  bool keys = false;  ///< as text; also when nothing is asked for
  bool schema = false;
  bool markdown = false;
};
int command_job(const JobOptions& options);

/// `weft --version`: version, contract, backends, instruction set.
std::string version_text();

}  // namespace weft
