// `weft run`: the main job.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <optional>
#include <unordered_map>

#include "app/commands.h"
#include "app/deployment.h"
#include "app/job.h"
#include "app/journal.h"
#include "app/prompts.h"
#include "app/report.h"
#include "app/results.h"
#include "app/stop_request.h"
#include "base/error.h"
#include "comm/session.h"
#include "comm/watchdog.h"
#include "io/file.h"

namespace weft {
namespace {

/// The requests of one replica on their way from the prompt file to the journal. Every rank of the
/// replica runs this with the same share; the leader alone has a journal part and writes.
class ReplicaRun {
 public:
  ReplicaRun(const Job& job, Deployment& deployment, std::vector<RowState> rows,
             JournalPart* journal, RunReport& report, Watchdog& watchdog)
      : job_(job),
        deployment_(deployment),
        rows_(std::move(rows)),
        journal_(journal),
        report_(report),
        watchdog_(watchdog),
        prompts_(job.input.file, prompt_rules(job, deployment.reader().config().vocab)),
        engine_(deployment.make_engine(job.output.digest)) {}

  /// Completes every request of the share that has no row yet, or as many as there is time for
  /// until a signal asks to stop; what is then unfinished is left to the next run.
  void run() {
    do {
      if (deployment_.leader_says(StopRequest::pending())) break;
      fill();
      watchdog_.beat(fmt::format("step {}", engine_->stats().steps));
    } while (engine_->step(
        nullptr, [&](const Sequence&, const Completion& completion) { write(completion); }));
    const EngineStats& stats = engine_->stats();
    report_.prefill_seconds = stats.prefill_seconds;
    report_.decode_seconds = stats.decode_seconds;
    report_.output_seconds = stats.logits_seconds + stats.sampling_seconds;
    report_.preemptions = stats.preemptions;
  }

 private:
  /// Reads ahead so that the scheduler always finds waiting sequences.
  void fill() {
    const std::int64_t wanted = 2 * deployment_.sizes().limits.max_sequences;
    while (engine_->pending() < wanted) {
      const std::int64_t index = prompts_.position();
      if (index >= static_cast<std::int64_t>(rows_.size())) return;
      const bool mine = index % deployment_.layout().dp == deployment_.place().dp;
      if (!mine || rows_[static_cast<std::size_t>(index)] != RowState::missing) {
        prompts_.skip();
        continue;
      }
      take(*prompts_.next());
    }
  }

  void take(Prompt prompt) {
    if (const auto* error = std::get_if<PromptError>(&prompt)) {
      refuse(*error);
      return;
    }
    PromptLine& line = std::get<PromptLine>(prompt);
    try {
      engine_->submit({line.source.index, tokens_of(line), line.sampling});
      if (journal_ != nullptr) lines_.emplace(line.source.index, std::move(line));
    } catch (const UserError& error) {
      PromptError row;
      row.source = line.source;
      row.message = error.what();
      row.param = "prompt";
      refuse(row);
    }
  }

  std::vector<TokenId> tokens_of(const PromptLine& line) const {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&line.prompt)) return *ids;
    if (deployment_.tokenizer() == nullptr) {
      fail_user("the model has no tokenizer: prompts must be arrays of token ids");
    }
    return deployment_.tokenizer()->encode(std::get<std::string>(line.prompt));
  }

  void refuse(const PromptError& error) {
    if (journal_ != nullptr) journal_->append(error.source.index, false, error_row(error));
  }

  void write(const Completion& completion) {
    if (journal_ == nullptr) return;
    add_completion(report_, completion);
    const auto line = lines_.find(completion.index);
    require(line != lines_.end(), "request {} was completed twice", completion.index);
    std::string text;
    if (deployment_.tokenizer() != nullptr) {
      text = deployment_.tokenizer()->decode(completion.tokens);
      if (completion.text_bytes >= 0) text.resize(static_cast<std::size_t>(completion.text_bytes));
    }
    journal_->append(completion.index, true,
                     completion_row(line->second, completion, text, job_.output.digest));
    lines_.erase(line);
  }

  const Job& job_;
  Deployment& deployment_;
  std::vector<RowState> rows_;
  JournalPart* journal_;
  RunReport& report_;
  Watchdog& watchdog_;
  PromptReader prompts_;
  std::unique_ptr<Engine> engine_;
  std::unordered_map<std::int64_t, PromptLine> lines_;  ///< of requests in the engine
};

/// The output directory as rank 0 finds it, told to all ranks.
struct Opened {
  std::optional<Journal> journal;  ///< on rank 0
  std::vector<RowState> rows;
  bool complete = false;
};

Opened open_journal(const Job& job, const ModelReader& reader, Group& world) {
  Opened opened;
  std::uint64_t header[2] = {0, 0};  // requests, complete
  agree(world, [&] {
    if (world.rank() != 0) return;
    const PromptSurvey survey =
        survey_prompts(job.input.file, prompt_rules(job, reader.config().vocab));
    opened.journal.emplace(job.output.dir,
                           identity_of(job, reader.manifest().digest, survey.digest, "cpu"),
                           survey.requests);
    opened.rows = opened.journal->rows();
    header[0] = opened.rows.size();
    header[1] = opened.journal->complete() ? 1 : 0;
  });
  world.broadcast(std::as_writable_bytes(std::span(header)), 0);
  opened.rows.resize(header[0]);
  world.broadcast(std::as_writable_bytes(std::span(opened.rows)), 0);
  opened.complete = header[1] != 0;
  return opened;
}

/// The figures that only make sense over all ranks, gathered on every rank.
void merge_reports(RunReport& report, Group& world) {
  const auto all = [&]<class T>(const std::vector<T>& mine) {
    const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(T));
    std::vector<T> merged;
    for (const std::string& text : gather_strings(world, bytes)) {
      std::vector<T> part(text.size() / sizeof(T));
      std::copy(text.begin(), text.end(), reinterpret_cast<char*>(part.data()));
      merged.insert(merged.end(), part.begin(), part.end());
    }
    return merged;
  };
  const auto largest = [&](auto& value) {
    using T = std::remove_reference_t<decltype(value)>;
    for (const T& other : all(std::vector<T>{value})) value = std::max(value, other);
  };
  const auto sum = [&](std::int64_t& value) {
    const std::vector<std::int64_t> parts = all(std::vector<std::int64_t>{value});
    value = 0;
    for (const std::int64_t part : parts) value += part;
  };
  report.ttft_seconds = all(report.ttft_seconds);
  report.tpot_seconds = all(report.tpot_seconds);
  sum(report.prompt_tokens);
  sum(report.completion_tokens);
  largest(report.preemptions);
  for (double* seconds : {&report.load_seconds, &report.prefill_seconds, &report.decode_seconds,
                          &report.output_seconds}) {
    largest(*seconds);
  }
  largest(report.planned_memory);
  largest(report.peak_memory);
  report.hosts = gather_strings(world, host_name());
}

/// Writes what rank 0 writes at the end; gives the job's exit status.
int finish(const Job& job, Opened& opened, RunReport& report, const Stopwatch& wall, Group& world) {
  int status = kExitSuccess;
  if (world.rank() == 0) {
    const RowCounts counts = opened.journal->finish();
    const bool complete = opened.journal->complete();
    report.requests = static_cast<std::int64_t>(opened.rows.size());
    report.succeeded = counts.succeeded;
    report.failed = counts.failed;
    if (complete) report.results = (job.output.dir / "results.jsonl").string();
    report.wall_seconds = wall.seconds();
    write_text(job.output.dir / "summary.json", to_json(report));
    std::fputs(to_text(report).c_str(), stdout);
    if (!complete) fmt::print("stopped before the end: run it again to go on\n");
    status = !complete ? kExitResumable : counts.failed > 0 ? kExitSomeFailed : kExitSuccess;
  }
  world.broadcast(std::as_writable_bytes(std::span(&status, 1)), 0);
  return status;
}

int already_complete(const Job& job, const Opened& opened, Group& world) {
  const bool failed =
      std::find(opened.rows.begin(), opened.rows.end(), RowState::failed) != opened.rows.end();
  if (world.rank() == 0) {
    fmt::print("{} is complete already ({} requests): nothing to do\n",
               (job.output.dir / "results.jsonl").string(), opened.rows.size());
  }
  return failed ? kExitSomeFailed : kExitSuccess;
}

int run(const RunOptions& options, Group& world) {
  const Stopwatch wall;
  Job job;
  agree(world, [&] { job = load_job(options.job, options.overrides); });
  Deployment deployment(job.model, job.parallel, job.engine, world);
  Opened opened = open_journal(job, deployment.reader(), world);
  if (opened.complete) return already_complete(job, opened, world);

  RunReport report;
  report.model = job.model.string();
  report.processor = deployment.ops().description();
  report.layout = deployment.layout();
  for (const RowState state : opened.rows) report.resumed += state != RowState::missing ? 1 : 0;
  if (world.rank() == 0) {
    write_text(job.output.dir / "job.yaml", to_yaml(job));
    fmt::print("weft: {} requests, {} done by earlier runs; {} on {}\n", opened.rows.size(),
               report.resumed, to_string(deployment.layout()), deployment.ops().description());
    std::fflush(stdout);
  }
  const Stopwatch load;
  agree(world, [&] { deployment.load(); });
  report.load_seconds = load.seconds();
  report.planned_memory = deployment.footprint().total();

  Watchdog watchdog(job.engine.watchdog_seconds,
                    fmt::format("rank {} on {}", world.rank(), host_name()));
  const StopRequest stop_request;
  std::optional<JournalPart> journal;
  if (deployment.leads_replica()) journal.emplace(job.output.dir, deployment.place().dp);
  ReplicaRun(job, deployment, opened.rows, journal ? &*journal : nullptr, report, watchdog)
      .run();
  if (journal) journal->close();
  // Replicas finish at different times, however long that takes: no watch over the end.
  watchdog.stop();
  report.peak_memory = deployment.ops().memory().peak();
  merge_reports(report, world);
  return finish(job, opened, report, wall, world);
}

}  // namespace

int command_run(const RunOptions& options) {
  return with_session([&](Group& world) { return run(options, world); });
}

}  // namespace weft
