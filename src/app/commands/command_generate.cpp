// `weft generate`: one prompt, streamed to the terminal.
#include <fmt/format.h>

#include <cstdio>

#include "app/commands/cli.h"
#include "app/commands/commands.h"
#include "app/deployment.h"
#include "app/requests/body_parameters.h"
#include "app/requests/prompt_tokens.h"
#include "base/error.h"
#include "comm/launch.h"
#include "comm/session.h"
#include "io/file.h"
#include "text/tokenizer/stream_decoder.h"

namespace weft {
namespace {

/// A prompt file is read whole.
constexpr Bytes kPromptFileCap = Bytes{64} << 20;

JobEngine engine_for(const GenerateOptions& options) {
  JobEngine engine;
  engine.isa = options.isa;
  engine.threads = options.threads;
  engine.max_sequences = 1;
  engine.max_sequence_length = options.max_sequence_length;
  return engine;
}

std::vector<TokenId> chat_tokens(const GenerateOptions& options, const Tokenizer* tokenizer,
                                 const std::string& text) {
  Conversation conversation = single_turn(text, options.system);
  if (options.no_thinking) {
    conversation.variables.emplace_back("enable_thinking", chat::bool_value(false));
  }
  try {
    return PromptTokens(options.model_dir, tokenizer).of(conversation);
  } catch (const RequestFault& fault) {
    throw UserError(fault.message);
  }
}

std::vector<TokenId> prompt_tokens(const GenerateOptions& options, const Tokenizer* tokenizer) {
  if (options.ids) return *options.ids;
  if (tokenizer == nullptr) {
    fail_user("{} has no tokenizer: give the prompt as token ids (--ids)",
              options.model_dir.string());
  }
  const std::string text =
      options.prompt ? *options.prompt : read_text(*options.prompt_file, kPromptFileCap);
  return options.chat ? chat_tokens(options, tokenizer, text)
                      : tokenizer->encode(text, {.parse_special = true});
}

Request generate_request(const GenerateOptions& options, const Tokenizer* tokenizer,
                         std::int64_t vocab) {
  Request request;
  request.prompt = prompt_tokens(options, tokenizer);
  request.sampling = options.sampling;
  request.bad_words =
      PromptTokens(options.model_dir, tokenizer).bad_words(options.sampling.bad_words, vocab);
  return request;
}

/// Prints text, or ids where there is no tokenizer, as it comes. Only rank 0 prints.
class Printer {
 public:
  Printer(const Tokenizer* tokenizer, bool prints) : prints_(prints) {
    if (tokenizer != nullptr) decoder_.emplace(*tokenizer, kCompletionText);
  }

  void token(TokenId token) { put(decoder_ ? decoder_->push(token) : fmt::format("{} ", token)); }
  void end() { put((decoder_ ? decoder_->flush() : std::string()) + "\n"); }

 private:
  void put(const std::string& text) const {
    if (!prints_) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  bool prints_;
  std::optional<StreamDecoder> decoder_;
};

void print_figures(const Completion& completion, const Engine& engine) {
  const EngineStats& stats = engine.stats();
  const double decoded = static_cast<double>(completion.completion_tokens - 1);
  const double decode_seconds = completion.finished_at - completion.first_token_at;
  fmt::print(stderr, "prompt {} tokens, first token after {:.3f} s; {} tokens generated",
             completion.prompt_tokens, completion.first_token_at - completion.queued_at,
             completion.completion_tokens);
  if (decoded > 0) fmt::print(stderr, ", {:.1f} a second", decoded / decode_seconds);
  fmt::print(stderr, " ({} steps; ended by {})\n", stats.steps, name(completion.reason));
}

void print_summary(const Completion& completion, const Engine& engine,
                   const GenerateOptions& options) {
  if (!options.quiet) print_figures(completion, engine);
  if (completion.reason == FinishReason::non_finite) {
    fmt::print(stderr, "weft: the logits of token {} are NaN or infinite\n",
               completion.non_finite_at);
  }
  if (options.digest) fmt::print(stderr, "logits_digest {}\n", completion.logits_digest.hex());
}

int generate(const GenerateOptions& options, Group& world, JobControl& control) {
  JobParallel parallel;
  parallel.tp = options.tp;
  parallel.dp = 1;
  Deployment deployment(options.model_dir, parallel, engine_for(options), world, control, true);
  agree(world, [&] { deployment.load(); });
  const std::unique_ptr<Engine> engine = deployment.make_engine(options.digest);
  agree(world, [&] {
    engine->submit(generate_request(options, deployment.tokenizer(), engine->vocab()));
  });

  bool finite = true;
  const bool prints = world.rank() == 0;
  Printer printer(deployment.tokenizer(), prints);
  const auto on_token = [&](const Sequence&, TokenId token) { printer.token(token); };
  const auto on_completion = [&](const Sequence&, const Completion& completion) {
    printer.end();
    finite = completion.reason != FinishReason::non_finite;
    if (prints) print_summary(completion, *engine, options);
  };
  while (engine->step(on_token, on_completion)) {
  }
  return finite ? kExitSuccess : kExitSomeFailed;
}

}  // namespace

int command_generate(const GenerateOptions& options) {
  const Launch launch = own_launch();
  JobControl control(JobEngine{}.watchdog_seconds, nullptr, launch.rank);
  return with_session(control, launch,
                      [&](Group& world) { return generate(options, world, control); });
}

}  // namespace weft
