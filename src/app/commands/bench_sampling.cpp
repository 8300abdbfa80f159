#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "app/commands/bench_parts.h"
#include "app/output/journal.h"
#include "app/output/results.h"
#include "base/clock.h"

namespace weft {
namespace {

constexpr std::int64_t kTokens = 16;  ///< of each completion: as many steps are timed

/// A folder that is gone with it.
class ScratchFolder {
 public:
  ScratchFolder()
      : path_(std::filesystem::temp_directory_path() / fmt::format("weft-bench-{}", ::getpid())) {
    std::filesystem::create_directories(path_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

Request request_of(std::int64_t index, const SamplingParams& sampling, std::int64_t vocab) {
  Request request;
  request.index = index;
  request.sampling = sampling;
  request.sampling.seed = static_cast<std::uint64_t>(index);
  request.sampling.max_tokens = kTokens + 1;  // the first one comes with the prompt
  request.sampling.ignore_eos = true;
  // Prompts that share nothing and have few rows to compute.
  request.prompt = {static_cast<TokenId>(index % vocab),
                    static_cast<TokenId>(index * 7919 % vocab)};
  return request;
}

/// Writes rows as a job does, on the rank that leads.
class RowWriter {
 public:
  explicit RowWriter(Deployment& deployment) : deployment_(deployment) {
    if (!deployment.leads_replica()) return;
    folder_.emplace();
    std::filesystem::create_directories(folder_->path() / "journal");
    journal_.emplace(folder_->path(), 0);
  }

  void write(const Completion& completion) {
    if (!journal_) return;
    const Tracer::Scope scope(deployment_.tracer(), Phase::output);
    PromptLine line;
    line.source.index = completion.index;
    line.source.custom_id = fmt::format("request-{}", completion.index);
    line.prompt = std::vector<TokenId>();
    const RowOptions options{deployment_.tokenizer(), false, 0};
    journal_->append(completion.index, true,
                     completion_row(line, std::span(&completion, 1), options));
  }

 private:
  Deployment& deployment_;
  std::optional<ScratchFolder> folder_;
  std::optional<JournalPart> journal_;
};

void bench_kind(Deployment& deployment, const std::string& kind, const SamplingParams& sampling) {
  const std::int64_t vocab = deployment.reader().config().vocab;
  const std::unique_ptr<Engine> engine = deployment.make_engine(false);
  RowWriter writer(deployment);
  for (std::int64_t i = 0; i < kSampledSequences; ++i) {
    engine->submit(request_of(i, sampling, vocab));
  }
  const auto on_completion = [&](const Sequence&, const Completion& completion) {
    writer.write(completion);
  };
  // The prompts' step is not counted, and what a first step of this size does once.
  while (engine->waiting() > 0 && engine->step(nullptr, on_completion)) {
  }
  engine->step(nullptr, on_completion);
  Tracer& tracer = deployment.tracer();
  tracer.catch_up();
  const PhaseSeconds whole = tracer.outermost_seconds();
  const PhaseSeconds own = tracer.seconds();
  const std::int64_t steps_before = engine->stats().steps;
  const Stopwatch watch;
  while (engine->step(nullptr, on_completion)) {
  }
  const double wall = watch.seconds();
  tracer.catch_up();
  const auto steps = static_cast<double>(engine->stats().steps - steps_before);
  const auto since = [](const PhaseSeconds& now, const PhaseSeconds& then, Phase phase) {
    return now[static_cast<std::size_t>(phase)] - then[static_cast<std::size_t>(phase)];
  };
  const PhaseSeconds all = tracer.outermost_seconds();
  const double output = since(tracer.seconds(), own, Phase::output);
  const double choosing = since(all, whole, Phase::sampling) - output;
  const double scheduling = since(all, whole, Phase::other);
  if (!deployment.leads_replica()) return;
  fmt::print(
      "{} sequences, {}: step {:.1f} ms, of it scheduling {:.2f}, choosing tokens {:.2f}, output "
      "{:.2f} ms: {:.2f} %\n",
      kSampledSequences, kind, wall / steps * 1e3, scheduling / steps * 1e3, choosing / steps * 1e3,
      output / steps * 1e3, 100 * (scheduling + choosing + output) / wall);
  std::fflush(stdout);
}

}  // namespace

void bench_sampling(Deployment& deployment) {
  SamplingParams greedy;
  greedy.temperature = 0;
  bench_kind(deployment, "greedy", greedy);
  SamplingParams sampled;
  sampled.temperature = 0.7;
  sampled.top_p = 0.95;
  bench_kind(deployment, "temperature 0.7, top_p 0.95", sampled);
}

}  // namespace weft
