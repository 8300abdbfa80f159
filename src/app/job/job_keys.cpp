// The table of all keys of a job file. A new key is one entry here and one member in job.h.
#include <algorithm>
#include <initializer_list>
#include <limits>

#include "app/job/job.h"
#include "app/job/yaml_value.h"
#include "base/error.h"
#include "layout/grid.h"

namespace weft {
namespace {

using Value = YamlValue;

constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;  ///< of a batch, a length
constexpr std::int64_t kMaxTokenId = std::numeric_limits<TokenId>::max();
constexpr std::size_t kMaxStops = 16;
constexpr std::size_t kMaxBadWords = 1024;

std::string written(bool value) { return value ? "true" : "false"; }
std::string written(std::int64_t value) { return fmt::format("{}", value); }
std::string written(double value) { return fmt::format("{}", value); }
std::string written(std::string_view value) { return yaml_quoted(value); }
std::string written(const std::filesystem::path& path) {
  if (path.empty()) return "";
  std::string text = std::filesystem::absolute(path).string();
  for (std::size_t at = 0; (at = text.find("${", at)) != std::string::npos; at += 3) {
    text.insert(at, "$");  // no variable
  }
  return yaml_quoted(text);
}
template <class T>
std::string written(const std::optional<T>& value) {
  return value ? written(std::int64_t{*value}) : "auto";
}
template <class T>
std::string written_list(const std::vector<T>& items) {
  std::string text = "[";
  for (const T& item : items) {
    if (text.size() > 1) text += ", ";
    if constexpr (std::is_integral_v<T>) {
      text += written(std::int64_t{item});
    } else {
      text += written(std::string_view(item));
    }
  }
  return text + "]";
}
std::string written(const MemoryAmount& amount) {
  if (amount.kind == MemoryAmount::Kind::automatic) return "auto";
  if (amount.kind == MemoryAmount::Kind::fraction) {
    const std::string text = fmt::format("{}", amount.fraction);
    return text == "1" ? "1.0" : text;  // "1" would be one byte
  }
  constexpr Bytes gib = Bytes{1} << 30;
  return amount.bytes % gib == 0 ? fmt::format("{}GiB", amount.bytes / gib)
                                 : fmt::format("{}", amount.bytes);
}

int axis(const Value& value) { return static_cast<int>(value.integer(1, kLargestAxis)); }

std::optional<int> axis_or_auto(const Value& value) {
  if (value.is_word("auto")) return std::nullopt;
  return axis(value);
}

/// A positive number, or 0 for "auto".
std::int64_t length_or_auto(const Value& value) {
  return value.is_word("auto") ? 0 : value.integer(1, kMaxSize);
}
std::string written_length(std::int64_t length) { return length == 0 ? "auto" : written(length); }

MemoryAmount memory_amount(const Value& value) {
  using Kind = MemoryAmount::Kind;
  if (value.is_word("auto")) return {};
  if (value.is_bytes()) {
    const Bytes bytes = value.bytes();
    if (bytes < 1024) value.refuse("must be at least 1KiB; a fraction has a point, such as 0.9");
    return {.kind = Kind::bytes, .bytes = bytes, .fraction = 0};
  }
  const std::string& text = value.text();
  if (text.empty() || text.find_first_not_of("0123456789.eE-+") != std::string::npos) {
    value.refuse("must be auto, a size such as 8GiB, or a fraction such as 0.9");
  }
  const double fraction = value.number(0, 1);
  if (fraction == 0) value.refuse("must be above 0");
  return {.kind = Kind::fraction, .bytes = 0, .fraction = fraction};
}

std::int64_t kv_block(const Value& value) {
  const std::int64_t tokens = value.integer(16, 1024);
  if (tokens % 16 != 0) value.refuse("must be a multiple of 16");
  return tokens;
}

void read_time_limit(const Value& value, Job& job) {
  job.run.time_limit.reset();
  job.run.slurm_time_limit = value.is_word("slurm");
  if (job.run.slurm_time_limit || value.is_word("none")) return;
  job.run.time_limit = value.duration();
}
std::string written_time_limit(const Job& job) {
  if (job.run.slurm_time_limit) return "slurm";
  return job.run.time_limit ? fmt::format("{}s", *job.run.time_limit) : "none";
}

double top_p(const Value& value) {
  const double p = value.number(0, 1);
  if (p == 0) value.refuse("must be above 0");
  return p;
}

double repetition_penalty(const Value& value) {
  const double penalty = value.number(0, 100);
  if (static_cast<float>(penalty) == 0) value.refuse("must be above 0");
  return penalty;
}

std::vector<std::string> texts(const Value& value, std::size_t most) {
  std::vector<std::string> texts =
      value.is_list ? value.strings() : std::vector<std::string>{value.text()};
  if (texts.size() > most) value.refuse(fmt::format("must have at most {} items", most));
  for (const std::string& text : texts) {
    if (text.empty()) value.refuse("must not hold an empty string");
  }
  return texts;
}

std::vector<TokenId> token_ids(const Value& value) {
  std::vector<TokenId> ids;
  for (const std::int64_t id : value.integers(0, kMaxTokenId)) {
    ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

std::vector<TokenId> distinct(std::vector<TokenId> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::string field(const Value& value) {
  if (value.text().empty()) value.refuse("must be a name");
  return value.text();
}

Isa isa(const Value& value) {
  static_cast<void>(value.choice({"auto", "avx512_bf16", "avx512", "avx2", "plain"}));
  return isa_from_name(value.text());
}

// clang-format off
const JobKey kKeys[] = {
    {"model", "path", "The model directory, as `weft convert` or `weft synth` made it.", true,
     [](const Value& v, Job& j) { j.model = v.path(); },
     [](const Job& j) { return written(j.model); }},

    {"input.file", "path", "The prompt file; see [formats](formats.md).", true,
     [](const Value& v, Job& j) { j.input.file = v.path(); },
     [](const Job& j) { return written(j.input.file); }},
    {"input.format", "`openai`, `jsonl`, `text`",
     "OpenAI batch lines, JSON objects with a text member, or lines of text.", false,
     [](const Value& v, Job& j) { j.input.format = InputFormat{v.choice({"openai", "jsonl", "text"})}; },
     [](const Job& j) { return std::string(name(j.input.format)); }},
    {"input.field", "string", "With `jsonl`: the member that holds the prompt.", false,
     [](const Value& v, Job& j) { j.input.field = field(v); },
     [](const Job& j) { return written(std::string_view(j.input.field)); }},

    {"sampling.temperature", "number, 0 to 100", "0 takes the likeliest token every time (greedy).", false,
     [](const Value& v, Job& j) { j.sampling.temperature = v.number(0, 100); },
     [](const Job& j) { return written(j.sampling.temperature); }},
    {"sampling.top_p", "number, above 0 to 1",
     "Sample from the likeliest tokens that together have this probability.", false,
     [](const Value& v, Job& j) { j.sampling.top_p = top_p(v); },
     [](const Job& j) { return written(j.sampling.top_p); }},
    {"sampling.top_k", "integer, at least 0", "Sample from that many likeliest tokens; 0: from all.", false,
     [](const Value& v, Job& j) { j.sampling.top_k = v.integer(0, kMaxTokenId); },
     [](const Job& j) { return written(j.sampling.top_k); }},
    {"sampling.min_p", "number, 0 to 1",
     "Sample from tokens at least this likely, relative to the likeliest.", false,
     [](const Value& v, Job& j) { j.sampling.min_p = v.number(0, 1); },
     [](const Job& j) { return written(j.sampling.min_p); }},
    {"sampling.presence_penalty", "number, -2 to 2",
     "Taken off the logits of tokens that were generated already.", false,
     [](const Value& v, Job& j) { j.sampling.presence_penalty = v.number(-2, 2); },
     [](const Job& j) { return written(j.sampling.presence_penalty); }},
    {"sampling.frequency_penalty", "number, -2 to 2",
     "Taken off a token's logit as often as it was generated already.", false,
     [](const Value& v, Job& j) { j.sampling.frequency_penalty = v.number(-2, 2); },
     [](const Job& j) { return written(j.sampling.frequency_penalty); }},
    {"sampling.repetition_penalty", "number, above 0 to 100",
     "Divides positive and multiplies negative logits of tokens of prompt and answer.", false,
     [](const Value& v, Job& j) { j.sampling.repetition_penalty = repetition_penalty(v); },
     [](const Job& j) { return written(j.sampling.repetition_penalty); }},
    {"sampling.allowed_token_ids", "list of token ids", "Nothing else is generated; empty: everything may be.", false,
     [](const Value& v, Job& j) { j.sampling.allowed_token_ids = distinct(token_ids(v)); },
     [](const Job& j) { return written_list(j.sampling.allowed_token_ids); }},
    {"sampling.bad_words", "string, or list of up to 1024", "Texts that are never generated.", false,
     [](const Value& v, Job& j) { j.sampling.bad_words = texts(v, kMaxBadWords); },
     [](const Job& j) { return written_list(j.sampling.bad_words); }},
    {"sampling.max_tokens", "integer, at least 1", "Most tokens to generate.", false,
     [](const Value& v, Job& j) { j.sampling.max_tokens = v.integer(1, kMaxTokenId); },
     [](const Job& j) { return written(j.sampling.max_tokens); }},
    {"sampling.min_tokens", "integer, at least 0", "Stops are not looked at before that many tokens.", false,
     [](const Value& v, Job& j) { j.sampling.min_tokens = v.integer(0, kMaxTokenId); },
     [](const Job& j) { return written(j.sampling.min_tokens); }},
    {"sampling.seed", "integer, at least 0",
     "The job's seed: a request without a seed derives its own from this one and its `custom_id`.", false,
     [](const Value& v, Job& j) {
       j.sampling.seed = static_cast<std::uint64_t>(v.integer(0, std::numeric_limits<std::int64_t>::max()));
     },
     [](const Job& j) { return fmt::format("{}", j.sampling.seed); }},
    {"sampling.ignore_eos", "`true`, `false`", "Go on behind the model's end tokens.", false,
     [](const Value& v, Job& j) { j.sampling.ignore_eos = v.boolean(); },
     [](const Job& j) { return written(j.sampling.ignore_eos); }},
    {"sampling.stop", "string, or list of up to 16", "Texts that end a completion; they are cut off.", false,
     [](const Value& v, Job& j) { j.sampling.stop = texts(v, kMaxStops); },
     [](const Job& j) { return written_list(j.sampling.stop); }},
    {"sampling.stop_token_ids", "list of token ids", "Tokens that end a completion, as end tokens do.", false,
     [](const Value& v, Job& j) { j.sampling.stop_token_ids = token_ids(v); },
     [](const Job& j) { return written_list(j.sampling.stop_token_ids); }},

    {"parallel.tp", "integer, at least 1", "Tensor parallelism: ranks that share each layer.", false,
     [](const Value& v, Job& j) { j.parallel.tp = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.tp}); }},
    {"parallel.pp", "integer, at least 1", "Pipeline parallelism: groups of layers.", false,
     [](const Value& v, Job& j) { j.parallel.pp = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.pp}); }},
    {"parallel.sp", "integer, at least 1", "Sequence parallelism: ranks that share a long prompt.", false,
     [](const Value& v, Job& j) { j.parallel.sp = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.sp}); }},
    {"parallel.ep", "integer, at least 1", "Expert parallelism: ranks that share the experts.", false,
     [](const Value& v, Job& j) { j.parallel.ep = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.ep}); }},
    {"parallel.dp", "integer, at least 1, or `auto`",
     "Replicas of the whole model; `auto`: as many as there are ranks for.", false,
     [](const Value& v, Job& j) { j.parallel.dp = axis_or_auto(v); },
     [](const Job& j) { return written(j.parallel.dp); }},

    {"engine.device", "`auto`, `cpu`, `cuda`", "What computes; `auto`: the GPUs where every rank has one, else the CPUs.", false,
     [](const Value& v, Job& j) { j.engine.device = Device{v.choice({"auto", "cpu", "cuda"})}; },
     [](const Job& j) { return std::string(name(j.engine.device)); }},
    {"engine.share_gpus", "`true`, `false`",
     "Let several ranks have the same GPU: for tests, it makes nothing faster.", false,
     [](const Value& v, Job& j) { j.engine.share_gpus = v.boolean(); },
     [](const Job& j) { return written(j.engine.share_gpus); }},
    {"engine.collectives", "`auto`, `nccl`, `staged`",
     "How GPU ranks of a replica exchange data; `staged`: by MPI through the hosts' memory; `auto`: NCCL where it is found.", false,
     [](const Value& v, Job& j) { j.engine.collectives = Collectives{v.choice({"auto", "nccl", "staged"})}; },
     [](const Job& j) { return std::string(name(j.engine.collectives)); }},
    {"engine.symmetric_memory", "`true`, `false`",
     "Over NCCL 2.27 or later, partial sums lie in symmetric memory while tensor-parallel ranks gather them (nothing with `tp` = 1); each of two buffers may take hundreds of MiB more than planned; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.symmetric_memory = v.boolean(); },
     [](const Job& j) { return written(j.engine.symmetric_memory); }},
    {"engine.numerics", "`invariant`, `fast`",
     "`invariant`: the same bits on every layout; `fast`, on GPUs only, gives that up.", false,
     [](const Value& v, Job& j) { j.engine.numerics = Numerics{v.choice({"invariant", "fast"})}; },
     [](const Job& j) { return std::string(name(j.engine.numerics)); }},
    {"engine.cuda_graphs", "`auto`, `true`, `false`",
     "Record decode steps as CUDA graphs; `auto`: on GPUs, where the layout and the model allow it; the bits do not depend on it.", false,
     [](const Value& v, Job& j) {
       const int choice = v.choice({"auto", "true", "false"});
       j.engine.cuda_graphs = choice == 0 ? std::optional<bool>() : choice == 1;
     },
     [](const Job& j) { return j.engine.cuda_graphs ? written(*j.engine.cuda_graphs) : "auto"; }},
    {"engine.run_ahead", "`true`, `false`",
     "Where a replica of GPUs is one stage (pp = 1) and its experts, if any, are in one part (ep = 1), launch a step before the host has the tokens of the one before it; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.async_scheduling = v.boolean(); },
     [](const Job& j) { return written(j.engine.async_scheduling); }},
    {"engine.isa", "`auto`, `avx512_bf16`, `avx512`, `avx2`, `plain`",
     "Instruction set of CPU ranks; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.isa = isa(v); },
     [](const Job& j) { return std::string(name(j.engine.isa)); }},
    {"engine.threads", "integer, at least 1, or `auto`",
     "Threads of each CPU rank; `auto`: its share of its host's cores.", false,
     [](const Value& v, Job& j) { j.engine.threads = axis_or_auto(v); },
     [](const Job& j) { return written(j.engine.threads); }},
    {"engine.max_batch_tokens", "integer, at least 1", "Most tokens, of all sequences, in one step.", false,
     [](const Value& v, Job& j) { j.engine.max_batch_tokens = v.integer(1, kMaxSize); },
     [](const Job& j) { return written(j.engine.max_batch_tokens); }},
    {"engine.max_sequences", "integer, at least 1", "Most sequences of a replica in the cache at a time.", false,
     [](const Value& v, Job& j) { j.engine.max_sequences = v.integer(1, kMaxSize); },
     [](const Job& j) { return written(j.engine.max_sequences); }},
    {"engine.max_sequence_length", "integer, at least 1, or `auto`",
     "Longest sequence, prompt included; `auto`: the model's.", false,
     [](const Value& v, Job& j) { j.engine.max_sequence_length = length_or_auto(v); },
     [](const Job& j) { return written_length(j.engine.max_sequence_length); }},
    {"engine.kv_block", "integer, multiple of 16, up to 1024", "Tokens of one page of the key/value cache.", false,
     [](const Value& v, Job& j) { j.engine.kv_block = kv_block(v); },
     [](const Job& j) { return written(j.engine.kv_block); }},
    {"engine.kv_memory", "size such as `8GiB`, fraction such as `0.9`, or `auto`",
     "Memory of each rank for the key/value cache; a fraction is of the memory that the rank may use.", false,
     [](const Value& v, Job& j) { j.engine.kv_memory = memory_amount(v); },
     [](const Job& j) { return written(j.engine.kv_memory); }},
    {"engine.prefill_chunk", "integer, at least 1, or `auto`",
     "Most tokens of one prompt in one step; `auto`: as many as fit.", false,
     [](const Value& v, Job& j) { j.engine.prefill_chunk = length_or_auto(v); },
     [](const Job& j) { return written_length(j.engine.prefill_chunk); }},
    {"engine.sp_threshold", "integer",
     "Prompts of at least that many tokens are shared by the sp ranks; shorter ones are computed by "
     "one of them.",
     false, [](const Value& v, Job& j) { j.engine.sp_threshold = v.integer(1, kMaxSize); },
     [](const Job& j) { return written(j.engine.sp_threshold); }},
    {"engine.prefix_sharing", "`true`, `false`",
     "Prompts that begin alike share the pages of what they have in common; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.prefix_sharing = v.boolean(); },
     [](const Job& j) { return written(j.engine.prefix_sharing); }},
    {"engine.layers", "integer, at least 1, or `auto`",
     "Run only the model's first layers, for measurements; `auto`: all.", false,
     [](const Value& v, Job& j) {
       const std::int64_t layers = length_or_auto(v);
       j.engine.layers = layers == 0 ? std::optional<std::int64_t>() : layers;
     },
     [](const Job& j) { return written(j.engine.layers); }},
    {"engine.load", "`auto`, `read`, `broadcast`",
     "Every replica reads the weights, or one reads and the others receive them; `auto`: the latter across hosts, unless each has the model on a disk of its own.", false,
     [](const Value& v, Job& j) { j.engine.load = WeightLoading{v.choice({"auto", "read", "broadcast"})}; },
     [](const Job& j) { return std::string(name(j.engine.load)); }},
    {"engine.watchdog_seconds", "0, or a number, at least 1",
     "A rank that is silent for that long, or gets nothing done while others wait for it, ends the job; so does one that gets nothing done for three times as long; 0: wait for ever.", false,
     [](const Value& v, Job& j) {
       j.engine.watchdog_seconds = v.number(0, 1e6);
       const bool hasty = j.engine.watchdog_seconds > 0 && j.engine.watchdog_seconds < 1;
       if (hasty) v.refuse("must be 0 or at least 1");
     },
     [](const Job& j) { return written(j.engine.watchdog_seconds); }},

    {"output.dir", "path", "The output directory; made where missing.", true,
     [](const Value& v, Job& j) { j.output.dir = v.path(); },
     [](const Job& j) { return written(j.output.dir); }},
    {"output.digest", "`true`, `false`",
     "Result rows carry the digest of the logits and the token ids.", false,
     [](const Value& v, Job& j) { j.output.digest = v.boolean(); },
     [](const Job& j) { return written(j.output.digest); }},
    {"output.created", "integer, at least 0",
     "`created` of every result row, in seconds since 1970; the same on every run.", false,
     [](const Value& v, Job& j) { j.output.created = v.integer(0, std::int64_t{1} << 53); },
     [](const Job& j) { return written(j.output.created); }},
    {"output.sync_interval", "number, at least 0",
     "Seconds after which a finished row is on the disk at the latest; 0: each one before the next.", false,
     [](const Value& v, Job& j) { j.output.sync_interval = v.number(0, 1e6); },
     [](const Job& j) { return written(j.output.sync_interval); }},
    {"output.trace", "`true`, `false`", "Write `trace.json`, the ranks' time lines, for Perfetto.", false,
     [](const Value& v, Job& j) { j.output.trace = v.boolean(); },
     [](const Job& j) { return written(j.output.trace); }},

    {"run.time_limit", "duration such as `90`, `15m`, `2h30m`, `04:00:00`, `1-00:00:00`, or `slurm`, or `none`",
     "Stop as SIGTERM does, to be resumed, that long after the start; without a unit: seconds; `slurm`: two minutes, or a tenth of the time if that is less, before Slurm's own limit.", false,
     read_time_limit, written_time_limit},
    {"run.progress_seconds", "number, at least 0",
     "Seconds between progress lines where the output is no terminal; 0: no progress anywhere.", false,
     [](const Value& v, Job& j) { j.run.progress_seconds = v.number(0, 1e6); },
     [](const Job& j) { return written(j.run.progress_seconds); }},
};
// clang-format on

}  // namespace

std::span<const JobKey> job_keys() { return kKeys; }

}  // namespace weft
