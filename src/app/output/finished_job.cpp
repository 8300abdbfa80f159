#include "app/output/finished_job.h"

#include <algorithm>

#include "app/output/timings.h"
#include "io/file.h"

namespace weft {

RunReport begin_report(const Job& job, const Deployment& deployment,
                       const std::vector<RowState>& rows) {
  RunReport report;
  report.model = job.model.string();
  report.numerics = name(job.engine.numerics);
  report.processor = deployment.ops().description();
  report.layout = deployment.layout();
  report.cores = fewest_cores(deployment.cores()).cores;
  report.core_limit = fewest_cores(deployment.cores()).limit;
  report.requests = static_cast<std::int64_t>(rows.size());
  report.resumed = report.requests - std::count(rows.begin(), rows.end(), RowState::missing);
  return report;
}

RowCounts make_results(Journal& journal) {
  for (const char* name : {"summary.json", "timings.h5"}) {
    make_way(journal.directory() / name);
  }
  return journal.finish();
}

void make_missing_files(const Job& job, const Deployment& deployment, const Journal& journal) {
  const std::filesystem::path& directory = journal.directory();
  if (!is_there(directory / "timings.h5")) write_timings(directory);
  if (is_there(directory / "summary.json")) return;
  RunReport report = begin_report(job, deployment, journal.rows());
  const RowCounts counts = journal.counts();
  report.succeeded = counts.succeeded;
  report.failed = counts.failed;
  report.all_runs = total_of_runs(directory);
  report.all_tokens = journal.tokens();
  report.results = (directory / "results.jsonl").string();
  visit_requests(directory, [&](const RequestTiming& request) { add_recorded(report, request); });
  write_text(directory / "summary.json", to_json(report));
}

}  // namespace weft
