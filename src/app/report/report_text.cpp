#include <fmt/format.h>

#include "app/report/report_format.h"
#include "base/message.h"
#include "plan/sizing.h"

namespace weft {
namespace {

using nlohmann::json;

/// "12.3 ms", "4.56 s".
std::string short_time(double seconds) {
  if (seconds < 1) return fmt::format("{:.1f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string interval_text(const Repeats& repeats) {
  if (!repeats.interval) return fmt::format("{:.3g} to {:.3g} *", repeats.least, repeats.most);
  return fmt::format("{:.3g} to {:.3g}", repeats.interval->low, repeats.interval->high);
}

std::string row_name(const ScalingRow& row) {
  std::string text = layout_text(row.configuration);
  for (const auto& [name, value] : row.configuration.factors) {
    const bool said = name == "ranks" || name.starts_with("parallel.") || name == "layout";
    if (!said) text += fmt::format(" {}={}", escaped(name), escaped(value));
  }
  return text;
}

std::string scaling_text(const ScalingTable& table) {
  std::string text = fmt::format("{:>5} {:>5}  {:<18} {:>3} {:>9} {:>16} {:>9} {:>8} {:>6}  {}\n",
                                 "nodes", "ranks", "layout", "n", "wall s", "95 % interval",
                                 "tokens/s", "speed-up", "eff.", "against the base");
  bool few = false;
  for (const ScalingRow& r : table.rows) {
    few |= !r.wall.interval;
    text += fmt::format("{:>5} {:>5}  {:<18} {:>3} {:>9.4g} {:>16} {:>9.4g} {:>8.2f} {:>5.0f}%  {}",
                        r.configuration.nodes, r.configuration.ranks, row_name(r), r.wall.count,
                        r.wall.median, interval_text(r.wall), r.wall_rate, r.speed_up,
                        100 * r.efficiency, r.verdict);
    if (r.scaling == "weak") text += ", weak scaling";
    if (r.serial_fraction) text += fmt::format(", Karp-Flatt {:.3f}", *r.serial_fraction);
    text += '\n';
  }
  if (few) text += "* least and most: an interval needs 6 repeats\n";
  text +=
      "wall s: median. Tokens are the generated ones, their rate is of all wall time, loading "
      "too.\n";
  return text;
}

std::string quantile_line(const json& summary, const std::string& member, const char* label) {
  if (figure(summary, {member, "p50"}) <= 0) return "";
  return fmt::format(
      "  {:<10} {} p50, {} p90, {} p99\n", label, short_time(figure(summary, {member, "p50"})),
      short_time(figure(summary, {member, "p90"})), short_time(figure(summary, {member, "p99"})));
}

/// Of one run what a table of many has no room for.
std::string run_text(const RunRecord& run, const ScalingRow& row) {
  const json& s = run.summary;
  std::string text =
      fmt::format("{}: weft {}, {} on {} rank{} of {} node{}\n", escaped(run.directory.string()),
                  s.value("weft", ""), layout_text(row.configuration), row.configuration.ranks,
                  row.configuration.ranks == 1 ? "" : "s", row.configuration.nodes,
                  row.configuration.nodes == 1 ? "" : "s");
  text += fmt::format("  time       {} in all, load {}; {:.1f} tokens/s, {:.1f} without loading\n",
                      short_time(row.wall.median), short_time(row.load.median), row.wall_rate,
                      row.steady_rate);
  text += quantile_line(s, "ttft_seconds", "TTFT");
  text += quantile_line(s, "tpot_seconds", "TPOT");
  text += quantile_line(s, "latency_seconds", "latency");
  text += fmt::format("  {:<14} {:>10} {:>10} {:>10} {:>6}  slowest\n", "phase", "least", "mean",
                      "most", "share");
  for (const PhaseShare& phase : row.phases) {
    const json& p = s.at("seconds_by_phase").at(phase.name);
    if (figure(p, {"max"}) <= 0) continue;
    text += fmt::format("  {:<14} {:>10} {:>10} {:>10} {:>5.1f}%  rank {:.0f} on {}\n",
                        escaped(phase.name), short_time(figure(p, {"min"})),
                        short_time(figure(p, {"avg"})), short_time(figure(p, {"max"})),
                        100 * phase.share, figure(p, {"slowest_rank"}),
                        escaped(p.value("slowest_host", "")));
  }
  text += fmt::format("  memory     {} at most on a rank, {} planned\n",
                      human_bytes(static_cast<Bytes>(figure(s, {"memory_bytes", "peak"}))),
                      human_bytes(static_cast<Bytes>(figure(s, {"memory_bytes", "planned"}))));
  if (const auto axes = s.find("communication"); axes != s.end()) {
    for (const auto& [axis, sums] : axes->items()) {
      text += fmt::format("  travelled  along {}: {} sent by a rank on average, {} at most\n",
                          escaped(axis),
                          human_bytes(static_cast<Bytes>(figure(sums, {"sent_bytes", "avg"}))),
                          human_bytes(static_cast<Bytes>(figure(sums, {"sent_bytes", "max"}))));
    }
  }
  if (row.occupancy > 0)
    text += fmt::format("  occupancy  {:.0f}% of the batch\n", 100 * row.occupancy);
  if (row.cpu_seconds)
    text += fmt::format("  CPU        {:.3g} s of all ranks\n", *row.cpu_seconds);
  for (const auto& [code, count] : failures_by_code(run.directory)) {
    text += fmt::format("  failed     {} by {}\n", count, escaped(code));
  }
  return text;
}

}  // namespace

std::string report_text(const Report& report) {
  std::string text;
  const std::vector<ScalingRow>& rows = report.table.rows;
  if (rows.size() == 1 && rows[0].runs.size() == 1) {
    text += run_text(*rows[0].runs[0], rows[0]);
  } else if (!rows.empty()) {
    text += scaling_text(report.table);
  }
  for (const RunRecord* run : report.table.left_out) {
    text += fmt::format("{}: {}: {}\n", escaped(run->directory.string()), escaped(run->status),
                        run->reason.empty() ? "no reason is recorded" : escaped(run->reason));
  }
  for (const std::string& line : report.comparison) text += line + '\n';
  for (const WorkLine& line : report.work) text += line.text + '\n';
  for (const std::string& note : report.notes) text += note + '\n';
  return text;
}

}  // namespace weft
