// `weft run`: the main job.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <vector>

#include "app/commands.h"
#include "app/deployment.h"
#include "app/job.h"
#include "app/journal.h"
#include "app/merge_reports.h"
#include "app/prompts.h"
#include "app/replica_run.h"
#include "app/report.h"
#include "app/stop_request.h"
#include "base/clock.h"
#include "comm/session.h"
#include "io/file.h"

namespace weft {
namespace {

/// The output directory as rank 0 finds it, told to all ranks.
struct Opened {
  std::optional<Journal> journal;  ///< on rank 0
  std::vector<RowState> rows;
  bool complete = false;
};

/// The job with what `auto` stands for, so that its identity does not depend on how it was written.
Job resolved(Job job, const Deployment& deployment) {
  job.engine.max_sequence_length = deployment.sizes().max_sequence_length;
  job.engine.layers = job.engine.layers.value_or(deployment.reader().config().layers);
  return job;
}

/// Model and prompts are compared by content: nodes may have them in different places.
Job without_paths(Job job) {
  job.model = job.input.file = job.output.dir = "/";
  return job;
}

Opened open_journal(const Job& job, const Deployment& deployment, Group& world) {
  Opened opened;
  std::uint64_t header[2] = {0, 0};  // requests, complete
  agree(world, [&] {
    if (world.rank() != 0) return;
    const ModelReader& reader = deployment.reader();
    const PromptSurvey survey =
        survey_prompts(job.input.file, prompt_rules(job, reader.config().vocab));
    opened.journal.emplace(
        job.output.dir,
        identity_of(resolved(job, deployment), reader.manifest().digest, survey.digest, "cpu"),
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

int already_complete(const Job& job, const Opened& opened, Group& world) {
  const bool failed =
      std::find(opened.rows.begin(), opened.rows.end(), RowState::failed) != opened.rows.end();
  if (world.rank() == 0) {
    fmt::print("{} is complete already ({} requests): nothing to do\n",
               (job.output.dir / "results.jsonl").string(), opened.rows.size());
  }
  return failed ? kExitSomeFailed : kExitSuccess;
}

RunReport begin_report(const Job& job, const Deployment& deployment, const Opened& opened) {
  RunReport report;
  report.model = job.model.string();
  report.processor = deployment.ops().description();
  report.layout = deployment.layout();
  report.requests = static_cast<std::int64_t>(opened.rows.size());
  report.resumed =
      report.requests - std::count(opened.rows.begin(), opened.rows.end(), RowState::missing);
  return report;
}

void announce(const Job& job, const Deployment& deployment, const RunReport& report,
              const Opened& opened) {
  write_text(job.output.dir / "job.yaml", to_yaml(job));
  fmt::print("weft: {} requests, {} done by earlier runs; {} on {}\n", report.requests,
             report.resumed, to_string(report.layout), report.processor);
  if (opened.journal->damaged_lines() > 0) {
    fmt::print("weft: {} damaged lines of the journal are left out and computed again\n",
               opened.journal->damaged_lines());
  }
  if (deployment.threads_per_core() > 1 && deployment.threads() > 1) {
    fmt::print(
        "weft: {:.1f} threads for each core: they will wait for each other for most of the "
        "time (engine.threads)\n",
        deployment.threads_per_core());
  }
  std::fflush(stdout);
}

/// Writes what rank 0 writes at the end; gives the job's exit status.
int finish(const Job& job, Opened& opened, RunReport& report, Group& world) {
  int status = kExitSuccess;
  if (world.rank() == 0) {
    const RowCounts counts = opened.journal->finish();
    const bool complete = opened.journal->complete();
    report.succeeded = counts.succeeded;
    report.failed = counts.failed;
    if (complete) report.results = (job.output.dir / "results.jsonl").string();
    write_text(job.output.dir / "summary.json", to_json(report));
    std::fputs(to_text(report).c_str(), stdout);
    status = !complete ? kExitResumable : counts.failed > 0 ? kExitSomeFailed : kExitSuccess;
  }
  world.broadcast(std::as_writable_bytes(std::span(&status, 1)), 0);
  return status;
}

int run(const RunOptions& options, Group& world) {
  const Stopwatch wall;
  const StopRequest stop_request;
  Job job;
  agree(world, [&] { job = load_job(options.job, options.overrides); });
  Deployment deployment(job.model, job.parallel, job.engine, world);
  deployment.check_same_everywhere(to_yaml(without_paths(job)), job.input.file, world);
  Opened opened = open_journal(job, deployment, world);
  if (opened.complete) return already_complete(job, opened, world);

  RunReport report = begin_report(job, deployment, opened);
  if (world.rank() == 0) announce(job, deployment, report, opened);
  std::optional<ReplicaRun> replica;
  agree(world, [&] { replica.emplace(job, deployment, opened.rows, report); });
  const Stopwatch load;
  agree(world, [&] { deployment.load(); });
  report.load_seconds = load.seconds();
  report.planned_memory = deployment.footprint().total();
  replica->run();
  report.peak_memory = deployment.ops().memory().peak();
  merge_reports(report, world);
  report.wall_seconds = wall.seconds();
  return finish(job, opened, report, world);
}

}  // namespace

int command_run(const RunOptions& options) {
  return with_session([&](Group& world) { return run(options, world); });
}

}  // namespace weft
