#include "app/output/report.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/message.h"
#include "base/version.h"
#include "plan/sizing.h"

namespace weft {
namespace {

using nlohmann::ordered_json;

double rate(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

/// "12.3 ms", "4.56 s".
std::string readable_time(double seconds) {
  if (seconds < 1) return fmt::format("{:.1f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string line(std::string_view label, const Quantiles& q) {
  return fmt::format("  {:<10} {} p50, {} p90, {} p99\n", label, readable_time(q.at(0.5)),
                     readable_time(q.at(0.9)), readable_time(q.at(0.99)));
}

/// "n2"; nothing for a rank that is not known.
std::string host_of(const RunReport& r, int rank) {
  const auto i = static_cast<std::size_t>(rank);
  return i < r.hosts.size() ? r.hosts[i] : "";
}

/// The table of phases; nothing for phases in which no rank was.
std::string phase_lines(const RunReport& r) {
  std::string text;
  for (const PhaseReport& phase : r.phases) {
    if (phase.most <= 0) continue;
    if (text.empty()) text = "  by phase      least of a rank    average       most\n";
    text += fmt::format("    {:<13} {:>13} {:>10} {:>10}  rank {} on {}\n", phase.name,
                        readable_time(phase.least), readable_time(phase.mean),
                        readable_time(phase.most), phase.slowest, host_of(r, phase.slowest));
  }
  return text;
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

ordered_json json_of(const Quantiles& q) {
  return {{"p50", q.at(0.5)}, {"p90", q.at(0.9)}, {"p99", q.at(0.99)}};
}

ordered_json json_of_phases(const RunReport& r) {
  ordered_json phases = ordered_json::object();
  for (const PhaseReport& phase : r.phases) {
    phases[phase.name] = {{"min", phase.least},
                          {"avg", phase.mean},
                          {"max", phase.most},
                          {"slowest_rank", phase.slowest},
                          {"slowest_host", host_of(r, phase.slowest)}};
  }
  return phases;
}

ordered_json json_of(const Spread& spread) {
  return {{"min", spread.least}, {"avg", spread.mean}, {"max", spread.most}};
}

ordered_json json_of_communication(const RunReport& r) {
  ordered_json axes = ordered_json::object();
  for (const AxisReport& axis : r.communication) {
    axes[std::string(name(axis.axis))] = {{"calls", json_of(axis.calls)},
                                          {"sent_bytes", json_of(axis.sent)},
                                          {"received_bytes", json_of(axis.received)}};
  }
  return axes;
}

ordered_json json_of_experts(const RunReport& r) {
  ordered_json layers = ordered_json::array();
  for (const ExpertLoad& load : r.experts) {
    layers.push_back(
        {{"layer", load.layer}, {"imbalance", load.imbalance()}, {"tokens", load.tokens}});
  }
  return layers;
}

/// A line for each axis.
std::string communication_lines(const RunReport& r) {
  std::string text;
  for (const AxisReport& axis : r.communication) {
    text += fmt::format(
        "  {:<10} along {}: {} sent by a rank on average, {} at most, in {:.0f} "
        "calls\n",
        text.empty() ? "travelled" : "", name(axis.axis),
        human_bytes(static_cast<Bytes>(axis.sent.mean)),
        human_bytes(static_cast<Bytes>(axis.sent.most)), axis.calls.most);
  }
  return text;
}

/// The report of a run without any new row.
std::string idle_text(const RunReport& r) {
  return fmt::format(
      "weft: stopped after {} without a new row, {} of {} requests are done; run the same command "
      "to go on, with more time, fewer tokens to generate, or fewer requests at a time "
      "(engine.max_sequences)\n",
      readable_time(r.wall_seconds), r.resumed, r.requests);
}

/// What all runs of the job come to.
std::string job_line(const RunReport& r) {
  std::string text =
      fmt::format("  all runs   {}: {} tokens in, {} out; {} in all", r.all_runs.runs,
                  r.all_tokens.prompt, r.all_tokens.completion, readable_time(r.all_runs.seconds));
  if (r.all_runs.killed > 0)
    text += fmt::format(", without {} that were killed", r.all_runs.killed);
  return text + "\n";
}

ordered_json json_of(const Layout& layout) {
  return {{"tp", layout.tp},
          {"pp", layout.pp},
          {"sp", layout.sp},
          {"ep", layout.ep},
          {"dp", layout.dp}};
}

}  // namespace

double time_to_first_token(const Completion& completion) {
  return completion.first_token_at - completion.queued_at;
}

double end_to_end_latency(const Completion& completion) {
  return completion.finished_at - completion.queued_at;
}

double time_per_output_token(const Completion& completion) {
  const auto steps = static_cast<double>(completion.completion_tokens - 1);
  return rate(completion.finished_at - completion.first_token_at, steps);
}

void add_completion(RunReport& report, const Completion& completion, bool counts_prompt) {
  if (counts_prompt) report.prompt_tokens += completion.prompt_tokens;
  report.completion_tokens += completion.completion_tokens;
  report.ttft_seconds.add(time_to_first_token(completion));
  report.latency_seconds.add(end_to_end_latency(completion));
  if (completion.completion_tokens > 1) {
    report.tpot_seconds.add(time_per_output_token(completion));
  }
}

void add_recorded(RunReport& report, const RequestTiming& request) {
  Completion completion;
  completion.prompt_tokens = request.prompt_tokens;
  completion.completion_tokens = request.completion_tokens;
  completion.queued_at = request.queued;
  completion.first_token_at = request.first_token;
  completion.finished_at = request.finished;
  add_completion(report, completion, true);
}

double tokens_per_second(const RunReport& report) {
  return rate(static_cast<double>(report.completion_tokens),
              report.wall_seconds - report.load_seconds);
}

ExpertImbalance expert_imbalance(const std::vector<ExpertLoad>& experts) {
  ExpertImbalance found;
  for (const ExpertLoad& load : experts) {
    const double imbalance = load.imbalance();
    found.mean += imbalance / static_cast<double>(experts.size());
    if (imbalance <= found.most) continue;
    found.most = imbalance;
    found.worst_layer = load.layer;
  }
  return found;
}

double prefix_hit_rate(const RunReport& report) {
  return rate(static_cast<double>(report.prefix_tokens_taken_over),
              static_cast<double>(report.prefix_tokens_looked_up));
}

double bubble_share(const RunReport& report) {
  double bubble = 0;
  double all = 0;
  for (const PhaseReport& phase : report.phases) {
    all += phase.mean;
    if (phase.name == "bubble") bubble = phase.mean;
  }
  return rate(bubble, all);
}

double batch_occupancy(const RunReport& report) {
  return rate(static_cast<double>(report.step_sequences),
              static_cast<double>(report.sequence_slots));
}

std::string to_metrics(const RunReport& r) {
  std::string text;
  const auto add = [&text](std::string_view name, double value, std::string_view unit) {
    text += fmt::format("weft-metric {} {:.9g} {}\n", name, value, unit);
  };
  add("requests_succeeded", static_cast<double>(r.succeeded), "requests");
  add("requests_failed", static_cast<double>(r.failed), "requests");
  add("prompt_tokens", static_cast<double>(r.prompt_tokens), "tokens");
  add("completion_tokens", static_cast<double>(r.completion_tokens), "tokens");
  add("completion_tokens_per_second", tokens_per_second(r), "tokens/s");
  add("wall", r.wall_seconds, "s");
  add("load", r.load_seconds, "s");
  add("ttft_p50", r.ttft_seconds.at(0.5), "s");
  add("tpot_p50", r.tpot_seconds.at(0.5), "s");
  add("latency_p50", r.latency_seconds.at(0.5), "s");
  add("latency_p99", r.latency_seconds.at(0.99), "s");
  add("batch_occupancy", batch_occupancy(r), "share");
  add("memory_peak", static_cast<double>(r.peak_memory), "bytes");
  return text;
}

std::string to_text(const RunReport& r) {
  if (r.results.empty() && r.succeeded + r.failed == r.resumed) return idle_text(r);
  const double busy = r.wall_seconds - r.load_seconds;
  std::string text =
      fmt::format("weft {}, numerics {} (contract {})\n", kVersion, r.numerics, kContractVersion);
  if (r.numerics != "invariant") {
    text += "  tokens and logits may differ from one layout, batch or run to another\n";
  }
  text += fmt::format("  model      {}\n", escaped(r.model));
  text += fmt::format("  layout     {}, each rank {}\n", to_string(r.layout), r.processor);
  text += fmt::format("  hosts      {}\n", folded(r.hosts));
  if (r.cores > 0) text += fmt::format("  cores      {:.3g} a rank ({})\n", r.cores, r.core_limit);
  text += fmt::format("  requests   {} of {} done, {} failed", r.succeeded + r.failed, r.requests,
                      r.failed);
  if (r.non_finite > 0) text += fmt::format(" ({} by logits that are not finite)", r.non_finite);
  text += r.resumed > 0 ? fmt::format("; {} by earlier runs\n", r.resumed) : "\n";
  text += fmt::format("  tokens     {} in, {} out; {:.1f} in/s and {:.1f} out/s\n", r.prompt_tokens,
                      r.completion_tokens, rate(static_cast<double>(r.prompt_tokens), busy),
                      tokens_per_second(r));
  if (r.names_left_as_text > 0) {
    text += fmt::format(
        "  special    in {} prompts the name of a special token stayed text "
        "(input.special_tokens)\n",
        r.names_left_as_text);
  }
  if (r.ttft_seconds.count() > 0) text += line("TTFT", r.ttft_seconds);
  if (r.tpot_seconds.count() > 0) text += line("TPOT", r.tpot_seconds);
  text += fmt::format("  time       {}: load {}, prefill {}, mixed {}, decode {}, output {}\n",
                      readable_time(r.wall_seconds), readable_time(r.load_seconds),
                      readable_time(r.prefill_seconds), readable_time(r.mixed_seconds),
                      readable_time(r.decode_seconds), readable_time(r.output_seconds));
  if (r.all_runs.runs > 1) text += job_line(r);
  text += phase_lines(r);
  if (r.layout.pp > 1) {
    text +=
        fmt::format("  bubble     {:.1f}% of the ranks' time was spent waiting for other stages\n",
                    100 * bubble_share(r));
  }
  text += communication_lines(r);
  if (!r.experts.empty()) {
    const ExpertImbalance found = expert_imbalance(r.experts);
    text += fmt::format(
        "  experts    the busiest of a layer has {:.2f} times the mean's tokens, {:.2f} in layer "
        "{}\n",
        found.mean, found.most, found.worst_layer);
  }
  text += fmt::format("  memory     {} at most on a rank, {} planned\n", human_bytes(r.peak_memory),
                      human_bytes(r.planned_memory));
  if (r.prefix_tokens_looked_up > 0) {
    text += fmt::format("  prefixes   {} of {} tokens in full pages were there already ({:.1f}%)\n",
                        r.prefix_tokens_taken_over, r.prefix_tokens_looked_up,
                        100 * prefix_hit_rate(r));
  }
  if (r.drafted_tokens > 0) {
    text += fmt::format(
        "  drafts     {} of {} drafted tokens were accepted ({:.1f}%)\n", r.accepted_tokens,
        r.drafted_tokens,
        100 * rate(static_cast<double>(r.accepted_tokens), static_cast<double>(r.drafted_tokens)));
  }
  if (r.graphs > 0) {
    text += fmt::format("  graphs     {} recorded, {} steps of the first ranks were one of them\n",
                        r.graphs, r.replayed_steps);
  }
  if (r.lossy_chats > 0) {
    text += fmt::format("  warning    the chat template left something out of {} requests\n",
                        r.lossy_chats);
  }
  if (r.preemptions > 0) {
    text += fmt::format("  preempted  {} times: the key/value cache was full\n", r.preemptions);
  }
  if (r.dropped_spans > 0) {
    text +=
        fmt::format("  trace      the first spans of each rank; {} had no room\n", r.dropped_spans);
  }
  if (!r.results.empty()) return text + fmt::format("  results    {}\n", escaped(r.results));
  return text + "  stopped before the end; run the same command to go on\n";
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
      {"cores", {{"of_a_rank", r.cores}, {"limit", r.core_limit}}},
      {"requests",
       {{"total", r.requests},
        {"succeeded", r.succeeded},
        {"failed", r.failed},
        {"resumed", r.resumed},
        {"non_finite_logits", r.non_finite}}},
      {"tokens",
       {{"prompt", r.prompt_tokens},
        {"completion", r.completion_tokens},
        {"prompt_per_second",
         rate(static_cast<double>(r.prompt_tokens), r.wall_seconds - r.load_seconds)},
        {"completion_per_second", tokens_per_second(r)}}},
      {"ttft_seconds", json_of(r.ttft_seconds)},
      {"tpot_seconds", json_of(r.tpot_seconds)},
      {"latency_seconds", json_of(r.latency_seconds)},
      {"batch",
       {{"steps", r.steps},
        {"mean_sequences",
         rate(static_cast<double>(r.step_sequences), static_cast<double>(r.steps))},
        {"occupancy", batch_occupancy(r)}}},
      {"special_names_left_as_text", r.names_left_as_text},
      {"preemptions", r.preemptions},
      {"lossy_chats", r.lossy_chats},
      {"cuda_graphs", {{"recorded", r.graphs}, {"replayed_steps", r.replayed_steps}}},
      {"speculation", {{"drafted", r.drafted_tokens}, {"accepted", r.accepted_tokens}}},
      {"prefix_sharing",
       {{"tokens_looked_up", r.prefix_tokens_looked_up},
        {"tokens_taken_over", r.prefix_tokens_taken_over},
        {"hit_rate", prefix_hit_rate(r)}}},
      {"seconds",
       {{"wall", r.wall_seconds},
        {"load", r.load_seconds},
        {"prefill", r.prefill_seconds},
        {"mixed", r.mixed_seconds},
        {"decode", r.decode_seconds},
        {"output", r.output_seconds}}},
      {"all_runs",
       {{"runs", r.all_runs.runs},
        {"killed", r.all_runs.killed},
        {"wall_seconds", r.all_runs.seconds},
        {"requests", r.succeeded + r.failed},
        {"prompt_tokens", r.all_tokens.prompt},
        {"completion_tokens", r.all_tokens.completion}}},
      {"seconds_by_phase", json_of_phases(r)},
      {"bubble_share", bubble_share(r)},
      {"communication", json_of_communication(r)},
      {"experts", json_of_experts(r)},
      {"memory_bytes", {{"planned", r.planned_memory}, {"peak", r.peak_memory}}},
      {"dropped_trace_spans", r.dropped_spans},
      {"environment", r.environment.empty() ? ordered_json() : ordered_json::parse(r.environment)},
      {"results", r.results}};
  return summary.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace weft
