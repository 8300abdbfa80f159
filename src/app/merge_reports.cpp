#include "app/merge_reports.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

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

}  // namespace

void merge_reports(RunReport& report, Group& world) {
  report.ttft_seconds = all_of(report.ttft_seconds, world);
  report.tpot_seconds = all_of(report.tpot_seconds, world);
  take_sum(report.prompt_tokens, world);
  take_sum(report.completion_tokens, world);
  take_sum(report.preemptions, world);
  for (double* seconds : {&report.load_seconds, &report.prefill_seconds, &report.decode_seconds,
                          &report.output_seconds}) {
    take_largest(*seconds, world);
  }
  take_largest(report.planned_memory, world);
  take_largest(report.peak_memory, world);
  report.hosts = gather_strings(world, host_name());
}

}  // namespace weft
