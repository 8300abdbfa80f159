#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/report/report_format.h"

namespace weft {
namespace {

std::string number_text(double value) { return fmt::format("{:.6g}", value); }

std::string share_of(const ScalingRow& row, const std::string& name) {
  for (const PhaseShare& phase : row.phases) {
    if (phase.name == name) return number_text(phase.share);
  }
  return "";
}

std::string or_empty(const std::optional<double>& value) {
  return value ? number_text(*value) : "";
}

std::string factors_of(const ScalingRow& row) {
  std::string text;
  for (const auto& [name, value] : row.configuration.factors) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value);
  }
  return text;
}

/// The digest on which all of the row's runs agree.
std::string digest_of_row(const ScalingRow& row) {
  const std::string& first = row.runs.front()->digest;
  for (const RunRecord* run : row.runs) {
    if (run->digest != first) return "differs";
  }
  return first;
}

/// A field of CSV, by RFC 4180.
std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

const std::vector<ReportColumn>& report_columns() {
  using Row = const ScalingRow&;
  static const std::vector<ReportColumn> columns = {
      {"scaling", [](Row r) { return r.scaling; }},
      {"nodes", [](Row r) { return std::to_string(r.configuration.nodes); }},
      {"ranks", [](Row r) { return std::to_string(r.configuration.ranks); }},
      {"ranks_per_node",
       [](Row r) {
         return number_text(static_cast<double>(r.configuration.ranks) /
                            static_cast<double>(r.configuration.nodes));
       }},
      {"threads",
       [](Row r) {
         return r.configuration.threads > 0 ? std::to_string(r.configuration.threads) : "";
       }},
      {"tp", [](Row r) { return std::to_string(r.configuration.tp); }},
      {"pp", [](Row r) { return std::to_string(r.configuration.pp); }},
      {"sp", [](Row r) { return std::to_string(r.configuration.sp); }},
      {"ep", [](Row r) { return std::to_string(r.configuration.ep); }},
      {"dp", [](Row r) { return std::to_string(r.configuration.dp); }},
      {"factors", factors_of},
      {"requests", [](Row r) { return std::to_string(r.configuration.requests); }},
      {"prompt_tokens", [](Row r) { return number_text(r.prompt_tokens); }},
      {"output_tokens", [](Row r) { return number_text(r.output_tokens); }},
      {"n", [](Row r) { return std::to_string(r.wall.count); }},
      {"wall_median", [](Row r) { return number_text(r.wall.median); }},
      {"wall_ci_low",
       [](Row r) { return r.wall.interval ? number_text(r.wall.interval->low) : ""; }},
      {"wall_ci_high",
       [](Row r) { return r.wall.interval ? number_text(r.wall.interval->high) : ""; }},
      {"wall_min", [](Row r) { return number_text(r.wall.least); }},
      {"wall_max", [](Row r) { return number_text(r.wall.most); }},
      {"wall_cv", [](Row r) { return r.wall.count > 1 ? number_text(r.wall.variation) : ""; }},
      {"load_median", [](Row r) { return number_text(r.load.median); }},
      {"steady_tokens_per_s", [](Row r) { return number_text(r.steady_rate); }},
      {"wall_tokens_per_s", [](Row r) { return number_text(r.wall_rate); }},
      {"tokens_per_s_per_rank",
       [](Row r) { return number_text(r.wall_rate / static_cast<double>(r.configuration.ranks)); }},
      {"speed_up", [](Row r) { return number_text(r.speed_up); }},
      {"efficiency", [](Row r) { return number_text(r.efficiency); }},
      {"karp_flatt", [](Row r) { return or_empty(r.serial_fraction); }},
      {"verdict", [](Row r) { return r.verdict; }},
      {"node_hours_per_million_tokens", [](Row r) { return number_text(r.node_hours); }},
      {"communication_share", [](Row r) { return share_of(r, "communication"); }},
      {"bubble_share", [](Row r) { return share_of(r, "bubble"); }},
      {"imbalance", [](Row r) { return number_text(r.imbalance); }},
      {"occupancy", [](Row r) { return r.occupancy > 0 ? number_text(r.occupancy) : ""; }},
      {"cpu_seconds", [](Row r) { return or_empty(r.cpu_seconds); }},
      {"load_average", [](Row r) { return or_empty(r.load_average); }},
      {"digest", digest_of_row},
  };
  return columns;
}

std::string report_csv(const Report& report) {
  std::string text;
  for (const ReportColumn& column : report_columns()) text += fmt::format("{},", column.name);
  text += "status,reason\n";
  for (const ScalingRow& row : report.table.rows) {
    for (const ReportColumn& column : report_columns()) text += csv_text(column.of(row)) + ',';
    text += "ok,\n";
  }
  for (const RunRecord* run : report.table.left_out) {
    ScalingRow none;
    none.configuration.factors = run->factors;
    for (const ReportColumn& column : report_columns()) {
      if (std::string_view(column.name) == "factors") text += csv_text(factors_of(none));
      text += ',';
    }
    text += csv_text(run->status) + ',' + csv_text(run->reason) + '\n';
  }
  return text;
}

std::string report_json(const Report& report) {
  using nlohmann::ordered_json;
  ordered_json rows = ordered_json::array();
  for (const ScalingRow& row : report.table.rows) {
    ordered_json object;
    for (const ReportColumn& column : report_columns()) {
      const std::string text = column.of(row);
      const ordered_json number = ordered_json::parse(text, nullptr, false);
      object[column.name] = text.empty()         ? ordered_json()
                            : number.is_number() ? number
                                                 : ordered_json(text);
    }
    ordered_json phases = ordered_json::object();
    for (const PhaseShare& phase : row.phases) phases[phase.name] = phase.share;
    object["phase_shares"] = phases;
    object["directories"] = ordered_json::array();
    for (const RunRecord* run : row.runs) object["directories"].push_back(run->directory.string());
    rows.push_back(object);
  }
  ordered_json left_out = ordered_json::array();
  for (const RunRecord* run : report.table.left_out) {
    left_out.push_back({{"directory", run->directory.string()},
                        {"factors", run->factors},
                        {"status", run->status},
                        {"reason", run->reason}});
  }
  ordered_json work = ordered_json::array();
  for (const WorkLine& line : report.work)
    work.push_back({{"text", line.text}, {"same", line.same}});
  const ordered_json all = {{"rows", rows},
                            {"left_out", left_out},
                            {"work", work},
                            {"comparison", report.comparison},
                            {"notes", report.notes}};
  return all.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace weft
