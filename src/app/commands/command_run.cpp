// `weft run`: the main job.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <span>
#include <vector>

#include "app/commands/cli.h"
#include "app/commands/commands.h"
#include "app/deployment.h"
#include "app/job/job.h"
#include "app/job/slurm_time.h"
#include "app/output/environment.h"
#include "app/output/finished_job.h"
#include "app/output/journal.h"
#include "app/output/merge_reports.h"
#include "app/output/progress.h"
#include "app/output/report.h"
#include "app/output/timings.h"
#include "app/output/trace_file.h"
#include "app/replica_run.h"
#include "app/requests/prompts.h"
#include "app/same_everywhere.h"
#include "app/stop_request.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/message.h"
#include "comm/control/clock_offset.h"
#include "comm/launch.h"
#include "comm/session.h"
#include "io/file.h"

namespace weft {
namespace {

// What goes on before the first step, for people.
constexpr const char* kReadingPrompts = "reading the prompts";
constexpr const char* kReadingJournal = "reading the journal";
constexpr const char* kLoading = "loading the model";

/// The output directory as rank 0 finds it, told to all ranks.
struct Opened {
  std::optional<Journal> journal;  ///< on rank 0
  std::optional<RunLog> runs;      ///< on rank 0, when there is anything to compute
  std::vector<RowState> rows;
  bool complete = false;                ///< results.jsonl is there
  bool stopped = false;                 ///< before it was known: there is nothing else
  const char* doing = kReadingPrompts;  ///< when it stopped, on rank 0
  int run = 0;

  [[nodiscard]] bool all_rows() const {
    return std::find(rows.begin(), rows.end(), RowState::missing) == rows.end();
  }
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

/// Reads all prompts once, unless a signal or the end of the job's time comes first. On rank 0.
PromptSurvey survey(const Job& job, Deployment& deployment, int columns) {
  ProgressLine progress({0, 0, columns}, deployment.control(), job.run.progress_seconds);
  progress.tell(kReadingPrompts);
  return survey_prompts(job.input.file, prompt_rules(job, deployment.reader().config().vocab),
                        [&] { return deployment.control().stop_asked(); });
}

/// UserError where a rank that is to write rows has another directory of that name than rank 0, on
/// its host's own disk, say: its rows would be lost.
void check_shared(const Job& job, const Opened& opened, const Deployment& deployment,
                  Group& world) {
  const std::string own_token = opened.journal ? opened.journal->token() : "";
  const std::string token = gather_strings(world, own_token).front();
  const std::vector<std::string> hosts = gather_strings(world, host_name());
  agree(world, [&] {
    if (!deployment.leads_replica() || find_journal(job.output.dir, token)) return;
    fail_user(
        "{}: on {}, rank {} finds another directory there than rank 0 on {}: output.dir must lie "
        "on "
        "a file system that all hosts share",
        job.output.dir.string(), host_name(), world.rank(), hosts.front());
  });
}

Opened open_journal(const RunOptions& options, const Job& job, Deployment& deployment, int columns,
                    Group& world) {
  Opened opened;
  std::int64_t header[3] = {0, 0, 0};  // requests, complete, run
  opened.stopped = !agree_unless_cancelled(world, [&] {
    if (world.rank() != 0) return;
    const ModelReader& reader = deployment.reader();
    const PromptSurvey prompts = survey(job, deployment, columns);
    opened.doing = kReadingJournal;
    const auto stop = [&] { return deployment.control().stop_asked(); };
    Journal& journal =
        opened.journal.emplace(job.output.dir,
                               identity_of(resolved(job, deployment), reader.manifest().digest,
                                           prompts.digest, deployment.device().kind),
                               prompts.requests, stop);
    if (options.retry_failed) journal.forget_failed(stop);
    opened.rows = journal.rows();
    if (!opened.all_rows()) opened.runs.emplace(job.output.dir, deployment.layout());
    header[0] = static_cast<std::int64_t>(opened.rows.size());
    header[1] = journal.complete() ? 1 : 0;
    header[2] = opened.runs ? opened.runs->number() : 0;
  });
  if (opened.stopped) return opened;
  world.broadcast(std::as_writable_bytes(std::span(header)), 0);
  opened.rows.resize(static_cast<std::size_t>(header[0]));
  world.broadcast(std::as_writable_bytes(std::span(opened.rows)), 0);
  opened.complete = header[1] != 0;
  opened.run = static_cast<int>(header[2]);
  if (!opened.complete && !opened.all_rows()) check_shared(job, opened, deployment, world);
  return opened;
}

/// The job ends before its first step; gives its exit status. `doing`: "reading the prompts".
int stopped_early(const char* doing, Group& world) {
  if (world.rank() == 0) {
    fmt::print("weft: stopped while {}; nothing is lost: run again to go on\n", doing);
  }
  return kExitResumable;
}

int already_complete(const Job& job, const Deployment& deployment, const Opened& opened,
                     Group& world) {
  const bool failed =
      std::find(opened.rows.begin(), opened.rows.end(), RowState::failed) != opened.rows.end();
  if (world.rank() == 0) {
    make_missing_files(job, deployment, *opened.journal);
    fmt::print("{} is complete already ({} requests): nothing to do{}\n",
               escaped((job.output.dir / "results.jsonl").string()), opened.rows.size(),
               failed ? "; --retry-failed computes those that failed again" : "");
  }
  return failed ? kExitSomeFailed : kExitSuccess;
}

/// A run was killed behind its last row, or there are no requests: the weights are not needed.
int write_results_only(const Job& job, Deployment& deployment, Opened& opened, int columns,
                       Group& world) {
  std::int64_t failed = 0;
  if (world.rank() == 0) {
    {
      ProgressLine progress({0, 0, columns}, deployment.control(), job.run.progress_seconds);
      progress.tell("writing the results");
      write_text(job.output.dir / "job.yaml", to_yaml(job));
      failed = make_results(*opened.journal).failed;
      make_missing_files(job, deployment, *opened.journal);
    }
    fmt::print(
        "weft: no request of {} is without its row; {} is written without loading the model\n",
        opened.rows.size(), escaped((job.output.dir / "results.jsonl").string()));
  }
  world.broadcast(std::as_writable_bytes(std::span(&failed, 1)), 0);
  return failed > 0 ? kExitSomeFailed : kExitSuccess;
}

void announce(const Job& job, Deployment& deployment, const RunReport& report,
              const Opened& opened) {
  write_text(job.output.dir / "job.yaml", to_yaml(job));
  fmt::print("weft: {} requests, {} done by earlier runs; {} on {}\n", report.requests,
             report.resumed, to_string(report.layout), report.processor);
  if (opened.journal->damaged_lines() > 0) {
    fmt::print("weft: {} damaged lines of the journal are left out and computed again\n",
               opened.journal->damaged_lines());
  }
  if (const int tasks = own_launch().waiting_tasks; tasks > 1 && report.layout.world_size() == 1) {
    fmt::print("weft: one process runs alone, but the Slurm job has {} tasks: srun starts them\n",
               tasks);
  }
  for (const std::string& line : core_warnings(deployment.cores())) {
    fmt::print("weft: {}\n", line);
  }
  if (deployment.broadcasts_weights()) {
    fmt::print("weft: replica 0 reads the weights and sends them to the others\n");
  }
  if (!deployment.control().connected() && report.layout.world_size() > 1) {
    fmt::print(
        "weft: this MPI has no MPI_THREAD_MULTIPLE: replicas have fixed shares, and signals stop "
        "only the replicas whose first rank gets them\n");
  }
  std::fflush(stdout);
}

/// Writes what rank 0 writes at the end; gives the job's exit status.
int finish(const RunOptions& options, const Job& job, Opened& opened, RunReport& report,
           Group& world) {
  int status = kExitSuccess;
  if (world.rank() == 0) {
    const RowCounts counts = make_results(*opened.journal);
    const bool complete = opened.journal->complete();
    report.succeeded = counts.succeeded;
    report.failed = counts.failed;
    if (complete) report.results = (job.output.dir / "results.jsonl").string();
    opened.runs->end(report.wall_seconds, report.experts);
    report.all_runs = total_of_runs(job.output.dir);
    report.all_tokens = opened.journal->tokens();
    write_timings(job.output.dir);
    write_text(job.output.dir / "summary.json", to_json(report));
    std::fputs(to_text(report).c_str(), stdout);
    if (options.metrics) std::fputs(to_metrics(report).c_str(), stderr);
    status = !complete ? kExitResumable : counts.failed > 0 ? kExitSomeFailed : kExitSuccess;
  }
  world.broadcast(std::as_writable_bytes(std::span(&status, 1)), 0);
  return status;
}

/// The clocks of all ranks against each other, and where the run begins.
struct RunClocks {
  explicit RunClocks(Group& world, std::int64_t begin, int run) {
    pair.begin_at = Tracer::now();
    pair.begin = pair.end = measure_clock_offset(world);
    zero_on_rank_zero = begin;
    world.broadcast(std::as_writable_bytes(std::span(&zero_on_rank_zero, 1)), 0);
    start = {.number = run, .zero = zero_on_rank_zero - pair.begin.nanoseconds};
  }

  void measure_again(Group& world) {
    pair.end_at = Tracer::now();
    pair.end = measure_clock_offset(world);
  }

  ClockPair pair;
  std::int64_t zero_on_rank_zero = 0;
  RunStart start;
};

/// A job file, read before MPI starts: it tells how long the watch has patience.
struct JobReading {
  Job job;
  std::optional<double> time_limit;  ///< of this rank, in seconds
  std::exception_ptr failure;        ///< what the ranks will speak of together
};

JobReading read_job(const RunOptions& options) {
  JobReading reading;
  try {
    reading.job = load_job(options.job, options.overrides);
    const JobRun& run = reading.job.run;
    // One rank's limit stops all: not every one need ask.
    if (run.slurm_time_limit && own_launch().rank <= 0) reading.time_limit = slurm_time_limit();
    if (run.time_limit) reading.time_limit = static_cast<double>(*run.time_limit);
  } catch (...) {
    reading.failure = std::current_exception();
  }
  return reading;
}

int run(const RunOptions& options, const JobReading& reading, int columns, Group& world,
        JobControl& control) {
  const Stopwatch wall;
  const std::int64_t begin = Tracer::now();
  agree(world, [&] {
    if (reading.failure) std::rethrow_exception(reading.failure);
  });
  const Job& job = reading.job;
  Deployment deployment(job.model, job.parallel, job.engine, world, control);
  if (job.output.trace) deployment.tracer().keep_spans(kTraceSpans);
  control.activity().begin_phase(JobPhase::prompts);
  const std::string text = to_yaml(without_paths(job));
  const auto stop_asked = [&control] { return control.stop_asked(); };
  if (!check_same_everywhere(text, deployment.reader().manifest().digest, job.input.file, world,
                             stop_asked)) {
    return stopped_early(kReadingPrompts, world);
  }
  Opened opened = open_journal(options, job, deployment, columns, world);
  if (opened.stopped) return stopped_early(opened.doing, world);
  if (opened.complete) return already_complete(job, deployment, opened, world);
  if (opened.all_rows()) {
    control.activity().begin_phase(JobPhase::results);
    return write_results_only(job, deployment, opened, columns, world);
  }

  const CostCounters costs = read_costs();
  RunClocks clocks(world, begin, opened.run);
  RunReport report = begin_report(job, deployment, opened.rows);
  if (world.rank() == 0) {
    announce(job, deployment, report, opened);
    for (const std::string& line : deployment.device().map) fmt::print("{}\n", line);
  }
  std::optional<ReplicaRun> replica;
  agree(world, [&] { replica.emplace(job, deployment, opened.rows, clocks.start, report); });
  std::optional<ProgressLine> progress;
  if (world.rank() == 0) {
    progress.emplace(ProgressLine::Job{report.requests, report.resumed, columns}, control,
                     job.run.progress_seconds);
    progress->tell(kLoading);
  }
  const Stopwatch load;
  if (!agree_unless_cancelled(world, [&] { deployment.load(); })) {
    progress.reset();
    if (opened.runs) opened.runs->end(wall.seconds(), {});
    return stopped_early(kLoading, world);
  }
  report.load_seconds = load.seconds();
  report.planned_memory = deployment.footprint().total();
  if (progress) progress->tell(nullptr);
  replica->run();
  control.activity().begin_phase(JobPhase::results);
  {
    const Tracer::Scope scope(deployment.tracer(), Phase::waiting);
    world.barrier();
  }
  if (progress) progress->tell("writing the results");
  report.peak_memory = deployment.peak_memory();
  deployment.tracer().catch_up();
  report.own_phases = deployment.tracer().seconds();
  report.own_traffic = deployment.model().groups().traffic();
  report.dropped_spans = deployment.tracer().dropped();
  if (deployment.leads_replica()) {
    const RecorderCounts counts = deployment.model().decoder().recorder_counts();
    report.graphs = counts.recorded;
    report.replayed_steps = counts.replayed;
  }
  // The ranks of a tensor-parallel group count the same tokens.
  if (deployment.coordinates().tp == 0) report.own_experts = deployment.model().expert_loads();
  merge_reports(report, world);
  report.environment = environment_json(costs, deployment.cores(), world);
  if (job.output.trace) {
    clocks.measure_again(world);
    write_trace(job.output.dir, deployment.tracer(), clocks.pair, clocks.zero_on_rank_zero,
                report.layout, report.hosts, world);
  }
  report.wall_seconds = wall.seconds();
  progress.reset();
  return finish(options, job, opened, report, world);
}

}  // namespace

int command_run(const RunOptions& options) {
  const int columns = terminal_columns();
  StopRequest stop;  // until MPI has ended: a finished job must not be ended by a late signal
  const Launch launch = own_launch();
  JobControl control(watchdog_before_job_file(options.overrides), &StopRequest::pending,
                     launch.rank);
  control.end_on_stop(kExitResumable);
  control.end_when_hung(kExitResumable);
  control.activity().begin_phase(JobPhase::job_file);
  const JobReading reading = read_job(options);
  if (reading.time_limit) stop.limit(*reading.time_limit);
  control.set_watchdog(reading.job.engine.watchdog_seconds);
  control.activity().begin_phase(JobPhase::launching);
  return with_session(control, launch,
                      [&](Group& world) { return run(options, reading, columns, world, control); });
}

}  // namespace weft
