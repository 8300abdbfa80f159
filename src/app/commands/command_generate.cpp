// `weft generate`: one prompt, streamed to the terminal.
#include <fmt/format.h>

#include <cstdio>

#include "app/commands/cli.h"
#include "app/commands/commands.h"
#include "app/deployment.h"
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
  return PromptTokens(options.model_dir, tokenizer).of(conversation);
}

std::vector<TokenId> prompt_tokens(const GenerateOptions& options, const Tokenizer* tokenizer) {
  if (options.ids) return *options.ids;
  if (tokenizer == nullptr) {
    fail_user("{} has no tokenizer: give the prompt as token ids (--ids)",
              options.model_dir.string());
  }
  const std::string text =
      options.prompt ? *options.prompt : read_text(*options.prompt_file, kPromptFileCap);
  return options.chat ? chat_tokens(options, tokenizer, text) : tokenizer->encode(text);
}

Request request_of(const GenerateOptions& options, const Tokenizer* tokenizer) {
  Request request;
  request.prompt = prompt_tokens(options, tokenizer);
  request.sampling.temperature = options.temperature;
  request.sampling.top_p = options.top_p;
  request.sampling.top_k = options.top_k;
  request.sampling.min_p = options.min_p;
  request.sampling.presence_penalty = options.presence_penalty;
  request.sampling.frequency_penalty = options.frequency_penalty;
  request.sampling.repetition_penalty = options.repetition_penalty;
  request.sampling.min_tokens = options.min_tokens;
  request.sampling.ignore_eos = options.ignore_eos;
  request.sampling.stop = options.stop;
  request.bad_words = PromptTokens(options.model_dir, tokenizer).bad_words(options.bad_words);
  request.sampling.seed = options.seed;
  request.sampling.max_tokens = options.max_tokens;
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

void print_summary(const Completion& completion, const Engine& engine, bool digest) {
  const EngineStats& stats = engine.stats();
  const double decoded = static_cast<double>(completion.completion_tokens - 1);
  const double decode_seconds = completion.finished_at - completion.first_token_at;
  fmt::print(stderr, "prompt {} tokens, first token after {:.3f} s; {} tokens generated",
             completion.prompt_tokens, completion.first_token_at - completion.queued_at,
             completion.completion_tokens);
  if (decoded > 0) fmt::print(stderr, ", {:.1f} a second", decoded / decode_seconds);
  fmt::print(stderr, " ({} steps; ended by {})\n", stats.steps, name(completion.reason));
  if (digest) fmt::print(stderr, "logits_digest {}\n", completion.logits_digest.hex());
}

int generate(const GenerateOptions& options, Group& world, JobControl& control) {
  JobParallel parallel;
  parallel.tp = options.tp;
  parallel.dp = 1;
  Deployment deployment(options.model_dir, parallel, engine_for(options), world, control, true);
  agree(world, [&] { deployment.load(); });
  const std::unique_ptr<Engine> engine = deployment.make_engine(options.digest);
  agree(world, [&] { engine->submit(request_of(options, deployment.tokenizer())); });

  const bool prints = world.rank() == 0;
  Printer printer(deployment.tokenizer(), prints);
  const auto on_token = [&](const Sequence&, TokenId token) { printer.token(token); };
  const auto on_completion = [&](const Sequence&, const Completion& completion) {
    printer.end();
    if (prints) print_summary(completion, *engine, options.digest);
  };
  while (engine->step(on_token, on_completion)) {
  }
  return kExitSuccess;
}

}  // namespace

int command_generate(const GenerateOptions& options) {
  const SessionWatch watch{JobEngine{}.watchdog_seconds, nullptr, own_launch()};
  return with_session(
      watch, [&](Group& world, JobControl& control) { return generate(options, world, control); });
}

}  // namespace weft
