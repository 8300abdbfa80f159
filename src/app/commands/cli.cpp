#include "app/commands/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "app/commands/command_outline.h"
#include "app/commands/commands.h"
#include "app/commands/key_advice.h"
#include "app/job/job_reference.h"
#include "app/job/sampling_parameters.h"
#include "app/job/yaml_value.h"
#include "app/stop_request.h"
#include "base/error.h"

namespace weft {
namespace {

/// What the chosen command does, set while the command line is parsed.
using Action = std::function<int()>;

constexpr const char* kDescription =
    "weft completes the prompts of a file with a decoder-only language model, on one machine or "
    "on many:\nthe same bits on every layout, nothing lost when it is killed.";

constexpr const char* kExamples = R"(Examples:
  weft convert Qwen3-0.6B/ models/qwen3-0.6b      a Hugging Face checkpoint to a model directory
  weft generate models/qwen3-0.6b --prompt "Once upon a time"
  weft plan job.yaml --ranks 8                    which layouts are legal, and what each rank holds
  mpirun -n 8 weft run job.yaml                   the main job; run it again to go on after a kill
  mpirun -n 8 weft run job.yaml --set parallel.tp=2 --set output.dir=out2

weft help KEY explains a key of the job, weft help COMMAND a command.

)";

const std::string& footer() {
  static const std::string text = kExamples + exit_status_text();
  return text;
}

/// Plain decimal digits only: without this, "010" would be eight.
const CLI::Validator& plain_integer() {
  static const CLI::Validator validator(
      [](std::string& text) -> std::string {
        const bool digits =
            !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
        if (digits && (text.size() == 1 || text.front() != '0')) return {};
        return "'" + text + "' is not a plain decimal integer";
      },
      "");
  return validator;
}

/// The range [low, high]; it stays out of the help text.
template <class T>
CLI::Validator within(T low, T high) {
  CLI::Validator range = CLI::Range(low, high);
  range.description("");
  return range;
}

/// An option that takes an integer within [low, high].
template <class T, class Target>
CLI::Option* add_integer(CLI::App* command, const std::string& name, Target& target, T low, T high,
                         const std::string& help) {
  const auto take = [&target](const T& value) { target = value; };
  return command->add_option_function<T>(name, take, help)
      ->check(plain_integer())
      ->check(within(low, high))
      ->type_name("N");
}

CLI::Option* add_path(CLI::App* command, const std::string& name, std::filesystem::path& target,
                      const std::string& help) {
  const auto take = [&target](const std::string& text) { target = text; };
  return command->add_option_function<std::string>(name, take, help)->type_name("");
}

CLI::Option* add_model_dir(CLI::App* command, std::filesystem::path& target) {
  return add_path(command, "MODEL_DIR", target, "a model directory of weft convert or synth")
      ->required();
}

/// JOB_YAML and --set.
void add_job(CLI::App* command, std::filesystem::path& job, std::vector<std::string>& overrides) {
  add_path(command, "JOB_YAML", job, "the job file; docs/reference/job-file.md lists its keys")
      ->required();
  command->add_option("--set", overrides, "set one key of the job, such as engine.threads=4")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
}

/// -q, of commands that tell on standard output what they do; errors are on standard error.
void add_quiet(CLI::App* command) {
  const auto silence = [] {
    if (std::freopen("/dev/null", "w", stdout) == nullptr) fail("/dev/null: {}", errno_text());
  };
  command->add_flag_callback("-q,--quiet", silence, "print nothing but errors");
}

/// A short way to set a key of the job: "--threads 4" is "--set engine.threads=4".
void add_shortcut(CLI::App* command, const std::string& name, std::vector<std::string>& overrides,
                  const std::string& key, const std::string& type) {
  const auto take = [&overrides, key](const std::string& value) {
    overrides.push_back(key + '=' + value);
  };
  command->add_option_function<std::string>(name, take, "the same as --set " + key + '=' + type)
      ->type_name(type);
}

/// A subcommand whose options live as long as the action that may come of it.
template <class Options>
struct Command {
  CLI::App* app;
  std::shared_ptr<Options> options;
};

template <class Options>
Command<Options> add_command(CLI::App& app, Action& action, const std::string& name,
                             const std::string& help, int (*run)(const Options&)) {
  Command<Options> command{app.add_subcommand(name, help), std::make_shared<Options>()};
  command.app->callback(
      [&action, run, options = command.options] { action = [=] { return run(*options); }; });
  return command;
}

void add_writing_options(CLI::App* app, ConvertOptions& options) {
  add_quiet(app);
  app->add_option_function<std::string>(
         "--dtype", [&options](const std::string& text) { options.dtype = dtype_from_name(text); },
         "type of the stored weights; default: the source's")
      ->check(CLI::IsMember({"bf16", "f32"}))
      ->type_name("bf16|f32");
  add_integer<int>(app, "--tp", options.tp, 1, 64, "shard files by tensor parallelism");
  add_integer<int>(app, "--pp", options.pp, 1, 64, "shard files by layers");
  add_integer<int>(app, "--ep", options.ep, 1, 64, "shard files by experts");
  add_integer<int>(app, "--segments", options.segments, 1, 64,
                   "segments of the output and down projections: the most ranks of tp (default 8)");
}

void add_convert(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<ConvertOptions>(
      app, action, "convert", "write a model directory from a Hugging Face checkpoint",
      command_convert);
  add_path(command, "HF_DIR", options->source, "folder with config.json and safetensors files");
  add_path(command, "MODEL_DIR", options->model_dir, "folder to write");
  command
      ->add_option_function<std::vector<std::string>>(
          "--add-file",
          [options = options](const std::vector<std::string>& texts) {
            options->model_dir = texts[0];
            options->added = texts[1];
          },
          "convert nothing: list a tokenizer file or chat template in a model directory, copied "
          "there where it is elsewhere")
      ->expected(2)
      ->type_name("MODEL_DIR FILE");
  command->parse_complete_callback([options = options] {
    if (!options->added && options->model_dir.empty()) {
      fail_user("{} is required\nSee weft convert --help",
                options->source.empty() ? "HF_DIR" : "MODEL_DIR");
    }
    if (!options->source.empty() && options->added) {
      fail_user("--add-file takes MODEL_DIR and FILE, and there is no HF_DIR then");
    }
  });
  add_writing_options(command, *options);
}

void add_synth(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<ConvertOptions>(
      app, action, "synth", "write a model directory with random weights of any shape",
      command_synth);
  add_path(command, "CONFIG_JSON", options->source, "a Hugging Face config.json")->required();
  add_path(command, "MODEL_DIR", options->model_dir, "folder to write")->required();
  add_integer<std::uint64_t>(command, "--seed", options->seed, 0,
                             std::numeric_limits<std::uint64_t>::max(), "seed of the weights");
  add_writing_options(command, *options);
}

void add_verify(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<VerifyOptions>(
      app, action, "verify", "check every digest and shape of a model directory", command_verify);
  add_model_dir(command, options->model_dir);
  add_quiet(command);
}

void add_tokenize(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<TokenizeOptions>(
      app, action, "tokenize", "lines of text on standard input to JSON arrays of token ids",
      command_tokenize);
  add_model_dir(command, options->model_dir);
  command->add_flag("--decode", options->decode, "the reverse: arrays of ids to text");
  command->add_flag("--plain", options->plain,
                    "without the tokens that the model puts around a text");
  command->add_flag("--parse-special", options->parse_special,
                    "names of special tokens are these tokens, as in a prompt");
  command->add_flag("--keep-special", options->keep_special,
                    "with --decode: write special tokens by name");
}

void add_run(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<RunOptions>(
      app, action, "run", "complete all prompts of a job, under mpirun or srun", command_run);
  add_job(command, options->job, options->overrides);
  add_shortcut(command, "-o,--output", options->overrides, "output.dir", "DIR");
  add_shortcut(command, "-j,--threads", options->overrides, "engine.threads", "N");
  command->add_flag("--retry-failed", options->retry_failed,
                    "compute the requests that have failed again; the other rows stay");
  command->add_flag("--metrics", options->metrics,
                    "print lines 'weft-metric NAME VALUE UNIT' on standard error at the end");
  add_quiet(command);
  command->footer("Keys of the job, for the file and for --set (weft help KEY explains one):\n" +
                  job_keys_text());
}

void add_status(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<RunOptions>(
      app, action, "status", "say how many requests of a job are done, running or not",
      command_status);
  add_job(command, options->job, options->overrides);
  command->add_flag("--retry-failed", options->retry_failed,
                    "count only those that have succeeded");
}

void add_report(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<ReportOptions>(
      app, action, "report", "compare what runs have measured: scaling, times, whether work agrees",
      command_report);
  const auto add_folders = [command = command](const std::string& name, auto& target,
                                               const std::string& help) {
    const auto take = [&target](const std::vector<std::string>& texts) {
      target.assign(texts.begin(), texts.end());
    };
    return command->add_option_function<std::vector<std::string>>(name, take, help);
  };
  add_folders("DIR", options->directories, "output directories of runs, or folders of studies")
      ->required()
      ->type_name("");
  add_folders("--compare", options->compared, "other runs, to compare these with")
      ->type_name("DIR");
  command
      ->add_option("--baseline", options->baseline, "what speed-up is against (the fewest ranks)")
      ->type_name("NAME=VALUE");
  command->add_option("--format", options->format, "how it is written (default text)")
      ->check(CLI::IsMember({"text", "csv", "json", "html"}))
      ->type_name("text|csv|json|html");
  add_path(command, "-o,--output", options->output, "write it to a file")->type_name("FILE");
}

void add_plan(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<PlanOptions>(
      app, action, "plan",
      "say which layouts are legal, what each rank will hold, and what travels", command_plan);
  add_job(command, options->job, options->overrides);
  add_integer<int>(command, "-n,--ranks", options->ranks, 1, 1 << 20,
                   "a table of all layouts of that many ranks");
  add_integer<int>(command, "--gpus-per-node", options->gpus_per_node, 1, 64, "GPUs of one node");
  add_integer<int>(command, "--gpu-memory", options->gpu_memory, 1, 1 << 20,
                   "plan for GPUs with that many free GiB each");
  command
      ->add_option("--sort", options->sort, "what the table puts first: decode, prefill or memory")
      ->type_name("BY");
  command->add_flag("--all", options->all, "every layout of the table, and why some are none");
  command->add_flag("--json", options->json, "print one JSON object");
  command->add_flag("-v,--verbose", options->verbose,
                    "also what each axis divides, and what travels in a step");
  command->add_flag("--simulate", options->simulate,
                    "say how long the prompt file takes: the scheduler on predicted steps");
  command
      ->add_option("--answers", options->answers,
                   "with --simulate: how long answers are: max, N, LOW-HIGH or an earlier "
                   "run's output directory")
      ->type_name("TOKENS");
  command
      ->add_option("--nodes", options->nodes,
                   "with --simulate: the best layout of each number of nodes")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 16))
      ->type_name("N,N,…");
  command
      ->add_option("--time-limit", options->time_limit,
                   "with --simulate: of each run, such as 2h30m: how often it is queued again")
      ->type_name("TIME");
  CLI::App* speed = command->add_option_group("Speed", "predict it from what a rank can do:");
  speed->add_option("--limits", options->limits, "rates, such as 45,540,10,2")
      ->type_name("READ_GBS,GFLOPS,LINK_GBS,LATENCY_US");
  speed
      ->add_option("--gpu", options->gpu,
                   "those of an h200, h100 or a100, whose memory is planned for, too")
      ->type_name("KIND");
  speed->add_flag("--measure", options->measure, "those of this machine's CPU, in two seconds");
  speed->require_option(0, 1);
}

/// "1,2,3" as token ids.
std::vector<TokenId> parse_ids(std::string_view text) {
  std::vector<TokenId> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    TokenId id = -1;
    const auto [stop, status] = std::from_chars(at, end, id);
    if (status != std::errc() || id < 0 || (stop != end && *stop != ',')) {
      fail_user("--ids: write token ids with commas between, such as 1,2,3");
    }
    ids.push_back(id);
    if (stop == end) return ids;
    at = stop + 1;
  }
}

void add_prompt_options(CLI::App* app, GenerateOptions& options) {
  CLI::App* prompt = app->add_option_group("Prompt", "exactly one of:");
  const auto add = [prompt](const std::string& name, const auto& take, const std::string& help,
                            const std::string& type) {
    prompt->add_option_function<std::string>(name, take, help)->type_name(type);
  };
  add(
      "-p,--prompt", [&options](const std::string& text) { options.prompt = text; }, "the text",
      "TEXT");
  add(
      "-f,--prompt-file", [&options](const std::string& text) { options.prompt_file = text; },
      "a file with the text", "FILE");
  add(
      "--ids", [&options](const std::string& text) { options.ids = parse_ids(text); },
      "token ids, such as 1,2,3", "IDS");
  prompt->require_option(1);
  CLI::Option* chat = app->add_flag(
      "--chat", options.chat, "apply the model's chat template: the text is a user's message");
  chat->excludes(prompt->get_option("--ids"));
  app->add_option_function<std::string>(
         "--system", [&options](const std::string& text) { options.system = text; },
         "with --chat: a system message before it")
      ->type_name("TEXT")
      ->needs(chat);
  app->add_flag("--no-thinking", options.no_thinking,
                "with --chat: ask the template for an answer without thinking")
      ->needs(chat);
}

/// "--top-p" of "top_p".
std::string option_name(const SamplingParameter& parameter) {
  if (!parameter.option.empty()) return std::string(parameter.option);
  std::string name = fmt::format("--{}", parameter.name);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// Given texts as the value of a parameter.
void take_parameter(const SamplingParameter& parameter, const std::vector<std::string>& texts,
                    SamplingParams& sampling) {
  YamlValue value;
  value.place = "--" + option_name(parameter).substr(option_name(parameter).find("--") + 2);
  value.key = "the value";
  value.is_list = parameter.type.kind == ValueType::Kind::texts;
  for (const std::string& text : texts) value.items.push_back({.text = text, .quoted = false});
  set_parameter(parameter, value, sampling);
  settle(sampling);
}

void add_sampling_options(CLI::App* app, SamplingParams& sampling) {
  for (const SamplingParameter& parameter : sampling_parameters()) {
    if (!parameter.allowed(kOnCommandLine)) continue;
    const std::string name = option_name(parameter);
    std::string help = plain_text(parameter.meaning);
    if (parameter.type.kind == ValueType::Kind::boolean) {
      app->add_flag_callback(
          name, [&] { take_parameter(parameter, {"true"}, sampling); }, help);
      continue;
    }
    const bool repeats = parameter.type.kind == ValueType::Kind::texts;
    help +=
        repeats ? " May be repeated." : fmt::format(" Default {}.", written(parameter, sampling));
    const auto take = [&](const std::vector<std::string>& texts) {
      take_parameter(parameter, texts, sampling);
    };
    CLI::Option* option = app->add_option_function<std::vector<std::string>>(name, take, help)
                              ->allow_extra_args(false)
                              ->type_name(repeats                                          ? "TEXT"
                                          : parameter.type.kind == ValueType::Kind::number ? "X"
                                                                                           : "N");
    if (!repeats) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

void add_processor_options(CLI::App* app, std::optional<int>& threads, Isa& isa) {
  add_integer<int>(app, "-j,--threads", threads, 1, 1 << 16,
                   "threads of each rank; default: its share of the host's cores");
  app->add_option_function<std::string>(
         "--isa", [&isa](const std::string& text) { isa = isa_from_name(text); },
         "CPU instruction set (default auto)")
      ->type_name("auto|avx512_bf16|avx512|avx2|plain");
}

void add_generate(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<GenerateOptions>(
      app, action, "generate", "complete one prompt, printed as it is generated", command_generate);
  add_model_dir(command, options->model_dir);
  add_prompt_options(command, *options);
  add_sampling_options(command, options->sampling);
  add_integer<int>(command, "--tp", options->tp, 1, 1 << 20, "ranks that share each layer");
  add_processor_options(command, options->threads, options->isa);
  add_integer<std::int64_t>(command, "--max-sequence-length", options->max_sequence_length, 1,
                            std::int64_t{1} << 24, "prompt and completion; default: the model's");
  command->add_flag("--digest", options->digest, "print the digest of the logits at the end");
  command->add_flag("-q,--quiet", options->quiet, "print the completion and nothing else");
}

void add_bench(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<BenchOptions>(
      app, action, "bench", "time a model's steps beside this machine's limits", command_bench);
  add_model_dir(command, options->model_dir);
  add_processor_options(command, options->threads, options->isa);
  add_integer<int>(command, "--runs", options->runs, 1, 1000, "timed steps of each case");
  command->add_flag("--long", options->long_cases,
                    "also 4,096 prompt tokens, and decode behind 8,192");
  command->add_flag("--no-graphs", options->no_graphs,
                    "on GPUs: launch every step kernel by kernel");
  command->add_flag("--no-async-scheduling,--no-run-ahead", options->no_async_scheduling,
                    "with --parts, on a GPU: launch no step before the tokens of the one before it "
                    "are read");
  command->add_flag("--parts", options->parts,
                    "also the all-reduce of a decode step beside MPI's own, and scheduling, "
                    "sampling and output at 256 sequences");
}

void add_selftest(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<SelftestOptions>(
      app, action, "selftest",
      "prove on this machine that tokens and logits do not depend on the layout", command_selftest);
  command->add_flag("--full", options->full, "every layout with every schedule: takes long");
  add_integer<std::int64_t>(command, "--random", options->random, 0, 1 << 20,
                            "random combinations of layout and schedule (default 200)");
  add_integer<std::uint64_t>(command, "--seed", options->seed, 0,
                             std::numeric_limits<std::uint64_t>::max(), "seed of these");
  add_integer<std::int64_t>(command, "--trials", options->trials, 1, 1 << 30,
                            "only so many trials, spread evenly over all");
  add_integer<std::int64_t>(command, "--parts", options->parts, 1, 1 << 20,
                            "cut the trials into that many parts, each spread evenly over all");
  add_integer<std::int64_t>(command, "--part", options->part, 1, 1 << 20,
                            "the part to try (default 1)");
  add_integer<std::int64_t>(command, "--time-limit", options->time_limit, 1, 1 << 30,
                            "begin no trial after that many seconds");
  add_quiet(command);
}

void add_job_command(CLI::App& app, Action& action) {
  const auto [command, options] = add_command<JobOptions>(
      app, action, "job", "list the keys of job files, or print their JSON Schema", command_job);
  CLI::App* what = command->add_option_group("What", "one of:");
  what->add_flag("--keys", options->keys, "every key with type and default (the default)");
  what->add_flag("--schema", options->schema, "a JSON Schema of the job file, for editors");
  what->add_flag("--markdown", options->markdown, "the keys as a table of Markdown");
  what->require_option(0, 1);
}

/// "-n" and "--ranks" of an option; none of a positional one.
std::vector<std::string> option_names(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back('-' + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

void append_options(const CLI::App& command, std::vector<OptionOutline>& options) {
  for (const CLI::Option* option : command.get_options({})) {
    const std::vector<std::string> names = option_names(*option);
    const bool flag = option->get_expected_min() == 0 && !names.empty();
    const std::string value = names.empty() ? option->get_name() : option->get_type_name();
    options.push_back({names, flag ? std::string() : value, option->get_description()});
  }
  for (const CLI::App* group : command.get_subcommands({})) {
    if (group->get_name().empty()) append_options(*group, options);
  }
}

std::vector<CommandOutline> outline_of(const CLI::App& app) {
  std::vector<CommandOutline> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    CommandOutline& outline =
        commands.emplace_back(CommandOutline{command->get_name(), command->get_description(), {}});
    append_options(*command, outline.options);
  }
  return commands;
}

/// The help of the program, of a command, or of keys; empty when there is no such topic.
std::string help_of(const CLI::App& app, const std::string& topic) {
  if (topic.empty()) return app.help();
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_name() == topic) return command->help("weft");
  }
  return job_key_help(topic);
}

int help(const CLI::App& app, const std::string& topic, bool manual) {
  if (manual) {
    fmt::print("{}", manual_block(kDescription, outline_of(app), footer()));
    return kExitSuccess;
  }
  const std::string text = help_of(app, topic);
  if (text.empty()) {
    fail_user("help: '{}' is no command and no key of a job{}", topic, job_key_hint(topic));
  }
  fmt::print("{}", text);
  return kExitSuccess;
}

void add_help(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("help", "explain a command or a key of the job");
  const auto topic = std::make_shared<std::string>();
  const auto manual = std::make_shared<bool>(false);
  command->add_option("TOPIC", *topic, "a command, a key such as engine.isa, or a section")
      ->type_name("");
  command->add_flag("--man", *manual, "print the manual page, for man");
  command->callback(
      [=, &app, &action] { action = [=, &app] { return help(app, *topic, *manual); }; });
}

void add_completion(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("completion", "print what completes commands in a shell");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash or zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}))
      ->type_name("");
  command->callback([=, &app, &action] {
    action = [=, &app] {
      const std::vector<CommandOutline> commands = outline_of(app);
      fmt::print("{}", *shell == "bash" ? bash_completion(commands) : zsh_completion(commands));
      return kExitSuccess;
    };
  });
}

/// What the parser throws: help and version, which are no errors, and the user's mistakes.
int report(const CLI::App& app, const CLI::ParseError& error, std::span<const char* const> words) {
  const bool mistake = error.get_exit_code() != static_cast<int>(CLI::ExitCodes::Success);
  if (!mistake) {
    if (launched_as_rank_zero()) app.exit(error);
    return kExitSuccess;
  }
  const std::vector<std::string> unknown = app.remaining();
  if (app.get_subcommands().empty() && !unknown.empty()) {
    return report_bad_command_line(
        fmt::format("'{}' is no command of weft\n  See weft --help", unknown.front()));
  }
  for (const CLI::App* command : app.get_subcommands()) {
    if (command->get_option_no_throw("--set") == nullptr) continue;
    const auto knows = [&](const std::string& option) {
      return command->get_option_no_throw(option) != nullptr;
    };
    const std::string advice = key_advice(words, knows);
    if (!advice.empty()) return report_bad_command_line(advice);
  }
  std::string name = "weft";
  for (const CLI::App* command : app.get_subcommands()) name += ' ' + command->get_name();
  return report_bad_command_line(fmt::format("{}\n  See {} --help", error.what(), name));
}

}  // namespace

int run_command_line(int argc, const char* const* argv) {
  return run_guarded([=] {
    CLI::App app(kDescription, "weft");
    Action action;
    app.require_subcommand(1);
    app.set_version_flag("-V,--version", version_text, "print version, contract and backends");
    add_convert(app, action);
    add_synth(app, action);
    add_verify(app, action);
    add_tokenize(app, action);
    add_plan(app, action);
    add_run(app, action);
    add_status(app, action);
    add_report(app, action);
    add_generate(app, action);
    add_bench(app, action);
    add_selftest(app, action);
    add_job_command(app, action);
    add_help(app, action);
    add_completion(app, action);
    app.footer(footer());  // last: the commands would inherit it
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return report(app, error, std::span(argv, static_cast<std::size_t>(argc)));
    } catch (const UserError& error) {
      return report_bad_command_line(error.what());
    }
    if (!app.got_subcommand("run")) StopRequest::let_through();
    return action();
  });
}

}  // namespace weft
