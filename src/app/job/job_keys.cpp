// The table of all keys of a job file. A new key is one entry here and one member in job.h; a new
// sampling parameter is an entry in sampling_parameters.cpp.
#include <iterator>
#include <utility>

#include "app/job/job.h"
#include "app/job/sampling_parameters.h"
#include "app/job/yaml_value.h"
#include "base/error.h"
#include "layout/grid.h"

namespace weft {
namespace {

using Value = YamlValue;

constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;  ///< of a batch, a length
constexpr double kMaxSeconds = 1e6;

constexpr ValueType kAxis = types::integer(1, kLargestAxis);
constexpr ValueType kSize = types::integer(1, kMaxSize);

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

int axis(const Value& value) { return static_cast<int>(value.integer()); }

std::optional<int> axis_or_auto(const Value& value) {
  if (value.is_word("auto")) return std::nullopt;
  return axis(value);
}

/// A positive number, or 0 for "auto".
std::int64_t length_or_auto(const Value& value) {
  return value.is_word("auto") ? 0 : value.integer();
}
std::string written_length(std::int64_t length) { return length == 0 ? "auto" : written(length); }

MemoryAmount memory_amount(const Value& value) {
  using Kind = MemoryAmount::Kind;
  if (value.is_word("auto")) return {};
  if (value.is_bytes()) return {.kind = Kind::bytes, .bytes = value.bytes(), .fraction = 0};
  return {.kind = Kind::fraction, .bytes = 0, .fraction = value.number()};
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

/// The names of an enumeration's first values.
template <class Enum>
ValueType names_of(int count) {
  ValueType type{.kind = ValueType::Kind::word};
  for (int i = 0; i < count; ++i) type = type.or_word(name(Enum{i}));
  return type;
}

/// The value of that name, one of those that the key's type lists.
template <class Enum>
Enum named(const Value& value) {
  int i = 0;
  while (name(Enum{i}) != value.text()) ++i;
  return Enum{i};
}

/// The keys of the section "sampling".
std::vector<JobKey> sampling_keys() {
  std::vector<JobKey> keys;
  for (const SamplingParameter& parameter : sampling_parameters()) {
    if (!parameter.allowed(kInJob)) continue;
    keys.push_back({fmt::format("sampling.{}", parameter.name), parameter.type, parameter.meaning,
                    false,
                    [&parameter](const Value& v, Job& j) {
                      set_parameter(parameter, v, j.sampling);
                      settle(j.sampling);
                    },
                    [&parameter](const Job& j) { return written(parameter, j.sampling); }});
  }
  return keys;
}

// clang-format off
std::vector<JobKey> other_keys() { return {
    {"model", types::path(), "The model directory, as `weft convert` or `weft synth` made it.", true,
     [](const Value& v, Job& j) { j.model = v.path(); },
     [](const Job& j) { return written(j.model); }},

    {"input.file", types::path(), "The prompt file; see [formats](formats.md).", true,
     [](const Value& v, Job& j) { j.input.file = v.path(); },
     [](const Job& j) { return written(j.input.file); }},
    {"input.format", names_of<InputFormat>(3),
     "OpenAI batch lines, JSON objects with a text member, or lines of text.", false,
     [](const Value& v, Job& j) { j.input.format = named<InputFormat>(v); },
     [](const Job& j) { return std::string(name(j.input.format)); }},
    {"input.field", types::text(), "With `jsonl`: the member that holds the prompt.", false,
     [](const Value& v, Job& j) { j.input.field = v.text(); },
     [](const Job& j) { return written(std::string_view(j.input.field)); }},
    {"input.special_tokens", types::one_of({"auto", "text", "parse"}),
     "Whether names of special tokens in requests stay text or are these tokens; `auto`: tokens in prompts, text in chats, whose authors are not trusted.", false,
     [](const Value& v, Job& j) { j.input.special_tokens = SpecialTokens{v.choice({"auto", "text", "parse"})}; },
     [](const Job& j) { return std::string(name(j.input.special_tokens)); }},
    {"input.lost_messages", types::one_of({"error", "warn"}),
     "What becomes of a chat of which the model's template leaves a message, a part of one or a tool "
     "out: an error row, or an answer that the report counts.", false,
     [](const Value& v, Job& j) { j.input.lost_messages = LostMessages{v.choice({"error", "warn"})}; },
     [](const Job& j) { return std::string(name(j.input.lost_messages)); }},

    // Here come those of "sampling".

    {"parallel.tp", kAxis, "Tensor parallelism: ranks that share each layer.", false,
     [](const Value& v, Job& j) { j.parallel.tp = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.tp}); }},
    {"parallel.pp", kAxis, "Pipeline parallelism: groups of layers.", false,
     [](const Value& v, Job& j) { j.parallel.pp = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.pp}); }},
    {"parallel.sp", kAxis, "Sequence parallelism: ranks that share a long prompt.", false,
     [](const Value& v, Job& j) { j.parallel.sp = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.sp}); }},
    {"parallel.ep", kAxis, "Expert parallelism: ranks that share the experts.", false,
     [](const Value& v, Job& j) { j.parallel.ep = axis(v); },
     [](const Job& j) { return written(std::int64_t{j.parallel.ep}); }},
    {"parallel.dp", kAxis.or_word("auto"),
     "Replicas of the whole model; `auto`: as many as there are ranks for.", false,
     [](const Value& v, Job& j) { j.parallel.dp = axis_or_auto(v); },
     [](const Job& j) { return written(j.parallel.dp); }},

    {"engine.device", names_of<Device>(3), "What computes; `auto`: GPUs if every rank has one, else CPUs.", false,
     [](const Value& v, Job& j) { j.engine.device = named<Device>(v); },
     [](const Job& j) { return std::string(name(j.engine.device)); }},
    {"engine.share_gpus", types::boolean(),
     "Several ranks may have the same GPU; for tests, it makes nothing faster.", false,
     [](const Value& v, Job& j) { j.engine.share_gpus = v.boolean(); },
     [](const Job& j) { return written(j.engine.share_gpus); }},
    {"engine.collectives", names_of<Collectives>(3),
     "How GPU ranks of a replica exchange data; `staged`: by MPI through host memory; `auto`: NCCL if it is found.", false,
     [](const Value& v, Job& j) { j.engine.collectives = named<Collectives>(v); },
     [](const Job& j) { return std::string(name(j.engine.collectives)); }},
    {"engine.symmetric_memory", types::boolean(),
     "With NCCL 2.27 or later: put the buffers of tensor-parallel gathers into symmetric memory. Each of two buffers may take hundreds of MiB more than planned; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.symmetric_memory = v.boolean(); },
     [](const Job& j) { return written(j.engine.symmetric_memory); }},
    {"engine.numerics", names_of<Numerics>(2),
     "`invariant`: the same bits on every layout; `fast`, on GPUs only, gives that up.", false,
     [](const Value& v, Job& j) { j.engine.numerics = named<Numerics>(v); },
     [](const Job& j) { return std::string(name(j.engine.numerics)); }},
    {"engine.cuda_graphs", types::one_of({"auto", "true", "false"}),
     "Record decode steps as CUDA graphs; `auto`: on GPUs, if layout and model allow it; the bits do not depend on it.", false,
     [](const Value& v, Job& j) {
       const int choice = v.choice({"auto", "true", "false"});
       j.engine.cuda_graphs = choice == 0 ? std::optional<bool>() : choice == 1;
     },
     [](const Job& j) { return j.engine.cuda_graphs ? written(*j.engine.cuda_graphs) : "auto"; }},
    {"engine.async_scheduling", types::boolean(),
     "Asynchronous scheduling: submit a step before the host has the tokens of the one in flight. On GPUs, with pp = 1 and ep = 1; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.async_scheduling = v.boolean(); },
     [](const Job& j) { return written(j.engine.async_scheduling); }, "engine.run_ahead"},
    {"engine.isa", names_of<Isa>(5),
     "Instruction set of CPU ranks; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.isa = named<Isa>(v); },
     [](const Job& j) { return std::string(name(j.engine.isa)); }},
    {"engine.threads", kAxis.or_word("auto"),
     "Threads of each CPU rank; `auto`: its share of its host's cores.", false,
     [](const Value& v, Job& j) { j.engine.threads = axis_or_auto(v); },
     [](const Job& j) { return written(j.engine.threads); }},
    {"engine.max_batch_tokens", kSize, "Most tokens, of all sequences, in one step.", false,
     [](const Value& v, Job& j) { j.engine.max_batch_tokens = v.integer(); },
     [](const Job& j) { return written(j.engine.max_batch_tokens); }},
    {"engine.max_sequences", kSize, "Most sequences of a replica in the cache at a time.", false,
     [](const Value& v, Job& j) { j.engine.max_sequences = v.integer(); },
     [](const Job& j) { return written(j.engine.max_sequences); }},
    {"engine.max_sequence_length", kSize.or_word("auto"),
     "Longest sequence, prompt included; `auto`: the model's.", false,
     [](const Value& v, Job& j) { j.engine.max_sequence_length = length_or_auto(v); },
     [](const Job& j) { return written_length(j.engine.max_sequence_length); }},
    {"engine.kv_block", types::integer(16, 1024, 16), "Tokens per block of the key/value cache.", false,
     [](const Value& v, Job& j) { j.engine.kv_block = v.integer(); },
     [](const Job& j) { return written(j.engine.kv_block); }},
    {"engine.kv_memory", types::memory().or_word("auto"),
     "Memory of each rank for the key/value cache; a fraction is of the memory that the rank may use.", false,
     [](const Value& v, Job& j) { j.engine.kv_memory = memory_amount(v); },
     [](const Job& j) { return written(j.engine.kv_memory); }},
    {"engine.prefill_chunk", kSize.or_word("auto"),
     "Most tokens of one prompt in one step; `auto`: as many as fit.", false,
     [](const Value& v, Job& j) { j.engine.prefill_chunk = length_or_auto(v); },
     [](const Job& j) { return written_length(j.engine.prefill_chunk); }},
    {"engine.sp_threshold", kSize,
     "Prompts of at least that many tokens are shared by the sp ranks; shorter ones are computed by "
     "one of them.",
     false, [](const Value& v, Job& j) { j.engine.sp_threshold = v.integer(); },
     [](const Job& j) { return written(j.engine.sp_threshold); }},
    {"engine.prefix_sharing", types::boolean(),
     "Prompts that begin alike share blocks of the key/value cache; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.prefix_sharing = v.boolean(); },
     [](const Job& j) { return written(j.engine.prefix_sharing); }},
    {"engine.layers", kSize.or_word("auto"),
     "Run only the model's first layers, for measurements; `auto`: all.", false,
     [](const Value& v, Job& j) {
       const std::int64_t layers = length_or_auto(v);
       j.engine.layers = layers == 0 ? std::optional<std::int64_t>() : layers;
     },
     [](const Job& j) { return written(j.engine.layers); }},
    {"engine.load", names_of<WeightLoading>(3),
     "`read`: every replica reads the weights; `broadcast`: one reads and sends them to the others; `auto`: broadcast across hosts, unless each has the model on a disk of its own.", false,
     [](const Value& v, Job& j) { j.engine.load = named<WeightLoading>(v); },
     [](const Job& j) { return std::string(name(j.engine.load)); }},
    {"engine.watchdog_seconds", types::number(1, kMaxSeconds).or_word("0"),
     "The job aborts if a rank is silent or blocks others this long, or gets nothing done for three times as long; 0: wait forever.", false,
     [](const Value& v, Job& j) { j.engine.watchdog_seconds = v.number(); },
     [](const Job& j) { return written(j.engine.watchdog_seconds); }},

    {"speculation.method", names_of<Speculation>(2),
     "`lookup`: tokens are drafted by looking up where a sequence's end occurred before in it, and computed together with its next one; the bits do not depend on it.", false,
     [](const Value& v, Job& j) { j.engine.speculation = named<Speculation>(v); },
     [](const Job& j) { return std::string(name(j.engine.speculation)); }},
    {"speculation.max_draft", types::integer(1, 64), "Most tokens that a sequence drafts in a step.", false,
     [](const Value& v, Job& j) { j.engine.max_draft = v.integer(); },
     [](const Job& j) { return written(j.engine.max_draft); }},

    {"output.dir", types::path(), "The output directory; made if missing.", true,
     [](const Value& v, Job& j) { j.output.dir = v.path(); },
     [](const Job& j) { return written(j.output.dir); }},
    {"output.digest", types::boolean(),
     "Result rows carry the digest of the logits and the token ids.", false,
     [](const Value& v, Job& j) { j.output.digest = v.boolean(); },
     [](const Job& j) { return written(j.output.digest); }},
    {"output.created", types::integer(0, std::int64_t{1} << 53),
     "`created` of every result row, in seconds since 1970; the same on every run.", false,
     [](const Value& v, Job& j) { j.output.created = v.integer(); },
     [](const Job& j) { return written(j.output.created); }},
    {"output.sync_interval", types::number(0, kMaxSeconds),
     "A finished row is on disk after this many seconds at the latest; 0: at once.", false,
     [](const Value& v, Job& j) { j.output.sync_interval = v.number(); },
     [](const Job& j) { return written(j.output.sync_interval); }},
    {"output.trace", types::boolean(), "Write `trace.json`, the ranks' time lines, for Perfetto.", false,
     [](const Value& v, Job& j) { j.output.trace = v.boolean(); },
     [](const Job& j) { return written(j.output.trace); }},

    {"run.time_limit", types::duration().or_word("slurm").or_word("none"),
     "Stop as SIGTERM does, to be resumed, that long after the start; without a unit: seconds; `slurm`: two minutes, or a tenth of the time if that is less, before Slurm's own limit.", false,
     read_time_limit, written_time_limit},
    {"run.progress_seconds", types::number(0, kMaxSeconds),
     "Seconds between progress lines if the output is not a terminal; 0: none at all.", false,
     [](const Value& v, Job& j) { j.run.progress_seconds = v.number(); },
     [](const Job& j) { return written(j.run.progress_seconds); }},
};
}
// clang-format on

std::vector<JobKey> all_keys() {
  std::vector<JobKey> keys = other_keys();
  std::vector<JobKey> sampling = sampling_keys();
  auto at = keys.begin();
  while (!at->path.starts_with("parallel.")) ++at;
  keys.insert(at, std::make_move_iterator(sampling.begin()),
              std::make_move_iterator(sampling.end()));
  return keys;
}

}  // namespace

std::span<const JobKey> job_keys() {
  static const std::vector<JobKey> keys = all_keys();
  return keys;
}

}  // namespace weft
