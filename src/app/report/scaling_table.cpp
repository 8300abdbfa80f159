#include "app/report/scaling_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/message.h"

namespace weft {
namespace {

using nlohmann::json;

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

template <class Of>
std::vector<double> values_of(const ScalingRow& row, const Of& of) {
  std::vector<double> values;
  for (const RunRecord* run : row.runs) values.push_back(of(run->summary));
  return values;
}

template <class Of>
double mean_of(const ScalingRow& row, const Of& of) {
  double sum = 0;
  for (const double value : values_of(row, of)) sum += value;
  return ratio(sum, static_cast<double>(row.runs.size()));
}

/// What a run's environment tells of its ranks, added up; nothing where it is not recorded.
std::optional<double> cpu_seconds_of(const json& summary) {
  const json::json_pointer ranks("/environment/ranks");
  if (!summary.contains(ranks)) return {};
  double sum = 0;
  for (const json& rank : summary.at(ranks)) sum += figure(rank, {"cpu_seconds"});
  return sum;
}

std::optional<double> load_average_of(const json& summary) {
  const json::json_pointer hosts("/environment/hosts");
  if (!summary.contains(hosts)) return {};
  std::optional<double> most;
  for (const json& host : summary.at(hosts)) {
    const auto load = host.find("load_average_at_end");
    if (load == host.end() || !load->is_array() || load->empty()) continue;
    most = std::max(most.value_or(0), load->front().get<double>());
  }
  return most;
}

/// Mean over the runs that record it.
template <class Of>
std::optional<double> mean_where_known(const ScalingRow& row, const Of& of) {
  double sum = 0;
  int count = 0;
  for (const RunRecord* run : row.runs) {
    if (const std::optional<double> value = of(run->summary)) {
      sum += *value;
      ++count;
    }
  }
  if (count == 0) return {};
  return sum / count;
}

void add_phases(ScalingRow& row) {
  double all = 0;
  double computing = 0;
  double computing_most = 0;
  std::map<std::string, double> seconds;
  for (const RunRecord* run : row.runs) {
    const auto phases = run->summary.find("seconds_by_phase");
    if (phases == run->summary.end()) continue;
    for (const auto& [name, phase] : phases->items()) {
      const double mean = figure(phase, {"avg"});
      seconds[name] += mean;
      all += mean;
      if (name != "attention" && name != "ffn" && name != "forward" && name != "logits") continue;
      computing += mean;
      computing_most += figure(phase, {"max"});
    }
  }
  for (const auto& [name, sum] : seconds) row.phases.push_back({name, ratio(sum, all)});
  if (computing_most > 0) row.imbalance = 1 - computing / computing_most;
}

void summarise(ScalingRow& row) {
  const auto wall = [](const json& s) { return figure(s, {"seconds", "wall"}); };
  const auto load = [](const json& s) { return figure(s, {"seconds", "load"}); };
  const auto busy = [&](const json& s) { return wall(s) - load(s); };
  row.wall = repeats_of(values_of(row, wall));
  row.load = repeats_of(values_of(row, load));
  row.prompt_tokens = mean_of(row, [](const json& s) { return figure(s, {"tokens", "prompt"}); });
  row.output_tokens = mean_of(row, [](const json& s) {
    return figure(s, {"tokens", "completion"});
  });
  row.steady_rate = ratio(row.output_tokens, repeats_of(values_of(row, busy)).median);
  row.wall_rate = ratio(row.output_tokens, row.wall.median);
  row.node_hours = ratio(static_cast<double>(row.configuration.nodes) * row.wall.median / 3600,
                         row.output_tokens / 1e6);
  row.occupancy = mean_of(row, [](const json& s) { return figure(s, {"batch", "occupancy"}); });
  row.cpu_seconds = mean_where_known(row, cpu_seconds_of);
  row.load_average = mean_where_known(row, load_average_of);
  add_phases(row);
}

std::string scaling_of(const Configuration& c, const Configuration& base) {
  if (c.requests == base.requests) return "strong";
  return c.requests * base.ranks == base.requests * c.ranks ? "weak" : "other";
}

void compare(ScalingRow& row, const ScalingRow& base) {
  const double p = ratio(static_cast<double>(row.configuration.ranks),
                         static_cast<double>(base.configuration.ranks));
  row.scaling = &row == &base ? "base" : scaling_of(row.configuration, base.configuration);
  row.speed_up = ratio(row.wall_rate, base.wall_rate);
  row.efficiency = ratio(row.speed_up, p);
  if (row.scaling == "strong" && p > 1 && row.speed_up > 0) {
    row.serial_fraction = karp_flatt(row.speed_up, p);
  }
  row.verdict = &row == &base ? "base" : verdict_of(row, base);
}

/// "tp" of a configuration, or a factor; empty when there is none of that name.
std::string value_of(const Configuration& c, const std::string& name) {
  const std::map<std::string, std::int64_t> columns = {
      {"ranks", c.ranks}, {"nodes", c.nodes}, {"threads", c.threads},
      {"tp", c.tp},       {"pp", c.pp},       {"sp", c.sp},
      {"ep", c.ep},       {"dp", c.dp},       {"requests", c.requests}};
  if (const auto factor = c.factors.find(name); factor != c.factors.end()) return factor->second;
  const auto column = columns.find(name);
  return column == columns.end() ? "" : std::to_string(column->second);
}

std::size_t base_row(const std::vector<ScalingRow>& rows, const std::string& baseline) {
  if (baseline.empty()) return 0;
  const std::size_t equals = baseline.find('=');
  if (equals == std::string::npos) {
    fail_user("--baseline: write NAME=VALUE, such as ranks=1, not '{}'", baseline);
  }
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const ScalingRow& row) {
    return value_of(row.configuration, baseline.substr(0, equals)) == baseline.substr(equals + 1);
  });
  if (found == rows.end()) fail_user("--baseline: no run has {}", baseline);
  return static_cast<std::size_t>(found - rows.begin());
}

}  // namespace

Configuration configuration_of(const RunRecord& run) {
  const json& s = run.summary;
  const auto axis = [&s](const char* name) {
    return static_cast<std::int64_t>(figure(s, {"layout", name}));
  };
  Configuration c;
  const std::set<json> hosts(s.at("hosts").begin(), s.at("hosts").end());
  c.nodes = static_cast<std::int64_t>(hosts.size());
  c.ranks = static_cast<std::int64_t>(s.at("hosts").size());
  c.tp = axis("tp");
  c.pp = axis("pp");
  c.sp = axis("sp");
  c.ep = axis("ep");
  c.dp = axis("dp");
  c.requests = static_cast<std::int64_t>(figure(s, {"requests", "total"}));
  c.model = s.value("model", "");
  c.processor = s.value("processor", "");
  c.factors = run.factors;
  const json::json_pointer threads("/environment/ranks/0/threads");
  if (s.contains(threads)) c.threads = s.at(threads).get<std::int64_t>();
  return c;
}

std::string layout_text(const Configuration& c) {
  std::string text;
  const std::vector<std::pair<const char*, std::int64_t>> axes = {
      {"tp", c.tp}, {"pp", c.pp}, {"sp", c.sp}, {"ep", c.ep}, {"dp", c.dp}};
  for (const auto& [name, size] : axes) {
    if (size > 1) text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, size);
  }
  return text.empty() ? "one rank" : text;
}

ScalingTable scaling_table(const std::vector<RunRecord>& runs, const std::string& baseline) {
  ScalingTable table;
  std::map<Configuration, ScalingRow> rows;  // in the order of ranks, nodes, …
  for (const RunRecord& run : runs) {
    if (run.status != "ok") {
      table.left_out.push_back(&run);
      continue;
    }
    const Configuration configuration = configuration_of(run);
    ScalingRow& row = rows[configuration];
    row.configuration = configuration;
    row.runs.push_back(&run);
  }
  for (auto& [configuration, row] : rows) {
    summarise(row);
    table.rows.push_back(std::move(row));
  }
  if (table.rows.empty()) return table;
  table.base = base_row(table.rows, baseline);
  for (ScalingRow& row : table.rows) compare(row, table.rows[table.base]);
  return table;
}

std::string verdict_of(const ScalingRow& row, const ScalingRow& base) {
  if (!row.wall.interval || !base.wall.interval) return "too few repeats";
  const auto per_token = [](const ScalingRow& r) {
    return Interval{ratio(r.wall.interval->low, r.output_tokens),
                    ratio(r.wall.interval->high, r.output_tokens)};
  };
  const Interval a = per_token(row);
  const Interval b = per_token(base);
  if (overlap(a, b)) return "not distinguishable";
  return a.high < b.low ? "faster" : "slower";
}

std::vector<WorkLine> work_lines(const std::vector<RunRecord>& runs) {
  std::map<std::int64_t, std::map<std::string, std::vector<std::string>>> work;
  int incomplete = 0;
  for (const RunRecord& run : runs) {
    if (run.status != "ok") continue;
    if (run.digest.empty()) {
      ++incomplete;
      continue;
    }
    work[configuration_of(run).requests][run.digest].push_back(escaped(run.directory.string()));
  }
  std::vector<WorkLine> lines;
  for (const auto& [requests, digests] : work) {
    if (digests.size() == 1) {
      const auto& [digest, directories] = *digests.begin();
      lines.push_back(
          {fmt::format("same work: digest {} of {} requests in {} run{}", digest, requests,
                       directories.size(), directories.size() == 1 ? "" : "s"),
           true});
      continue;
    }
    std::string text =
        fmt::format("DIFFERENT WORK: {} digests of {} requests:", digests.size(), requests);
    for (const auto& [digest, directories] : digests) {
      text += fmt::format(" {} in {};", digest, fmt::join(directories, ", "));
    }
    text.back() = '.';
    lines.push_back({text, false});
  }
  if (incomplete > 0) {
    lines.push_back({fmt::format("no digest of {} run{} without results.jsonl", incomplete,
                                 incomplete == 1 ? "" : "s"),
                     true});
  }
  return lines;
}

}  // namespace weft
