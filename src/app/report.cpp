#include "app/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/version.h"
#include "plan/sizing.h"

namespace weft {
namespace {

using nlohmann::ordered_json;

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

/// "950 B", "12.4 MiB", "3.1 GiB".
/// "12.3 ms", "4.56 s".
std::string readable(double seconds) {
  if (seconds < 1) return fmt::format("{:.1f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string line(std::string_view label, const Percentiles& p) {
  return fmt::format("  {:<10} {} p50, {} p90, {} p99\n", label, readable(p.p50), readable(p.p90),
                     readable(p.p99));
}

/// "n1 x 4, n2 x 4", at most four hosts of it.
std::string folded(const std::vector<std::string>& hosts) {
  constexpr std::size_t most = 4;
  std::map<std::string, int> ranks;
  for (const std::string& host : hosts) ++ranks[host];
  std::string text;
  std::size_t shown = 0;
  for (const auto& [host, count] : ranks) {
    if (shown++ == most) return text + fmt::format(", … ({} hosts)", ranks.size());
    text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", host, count);
  }
  return text;
}

ordered_json json_of(const Percentiles& p) {
  return {{"p50", p.p50}, {"p90", p.p90}, {"p99", p.p99}};
}

ordered_json json_of(const Layout& layout) {
  return {{"tp", layout.tp},
          {"pp", layout.pp},
          {"sp", layout.sp},
          {"ep", layout.ep},
          {"dp", layout.dp}};
}

}  // namespace

Percentiles percentiles_of(std::vector<double> seconds) {
  if (seconds.empty()) return {};
  std::sort(seconds.begin(), seconds.end());
  const auto nearest_rank = [&](double share) {
    const auto rank = std::ceil(share * static_cast<double>(seconds.size()));
    return seconds[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
  };
  return {.p50 = nearest_rank(0.50), .p90 = nearest_rank(0.90), .p99 = nearest_rank(0.99)};
}

double time_to_first_token(const Completion& completion) {
  return completion.first_token_at - completion.queued_at;
}

double time_per_output_token(const Completion& completion) {
  const auto steps = static_cast<double>(completion.completion_tokens - 1);
  return rate(completion.finished_at - completion.first_token_at, steps);
}

void add_completion(RunReport& report, const Completion& completion) {
  report.prompt_tokens += completion.prompt_tokens;
  report.completion_tokens += completion.completion_tokens;
  report.ttft_seconds.push_back(time_to_first_token(completion));
  if (completion.completion_tokens > 1) {
    report.tpot_seconds.push_back(time_per_output_token(completion));
  }
}

double tokens_per_second(const RunReport& report) {
  return rate(static_cast<double>(report.completion_tokens),
              report.wall_seconds - report.load_seconds);
}

std::string to_text(const RunReport& r) {
  const double busy = r.wall_seconds - r.load_seconds;
  std::string text =
      fmt::format("weft {}, numerics {} (contract {})\n", kVersion, r.numerics, kContractVersion);
  text += fmt::format("  model      {}\n", r.model);
  text += fmt::format("  layout     {}, each rank {}\n", to_string(r.layout), r.processor);
  text += fmt::format("  hosts      {}\n", folded(r.hosts));
  text += fmt::format("  requests   {} of {} done, {} failed", r.succeeded + r.failed, r.requests,
                      r.failed);
  text += r.resumed > 0 ? fmt::format("; {} by earlier runs\n", r.resumed) : "\n";
  text += fmt::format("  tokens     {} in, {} out; {:.1f} in/s and {:.1f} out/s\n", r.prompt_tokens,
                      r.completion_tokens, rate(static_cast<double>(r.prompt_tokens), busy),
                      tokens_per_second(r));
  if (!r.ttft_seconds.empty()) text += line("TTFT", percentiles_of(r.ttft_seconds));
  if (!r.tpot_seconds.empty()) text += line("TPOT", percentiles_of(r.tpot_seconds));
  text +=
      fmt::format("  time       {} in all: load {}, prefill {}, decode {}, output {}\n",
                  readable(r.wall_seconds), readable(r.load_seconds), readable(r.prefill_seconds),
                  readable(r.decode_seconds), readable(r.output_seconds));
  text += fmt::format("  memory     {} at most on a rank, {} planned\n", human_bytes(r.peak_memory),
                      human_bytes(r.planned_memory));
  if (r.preemptions > 0) {
    text += fmt::format("  preempted  {} times: the key/value cache was full\n", r.preemptions);
  }
  text += r.results.empty() ? "  stopped before the end; run the same command to go on\n"
                            : fmt::format("  results    {}\n", r.results);
  return text;
}

std::string to_json(const RunReport& r) {
  const ordered_json summary = {
      {"weft", kVersion},
      {"contract", kContractVersion},
      {"numerics", r.numerics},
      {"model", r.model},
      {"processor", r.processor},
      {"layout", json_of(r.layout)},
      {"hosts", r.hosts},
      {"requests",
       {{"total", r.requests},
        {"succeeded", r.succeeded},
        {"failed", r.failed},
        {"resumed", r.resumed}}},
      {"tokens",
       {{"prompt", r.prompt_tokens},
        {"completion", r.completion_tokens},
        {"completion_per_second", tokens_per_second(r)}}},
      {"ttft_seconds", json_of(percentiles_of(r.ttft_seconds))},
      {"tpot_seconds", json_of(percentiles_of(r.tpot_seconds))},
      {"preemptions", r.preemptions},
      {"seconds",
       {{"wall", r.wall_seconds},
        {"load", r.load_seconds},
        {"prefill", r.prefill_seconds},
        {"decode", r.decode_seconds},
        {"output", r.output_seconds}}},
      {"memory_bytes", {{"planned", r.planned_memory}, {"peak", r.peak_memory}}},
      {"results", r.results}};
  return summary.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace weft
