#include "app/output/merge_reports.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "app/output/timings.h"
#include "comm/session.h"

namespace weft {
namespace {

/// All ranks' values, one rank's behind the other's.
template <class T>
std::vector<T> all_of(const std::vector<T>& mine, Group& world) {
  std::string bytes(mine.size() * sizeof(T), '\0');
  if (!mine.empty()) std::memcpy(bytes.data(), mine.data(), bytes.size());
  std::vector<T> merged;
  for (const std::string& text : gather_strings(world, bytes)) {
    const std::size_t before = merged.size();
    merged.resize(before + text.size() / sizeof(T));
    if (!text.empty()) std::memcpy(&merged[before], text.data(), text.size());
  }
  return merged;
}

template <class T>
void take_largest(T& value, Group& world) {
  const std::vector<T> all = all_of(std::vector<T>{value}, world);
  value = *std::max_element(all.begin(), all.end());
}

void take_sum(std::int64_t& value, Group& world) {
  const std::vector<std::int64_t> all = all_of(std::vector<std::int64_t>{value}, world);
  value = 0;
  for (const std::int64_t part : all) value += part;
}

/// Ranks that completed nothing send nothing: a histogram has 22 kB.
void take_together(Quantiles& quantiles, Group& world) {
  std::vector<Quantiles> mine;
  if (quantiles.count() > 0) mine.push_back(quantiles);
  quantiles = {};
  for (const Quantiles& part : all_of(mine, world)) quantiles.add(part);
}

/// Least, mean and most of each phase over the ranks.
std::vector<PhaseReport> compare_phases(const PhaseSeconds& mine, Group& world) {
  const std::vector<PhaseSeconds> ranks = all_of(std::vector<PhaseSeconds>{mine}, world);
  std::vector<PhaseReport> phases;
  for (const PhaseColumn& column : phase_columns()) {
    std::vector<double> seconds;
    for (const PhaseSeconds& of_rank : ranks) seconds.push_back(column.of(of_rank));
    const auto most = std::max_element(seconds.begin(), seconds.end());
    const double sum = std::accumulate(seconds.begin(), seconds.end(), 0.0);
    phases.push_back({column.name, *std::min_element(seconds.begin(), seconds.end()),
                      sum / static_cast<double>(seconds.size()), *most,
                      static_cast<int>(most - seconds.begin())});
  }
  return phases;
}

Spread spread_of(const std::vector<double>& values) {
  const auto ends = std::minmax_element(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {*ends.first, sum / static_cast<double>(values.size()), *ends.second};
}

/// The axes on which any rank called for anything.
std::vector<AxisReport> compare_traffic(const Traffic& mine, Group& world) {
  const std::vector<Traffic> ranks = all_of(std::vector<Traffic>{mine}, world);
  std::vector<AxisReport> axes;
  for (const Primitive axis : communicating_axes()) {
    std::vector<double> calls;
    std::vector<double> sent;
    std::vector<double> received;
    for (const Traffic& traffic : ranks) {
      const Transfer total = traffic.total(axis);
      calls.push_back(static_cast<double>(total.calls));
      sent.push_back(static_cast<double>(total.sent));
      received.push_back(static_cast<double>(total.received));
    }
    const AxisReport report{axis, spread_of(calls), spread_of(sent), spread_of(received)};
    if (report.calls.most > 0) axes.push_back(report);
  }
  return axes;
}

/// Adds up the ranks' counts, layer by layer; a rank has those of its own layers only.
std::vector<ExpertLoad> add_experts(const std::vector<ExpertLoad>& mine, Group& world) {
  std::vector<std::int64_t> flat;  // layer, experts, tokens…
  for (const ExpertLoad& load : mine) {
    flat.push_back(load.layer);
    flat.push_back(static_cast<std::int64_t>(load.tokens.size()));
    flat.insert(flat.end(), load.tokens.begin(), load.tokens.end());
  }
  const std::vector<std::int64_t> all = all_of(flat, world);
  std::map<std::int64_t, ExpertLoad> by_layer;
  for (std::size_t at = 0; at < all.size();) {
    ExpertLoad& sum = by_layer[all[at]];
    sum.layer = all[at];
    const auto experts = static_cast<std::size_t>(all[at + 1]);
    sum.tokens.resize(experts);
    at += 2;
    for (std::size_t expert = 0; expert < experts; ++expert) sum.tokens[expert] += all[at++];
  }
  std::vector<ExpertLoad> sums;
  for (auto& [layer, load] : by_layer) sums.push_back(std::move(load));
  return sums;
}

}  // namespace

void merge_reports(RunReport& report, Group& world) {
  take_together(report.ttft_seconds, world);
  take_together(report.tpot_seconds, world);
  take_together(report.latency_seconds, world);
  take_sum(report.steps, world);
  take_sum(report.step_sequences, world);
  take_sum(report.sequence_slots, world);
  report.phases = compare_phases(report.own_phases, world);
  report.communication = compare_traffic(report.own_traffic, world);
  report.experts = add_experts(report.own_experts, world);
  take_sum(report.prompt_tokens, world);
  take_sum(report.completion_tokens, world);
  take_sum(report.names_left_as_text, world);
  take_sum(report.non_finite, world);
  take_sum(report.preemptions, world);
  take_sum(report.lossy_chats, world);
  take_sum(report.graphs, world);
  take_sum(report.replayed_steps, world);
  take_sum(report.prefix_tokens_looked_up, world);
  take_sum(report.prefix_tokens_taken_over, world);
  take_sum(report.drafted_tokens, world);
  take_sum(report.accepted_tokens, world);
  take_sum(report.dropped_spans, world);
  for (double* seconds : {&report.load_seconds, &report.prefill_seconds, &report.mixed_seconds,
                          &report.decode_seconds, &report.output_seconds}) {
    take_largest(*seconds, world);
  }
  take_largest(report.planned_memory, world);
  take_largest(report.peak_memory, world);
  report.hosts = gather_strings(world, host_name());
}

}  // namespace weft
