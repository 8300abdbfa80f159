// `weft report`: what runs and studies have measured.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "app/commands/commands.h"
#include "app/report/report_format.h"
#include "base/error.h"
#include "base/message.h"
#include "io/file.h"

namespace weft {
namespace {

std::vector<RunRecord> read_all(const std::vector<std::filesystem::path>& directories,
                                std::vector<std::string>& notes) {
  std::vector<RunRecord> runs;
  for (const auto& directory : directories) {
    for (RunRecord& run : read_runs(directory, notes)) runs.push_back(std::move(run));
  }
  return runs;
}

/// A note for each thing by which figures may differ though the work is the same.
void add_notes(const std::vector<RunRecord>& runs, std::vector<std::string>& notes) {
  std::vector<std::string> versions;
  for (const RunRecord& run : runs) {
    if (run.summary.is_null()) continue;
    const std::string version = run.summary.value("weft", "");
    if (std::find(versions.begin(), versions.end(), version) == versions.end()) {
      versions.push_back(version);
    }
    if (figure(run.summary, {"requests", "resumed"}) > 0) {
      notes.push_back(fmt::format(
          "{}: earlier runs did {:.0f} of its requests: its figures are of the rest",
          escaped(run.directory.string()), figure(run.summary, {"requests", "resumed"})));
    }
  }
  if (versions.size() > 1) {
    std::string text = "the runs are of several versions of weft:";
    for (const std::string& version : versions) text += ' ' + escaped(version);
    notes.push_back(text);
  }
}

/// B against A, for each configuration that both have.
std::vector<std::string> compared(const ScalingTable& a, const ScalingTable& b) {
  std::vector<std::string> lines;
  for (const ScalingRow& row : b.rows) {
    const auto other = std::find_if(a.rows.begin(), a.rows.end(), [&](const ScalingRow& r) {
      const Configuration& x = r.configuration;
      const Configuration& y = row.configuration;
      return x.ranks == y.ranks && x.nodes == y.nodes && x.requests == y.requests &&
             layout_text(x) == layout_text(y) && x.factors == y.factors;
    });
    if (other == a.rows.end()) continue;
    lines.push_back(fmt::format(
        "{} on {} ranks: A {:.4g} s (n {}), B {:.4g} s (n {}), {:.3f} times A's tokens/s: B {}",
        layout_text(row.configuration), row.configuration.ranks, other->wall.median,
        other->wall.count, row.wall.median, row.wall.count,
        other->wall_rate > 0 ? row.wall_rate / other->wall_rate : 0, verdict_of(row, *other)));
  }
  if (lines.empty()) fail_user("--compare: A and B have no configuration in common");
  return lines;
}

}  // namespace

int command_report(const ReportOptions& options) {
  Report report;
  report.runs = read_all(options.directories, report.notes);
  const std::vector<RunRecord> others = read_all(options.compared, report.notes);
  std::vector<RunRecord> all = report.runs;
  all.insert(all.end(), others.begin(), others.end());
  check_one_contract(all);
  add_notes(all, report.notes);
  report.work = work_lines(all);
  report.table = scaling_table(report.runs, options.baseline);
  if (!others.empty()) report.comparison = compared(report.table, scaling_table(others, ""));
  const std::string text = options.format == "csv"    ? report_csv(report)
                           : options.format == "json" ? report_json(report)
                           : options.format == "html" ? report_html(report)
                                                      : report_text(report);
  if (options.output.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    write_named(options.output, text);
  }
  const bool same = std::all_of(report.work.begin(), report.work.end(),
                                [](const WorkLine& line) { return line.same; });
  return same ? kExitSuccess : kExitSomeFailed;
}

}  // namespace weft
