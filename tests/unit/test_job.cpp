#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "app/engine_settings.h"
#include "app/job/job.h"
#include "app/job/job_reference.h"
#include "app/job/sampling_parameters.h"
#include "app/job/yaml_document.h"
#include "app/requests/prompts.h"
#include "base/error.h"
#include "catch.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::message_of;
using testing::TempDir;

const std::string kSmall = "model: m\ninput:\n  file: p.jsonl\noutput:\n  dir: out\n";

Job load(const TempDir& dir, const std::string& text, const std::vector<std::string>& set = {}) {
  return load_job(dir.write("job.yaml", text), set);
}

/// The message, with the folder's name taken off.
std::string refusal(const std::string& text, const std::vector<std::string>& set = {}) {
  const TempDir dir;
  std::string message = message_of<UserError>([&] { load(dir, text, set); });
  const std::string folder = dir.path().string() + "/";
  for (auto at = message.find(folder); at != std::string::npos; at = message.find(folder)) {
    message.erase(at, folder.size());
  }
  return message;
}

std::string with_engine(const std::string& lines) { return kSmall + "engine:\n" + lines; }

}  // namespace

TEST_CASE("a small job has the documented defaults", "[job]") {
  const TempDir dir;
  const Job job = load(dir, kSmall);
  CHECK(job.model == dir / "m");
  CHECK(job.input.file == dir / "p.jsonl");
  CHECK(job.output.dir == dir / "out");
  CHECK(job.input.format == InputFormat::openai);
  CHECK(job.sampling.temperature == 1);
  CHECK(job.sampling.max_tokens == 16);
  CHECK(job.parallel.tp == 1);
  CHECK_FALSE(job.parallel.dp.has_value());
  CHECK(job.engine.max_batch_tokens == 2048);
  CHECK(job.engine.max_sequences == 256);
  CHECK(job.engine.kv_block == 32);
  CHECK(job.engine.kv_memory.kind == MemoryAmount::Kind::automatic);
  CHECK_FALSE(job.output.digest);
  CHECK(job.output.sync_interval == 5);
  CHECK_FALSE(job.output.trace);
  CHECK_FALSE(job.run.time_limit.has_value());
  CHECK(job.run.progress_seconds == 60);
}

TEST_CASE("every key is read", "[job]") {
  const TempDir dir;
  const Job job = load(dir, R"(
model: /models/m
input: {file: ../p.txt, format: jsonl, field: question}
sampling:
  temperature: 0.5
  top_p: 9e-1
  top_k: 40
  min_p: 0.05
  max_tokens: 100
  min_tokens: 3
  seed: 7
  ignore_eos: true
  stop: ["\n\n", yes, "010"]
  stop_token_ids:
    - 5
    - 0
parallel: {tp: 2, pp: 3, sp: 4, ep: 5, dp: 6}
engine:
  device: cpu
  numerics: invariant
  cuda_graphs: false
  async_scheduling: false
  isa: avx2
  threads: 3
  max_batch_tokens: 512
  max_sequences: 8
  max_sequence_length: 1024
  kv_block: 64
  kv_memory: 2 GiB
  prefill_chunk: 128
  layers: 2
  watchdog_seconds: 1.5
output: {dir: out, digest: true, sync_interval: 0.5, trace: true}
run: {time_limit: 1h, progress_seconds: 0}
)");
  CHECK(job.model == "/models/m");
  CHECK(job.input.file == dir.path().parent_path() / "p.txt");
  CHECK(job.input.format == InputFormat::jsonl);
  CHECK(job.input.field == "question");
  CHECK(job.sampling.top_p == 0.9);
  CHECK(job.sampling.seed == 7);
  CHECK(job.sampling.ignore_eos);
  CHECK(job.sampling.stop == std::vector<std::string>{"\n\n", "yes", "010"});
  CHECK(job.sampling.stop_token_ids == std::vector<TokenId>{0, 5});
  CHECK(job.parallel.dp == 6);
  CHECK(job.engine.device == Device::cpu);
  CHECK(job.engine.cuda_graphs == false);
  CHECK_FALSE(job.engine.async_scheduling);
  CHECK(job.engine.isa == Isa::avx2);
  CHECK(job.engine.threads == 3);
  CHECK(job.engine.kv_memory.bytes == Bytes{2} << 30);
  CHECK(job.engine.layers == 2);
  CHECK(job.engine.watchdog_seconds == 1.5);
  CHECK(job.output.digest);
  CHECK(job.output.sync_interval == 0.5);
  CHECK(job.output.trace);
  CHECK(job.run.time_limit == 3600);
  CHECK(job.run.progress_seconds == 0);
}

TEST_CASE("a key is read by its older name, too", "[job]") {
  const TempDir dir;
  const std::string small = kSmall;
  CHECK(load(dir, small).engine.async_scheduling);
  CHECK_FALSE(load(dir, small + "engine: {run_ahead: false}\n").engine.async_scheduling);
  CHECK_THROWS_WITH(load(dir, small + "engine: {run_ahead: false, async_scheduling: false}\n"),
                    Catch::Matchers::Contains("is an older name of engine.async_scheduling"));
}

TEST_CASE("what only GPUs have is refused elsewhere", "[job]") {
  const TempDir dir;
  const JobEngine engine = load(dir, kSmall).engine;
  CHECK(!engine.cuda_graphs);
  for (const bool cuda : {false, true}) {
    JobEngine without = engine;
    check_gpu_settings(without, cuda);
    without.cuda_graphs = false;
    check_gpu_settings(without, cuda);
  }
  JobEngine graphs = engine;
  graphs.cuda_graphs = true;
  check_gpu_settings(graphs, true);
  CHECK_THROWS_WITH(check_gpu_settings(graphs, false),
                    Catch::Matchers::Contains("engine.cuda_graphs is true"));
  JobEngine symmetric = engine;
  symmetric.symmetric_memory = true;
  check_gpu_settings(symmetric, true);
  CHECK_THROWS_WITH(check_gpu_settings(symmetric, false),
                    Catch::Matchers::Contains("engine.symmetric_memory is true"));
}

TEST_CASE("the effective job is a job file that gives the same job", "[job]") {
  const TempDir dir;
  const std::string rich =
      with_engine("  kv_memory: 0.25\n  layers: 3\n  threads: 2\n") +
      "sampling: {stop: [\"a\\\"b\\\\\", \"\\t\"], stop_token_ids: [1, 2], temperature: 0.1}\n";
  for (const std::string& text : {kSmall, rich}) {
    const std::string once = to_yaml(load(dir, text));
    const TempDir elsewhere;
    CHECK(to_yaml(load(elsewhere, once)) == once);
    for (const JobKey& key : job_keys()) {
      CHECK(once.find(std::string(key.path.substr(key.path.rfind('.') + 1)) + ": ") !=
            std::string::npos);
    }
  }
}

TEST_CASE("sizes, fractions and auto", "[job]") {
  struct Case {
    std::string text;
    MemoryAmount amount;
  };
  using Kind = MemoryAmount::Kind;
  const TempDir dir;
  for (const Case& c :
       {Case{"auto", {}}, Case{"8GiB", {Kind::bytes, Bytes{8} << 30, 0}},
        Case{"500MB", {Kind::bytes, 500'000'000, 0}}, Case{"65536", {Kind::bytes, 65536, 0}},
        Case{"0.9", {Kind::fraction, 0, 0.9}}, Case{"1.0", {Kind::fraction, 0, 1}}}) {
    INFO(c.text);
    const Job job = load(dir, with_engine("  kv_memory: " + c.text + "\n"));
    CHECK(job.engine.kv_memory == c.amount);
    CHECK(load(dir, to_yaml(job)).engine.kv_memory == c.amount);
  }
}

TEST_CASE("what is wrong is refused with file, line and a hint", "[job]") {
  struct Case {
    std::string text;
    std::string message;
  };
  const std::string engine = "job.yaml:7: engine.";
  const std::vector<Case> cases = {
      // keys
      {with_engine("  max_batch_token: 1\n"),
       "job.yaml:7: unknown key 'engine.max_batch_token'; did you mean 'engine.max_batch_tokens'?"},
      {kSmall + "engin:\n  isa: avx2\n", "job.yaml:6: unknown key 'engin'; did you mean 'engine'?"},
      {kSmall + "tp: 2\n", "job.yaml:6: unknown key 'tp'; did you mean 'parallel.tp'?"},
      {kSmall + "parallel:\n  pt: 2\n",
       "job.yaml:7: unknown key 'parallel.pt'; did you mean 'parallel.tp'?"},
      {kSmall + "colour: red\n",
       "job.yaml:6: unknown key 'colour'; a job file has: engine, input, model, output, parallel, "
       "run, sampling"},
      {kSmall + "parallel:\n  bananas: 2\n",
       "job.yaml:7: unknown key 'parallel.bananas'; the section 'parallel' has: dp, ep, pp, sp, "
       "tp"},
      {kSmall + "engine.isa: avx2\n",
       "job.yaml:6: write the key 'engine.isa' in its section, indented"},
      {with_engine("  isa: avx2\n  threads: 1\n  isa: avx2\n"),
       "job.yaml:9: duplicate key 'engine.isa', first given at job.yaml:7"},
      {kSmall + "model: other\n", "job.yaml:6: duplicate key 'model', first given at job.yaml:1"},
      {kSmall + "input:\n  field: a\n",
       "job.yaml:6: duplicate key 'input', first given at job.yaml:2"},
      {"input:\n  file: x\noutput:\n  dir: y\n", "job.yaml:1: the required key 'model' is missing"},
      {kSmall + "<<: {model: x}\n", "job.yaml:6: unknown key '<<'"},
      {kSmall + "? [a]\n: b\n", "job.yaml:6: a list where a key is expected"},
      {kSmall + "? {a: 1}\n: b\n", "job.yaml:6: a mapping where a key is expected"},
      {kSmall + "\"\": b\n", "job.yaml:6: unknown key ''"},
      // shapes
      {kSmall + "engine: 3\n", "job.yaml:6: 'engine' is a section"},
      {kSmall + "engine: [1]\n", "job.yaml:6: 'engine' is a section"},
      {with_engine("  isa: {a: 1}\n"), "job.yaml:7: 'engine.isa' takes a value, not keys"},
      {with_engine("  isa: [avx2]\n"), engine + "isa must be a single value, not a list"},
      {with_engine("  isa:\n"), "job.yaml:7: 'engine.isa' has no value"},
      {with_engine("  isa: ~\n"), "job.yaml:7: 'engine.isa' has no value"},
      {kSmall + "sampling:\n  stop: [[a]]\n",
       "job.yaml:7: a list or mapping inside the list 'sampling.stop'"},
      {kSmall + "sampling:\n  stop: [{a: b}]\n", "job.yaml:7: a list or mapping inside the list"},
      {kSmall + "sampling:\n  stop: [null]\n",
       "job.yaml:7: an item of 'sampling.stop' has no value"},
      {kSmall + "sampling:\n  stop_token_ids: 5\n",
       "job.yaml:7: sampling.stop_token_ids must be a list"},
      // scalars
      {with_engine("  threads: 010\n"),
       engine + "threads must be a plain decimal integer, or auto, not 010"},
      {with_engine("  threads: 0x10\n"), engine + "threads must be a plain decimal integer"},
      {with_engine("  threads: 1_0\n"), engine + "threads must be a plain decimal integer"},
      {with_engine("  threads: +1\n"), engine + "threads must be a plain decimal integer"},
      {with_engine("  threads: 2.0\n"), engine + "threads must be a plain decimal integer"},
      {with_engine("  threads: \"2\"\n"),
       engine + "threads must be a plain decimal integer, or auto, not \"2\""},
      {with_engine("  threads: 0\n"), engine + "threads must be from 1 to"},
      {with_engine("  threads: -1\n"), engine + "threads must be from 1 to"},
      {with_engine("  max_sequences: 99999999999999999999\n"),
       engine + "max_sequences must be from 1"},
      {with_engine("  kv_block: 24\n"), engine + "kv_block must be a multiple of 16, not 24"},
      {with_engine("  kv_memory: 8Gb\n"), engine + "kv_memory must be auto, a size such as 8GiB"},
      {with_engine("  kv_memory: 1.5\n"), engine + "kv_memory must be from 0 to 1, not 1.5"},
      {with_engine("  kv_memory: 1\n"), engine + "kv_memory must be at least 1KiB"},
      {with_engine("  kv_memory: 0.0\n"), engine + "kv_memory must be above 0"},
      {with_engine("  kv_memory: 99999999999999999GiB\n"), engine + "kv_memory is too large"},
      {with_engine("  kv_memory: -1GiB\n"), engine + "kv_memory must be auto, a size"},
      {with_engine("  isa: sse\n"),
       engine + "isa must be one of auto, avx512_bf16, avx512, avx2, plain, not sse"},
      {with_engine("  cuda_graphs: yes\n"),
       engine + "cuda_graphs must be one of auto, true, false"},
      {with_engine("  watchdog_seconds: .nan\n"), engine + "watchdog_seconds must be a plain"},
      {with_engine("  watchdog_seconds: .inf\n"), engine + "watchdog_seconds must be a plain"},
      {with_engine("  watchdog_seconds: 1e999\n"), engine + "watchdog_seconds must be from"},
      {with_engine("  watchdog_seconds: 0.5\n"),
       engine + "watchdog_seconds must be from 1 to 1000000, or 0, not 0.5"},
      {kSmall.substr(0, kSmall.size()) + "  digest: yes\n",
       "job.yaml:6: output.digest must be true or false, not yes"},
      {kSmall + "  digest: True\n", "job.yaml:6: output.digest must be true or false, not True"},
      {kSmall + "  digest: \"true\"\n", "job.yaml:6: output.digest must be true or false"},
      {kSmall + "sampling:\n  top_p: 0\n", "job.yaml:7: sampling.top_p must be above 0"},
      {kSmall + "sampling:\n  stop: [\"\"]\n", "job.yaml:7: sampling.stop must not hold an empty"},
      {kSmall + "sampling:\n  stop_token_ids: [1, x]\n",
       "job.yaml:7: sampling.stop_token_ids must be a plain decimal integer, not x"},
      {kSmall + "sampling:\n  max_tokens: 2\n  min_tokens: 3\n",
       "job.yaml:8: sampling.min_tokens must not be above sampling.max_tokens (2), not 3"},
      // YAML itself
      {"model: &a m\n", "job.yaml:1: an anchor (&name) is not allowed"},
      {kSmall + "engine: &a {isa: avx2}\n", "job.yaml:6: an anchor"},
      {with_engine("  isa: *a\n"), "job.yaml:7: "},
      {with_engine("  threads: !!int 3\n"),
       "job.yaml:7: the tag 'tag:yaml.org,2002:int' is not allowed"},
      {"model: !include x\n", "job.yaml:1: the tag '!include' is not allowed"},
      {kSmall + "---\nmodel: x\n", "job.yaml:6: a second document"},
      {"", "job.yaml:1: the file is empty"},
      {"\n\n# only a comment\n", "job.yaml:"},
      {"- model\n", "job.yaml:1: a job file is a mapping"},
      {"model\n", "job.yaml:1: a job file is a mapping"},
      {"model: [a\n", "job.yaml:"},
      {kSmall + "engine:\n\tisa: avx2\n", "job.yaml:7: a tab in the indentation; use spaces"},
      {"model: a: b\n", "job.yaml:1: not valid YAML"},
      {std::string("model: m\ninput: \0x\n", 19), "job.yaml:2: a control character (byte 0x00)"},
      {"\x89PNG\r\n\x1a\n", "job.yaml:2: a control character (byte 0x1a)"},
      {"model: m\ninput: \xff\n", "job.yaml:2: not UTF-8"},
      {std::string((1 << 20) + 1, '#'), "job.yaml: 1048577 bytes long"},
      {std::string(100'000, '['), "job.yaml:1: "},
      {"model: " + std::string(100'000, '['), "job.yaml:1: "},
      {"engine: " + std::string(100'000, '{'), "job.yaml:1: "},
      {std::string(100'000, 'k') + ": 1\n", "job.yaml:1: "},
  };
  for (const Case& c : cases) {
    INFO(c.text.substr(0, 300));
    CHECK_THAT(refusal(c.text), Catch::Matchers::StartsWith(c.message));
  }
}

TEST_CASE("durations", "[job]") {
  const TempDir dir;
  const std::pair<const char*, std::int64_t> right[] = {
      {"90", 90},     {"1s", 1},           {"15m", 900},          {"2h30m", 9000}, {"1h1m1s", 3661},
      {"1h5s", 3605}, {"04:00:00", 14400}, {"1-00:00:00", 86400}, {"15:00", 900}};
  for (const auto& pair : right) {
    INFO(pair.first);
    const Job job = load(dir, kSmall, {"run.time_limit=" + std::string(pair.first)});
    CHECK(job.run.time_limit == pair.second);
    CHECK(load(dir, to_yaml(job)).run.time_limit == pair.second);
  }
  CHECK_FALSE(load(dir, kSmall, {"run.time_limit=none"}).run.time_limit.has_value());
  const std::string quoted = kSmall + "run:\n  time_limit: ";
  CHECK(load(dir, quoted + "04:00:00\n").run.time_limit == 14400);
  CHECK(load(dir, quoted + "\"04:00:00\"\n").run.time_limit == 14400);
  const Job slurm = load(dir, kSmall, {"run.time_limit=1h", "run.time_limit=slurm"});
  CHECK(slurm.run.slurm_time_limit);
  CHECK_FALSE(slurm.run.time_limit.has_value());
  CHECK(load(dir, to_yaml(slurm)).run.slurm_time_limit);
  for (const char* wrong : {"0", "-5", "1.5h", "5x", "30m2h", "2h2h", "h", "2h30", "1 h", "\"90\"",
                            "[90]", "99999999999999999999", "99999999h", "010", "1:2:3:4",
                            "00:00:00", "99999999-00", "04:00:00s"}) {
    INFO(wrong);
    CHECK_THAT(refusal(kSmall, {"run.time_limit=" + std::string(wrong)}),
               Catch::Matchers::StartsWith("--set run.time_limit: "));
  }
}

TEST_CASE("variables of the environment in paths", "[job]") {
  const TempDir dir;
  ::setenv("WEFT_TEST_TASK", "7", 1);
  ::setenv("WEFT_TEST_EMPTY", "", 1);
  ::setenv("WEFT_TEST_ODD", "a${b", 1);
  ::unsetenv("WEFT_TEST_UNSET");
  const std::string task = "${WEFT_TEST_TASK}";
  const Job job = load(dir, "model: m" + task + "\ninput:\n  file: in/" + task + "/" + task +
                                ".jsonl\noutput:\n  dir: out\n");
  CHECK(job.model == dir / "m7");
  CHECK(job.input.file == dir / "in/7/7.jsonl");
  CHECK(load(dir, kSmall, {"output.dir=/x/" + task}).output.dir == "/x/7");
  // A value is not looked into again, and the effective job gives the same paths.
  for (const char* path : {"/x/$5", "/x/$${y}", "/x/${WEFT_TEST_ODD}", "/x/$"}) {
    CAPTURE(path);
    const Job odd = load(dir, kSmall, {std::string("output.dir=") + path});
    CHECK(load(dir, to_yaml(odd)).output.dir == odd.output.dir);
  }
  CHECK(load(dir, kSmall, {"output.dir=/x/$${y}"}).output.dir == "/x/${y}");
  CHECK(load(dir, kSmall, {"output.dir=/x/${WEFT_TEST_ODD}"}).output.dir == "/x/a${b");
  // Only paths have them.
  CHECK(load(dir, kSmall, {"input.field=" + task}).input.field == task);
  for (const char* variable : {"WEFT_TEST_UNSET", "WEFT_TEST_EMPTY"}) {
    CHECK(
        refusal(kSmall, {fmt::format("output.dir=o/${{{}}}", variable)}) ==
        fmt::format("--set output.dir: output.dir has ${{{0}}} in it, but the environment variable "
                    "{0} is not set",
                    variable));
  }
  for (const char* wrong : {"o/${", "o/${}", "o/${a b}", "o/${1}", "o/${a"}) {
    CAPTURE(wrong);
    CHECK_THAT(refusal(kSmall, {std::string("output.dir=") + wrong}),
               Catch::Matchers::StartsWith("--set output.dir: output.dir must have the name of a"));
  }
}

TEST_CASE("empty sections and block forms are fine", "[job]") {
  const TempDir dir;
  CHECK(load(dir, kSmall + "engine:\n  # nothing yet\n").engine.kv_block == 32);
  CHECK(load(dir, "---\n" + kSmall + "...\n").input.field == "prompt");
  CHECK(load(dir, "\xEF\xBB\xBF" + kSmall).input.field == "prompt");
  CHECK(load(dir, "model: m\r\ninput:\r\n  file: p\r\noutput:\r\n  dir: o\r\n").model == dir / "m");
  CHECK(load(dir, kSmall + "sampling:\n  stop: |\n    END\n").sampling.stop ==
        std::vector<std::string>{"END\n"});
}

TEST_CASE("--set replaces values, with the same checks", "[job]") {
  const TempDir dir;
  const Job job = load(dir, with_engine("  threads: 2\n"),
                       {"engine.threads=4", "engine.isa=plain", "sampling.stop=[\"x=y\", z]",
                        "sampling.stop_token_ids=[3]", "output.dir=here/a: b", "engine.threads=5"});
  CHECK(job.engine.threads == 5);
  CHECK(job.engine.isa == Isa::plain);
  CHECK(job.sampling.stop == std::vector<std::string>{"x=y", "z"});
  CHECK(job.sampling.stop_token_ids == std::vector<TokenId>{3});
  CHECK(job.output.dir == "here/a: b");  // not relative to the job file
  CHECK(load(dir, "input: {file: p}\noutput: {dir: o}\n", {"model=m"}).model == "m");

  struct Case {
    std::string set;
    std::string message;
  };
  for (const Case& c : {
           Case{"engine.thread=4",
                "--set 'engine.thread': unknown key; did you mean 'engine.threads'?"},
           Case{"engin.threads=4",
                "--set 'engin.threads': unknown key; did you mean 'engine.threads'?"},
           Case{"threads=4", "--set 'threads': unknown key; did you mean 'engine.threads'?"},
           Case{"engine=4", "--set 'engine': unknown key: a section cannot be set as a whole"},
           Case{"engine.threads", "--set 'engine.threads': write key=value"},
           Case{"=4", "--set ''"},
           Case{"engine.threads=", "--set engine.threads: has no value"},
           Case{"engine.threads=four",
                "--set engine.threads: engine.threads must be a plain decimal"},
           Case{"engine.threads=[4]",
                "--set engine.threads: engine.threads must be a single value"},
           Case{"sampling.stop=[a", "--set sampling.stop: the list '[a' is open: a ']' must end"},
           Case{"sampling.stop=[[a]]", "--set sampling.stop: a list or mapping inside the list"},
           Case{"sampling.stop=[&a b]", "--set sampling.stop: an anchor"},
           Case{"sampling.stop=[a]\n---\n[b]", "--set sampling.stop: a second document"},
           Case{"output.digest=yes", "--set output.digest: output.digest must be true or false"},
       }) {
    INFO(c.set);
    CHECK_THAT(refusal(kSmall, {c.set}), Catch::Matchers::StartsWith(c.message));
  }
}

TEST_CASE("the command line tells the watchdog's time before the job file does", "[job]") {
  const auto told = [](std::vector<std::string> settings) {
    return watchdog_before_job_file(settings);
  };
  CHECK(told({}) == 300);
  CHECK(told({"output.dir=x", "engine.watchdog_seconds=7", "engine.watchdog_seconds=2.5"}) == 2.5);
  CHECK(told({"engine.watchdog_seconds=0"}) == 0);
  CHECK(told({"engine.watchdog_seconds=-1"}) == 300);
  CHECK(told({"engine.watchdog_seconds=5", "no.such=1"}) == 300);
}

TEST_CASE("random edits of a job file never do worse than a UserError", "[job]") {
  const TempDir dir;
  const std::string base =
      with_engine("  kv_memory: 0.5\n") + "sampling: {stop: [\"a\", b], stop_token_ids: [1]}\n";
  const std::string bytes = "\n\t :-[]{}&*!|>'\"#%@`,?~0.x\xff";
  std::uint32_t state = 12345;
  const auto random = [&state](std::size_t below) {
    state = state * 1664525U + 1013904223U;
    return static_cast<std::size_t>(state >> 8) % below;
  };
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = base;
    for (std::size_t edits = 1 + random(3); edits > 0; --edits) {
      const std::size_t at = random(text.size());
      if (random(2) == 0) {
        text[at] = bytes[random(bytes.size())];
      } else {
        text.insert(at, 1, bytes[random(bytes.size())]);
      }
    }
    try {
      load(dir, text);
      ++accepted;
    } catch (const UserError& error) {
      CHECK_THAT(error.what(), Catch::Matchers::Contains("job.yaml:"));
    }
  }
  CHECK(accepted > 0);
}

TEST_CASE("the table of keys is sound, and documented", "[job]") {
  std::vector<std::string_view> paths;
  for (const JobKey& key : job_keys()) {
    paths.push_back(key.path);
    CHECK(key.read != nullptr);
    CHECK(key.write != nullptr);
    CHECK_FALSE(key.meaning.empty());
  }
  std::sort(paths.begin(), paths.end());
  CHECK(std::adjacent_find(paths.begin(), paths.end()) == paths.end());
#ifdef WEFT_TEST_DATA
  const std::string document =
      testing::contents_of(WEFT_TEST_DATA "/../docs/reference/job-file.md");
  CHECK(document.find(job_keys_markdown()) != std::string::npos);
  const std::string formats = testing::contents_of(WEFT_TEST_DATA "/../docs/reference/formats.md");
  CHECK(formats.find(body_parameters_markdown()) != std::string::npos);
#endif
}

TEST_CASE("seeds are integers of 64 bits", "[job]") {
  const TempDir dir;
  const std::pair<const char*, std::uint64_t> right[] = {
      {"-1", ~std::uint64_t{0}}, {"18446744073709551615", ~std::uint64_t{0}}, {"7", 7}};
  for (const auto& pair : right) {
    INFO(pair.first);
    const Job job = load(dir, kSmall, {"sampling.seed=" + std::string(pair.first)});
    CHECK(job.sampling.seed == pair.second);
    CHECK(load(dir, to_yaml(job)).sampling.seed == pair.second);
  }
  CHECK_THAT(refusal(kSmall, {"sampling.seed=18446744073709551616"}),
             Catch::Matchers::Contains("must be an integer of 64 bits"));
}

TEST_CASE("what may be written in several ways has one value", "[job]") {
  const TempDir dir;
  const Job job =
      load(dir, kSmall,
           {"sampling.top_k=-1", "sampling.allowed_token_ids=[3, 1, 3]", "sampling.bad_words=no"});
  CHECK(job.sampling.top_k == 0);
  CHECK(job.sampling.allowed_token_ids == std::vector<TokenId>{1, 3});
  CHECK(job.sampling.bad_words == std::vector<std::string>{"no"});
}

TEST_CASE("types in words", "[job]") {
  CHECK(in_words(types::integer(1, 16)) == "integer, 1 to 16");
  CHECK(in_words(types::integer(16, 1024, 16)) == "integer, 16 to 1024, multiple of 16");
  CHECK(in_words(types::integer(1).or_word("auto")) == "integer, at least 1, or `auto`");
  CHECK(in_words(types::number_above(0, 1)) == "number, above 0 to 1");
  CHECK(in_words(types::one_of({"a", "b"})) == "`a`, `b`");
  CHECK(plain_text("see [formats](formats.md), `x`") == "see formats, x");
}

#ifdef WEFT_TEST_DATA
TEST_CASE("the example job is sound", "[job]") {
  const Job job = load_job(WEFT_TEST_DATA "/../configs/adder.yaml");
  CHECK(job.output.digest);
  CHECK(survey_prompts(job.input.file, prompt_rules(job, 32)).requests == 1000);
}
#endif
