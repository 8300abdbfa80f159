// Runs brought together: repeats of one configuration are a row, and rows are compared.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/report/run_record.h"
#include "app/report/statistics.h"

namespace weft {

/// What a configuration is told by; runs that are equal in all of it are repeats.
struct Configuration {
  std::int64_t ranks = 1;
  std::int64_t nodes = 1;
  std::int64_t threads = 0;  ///< of a rank; 0: not recorded
  std::int64_t tp = 1;
  std::int64_t pp = 1;
  std::int64_t sp = 1;
  std::int64_t ep = 1;
  std::int64_t dp = 1;
  std::int64_t requests = 0;
  std::string model;
  std::string processor;
  std::map<std::string, std::string> factors;
  auto operator<=>(const Configuration&) const = default;
};
Configuration configuration_of(const RunRecord& run);
/// "tp=2 dp=2": the axes above 1 of `c`; "one rank".
std::string layout_text(const Configuration& c);

/// A part of the ranks' time.
struct PhaseShare {
  std::string name;
  double share = 0;
};

/// One configuration. Costs are arithmetic means or medians; rates come from them, they are not
/// averaged.
struct ScalingRow {
  Configuration configuration;
  std::vector<const RunRecord*> runs;
  Repeats wall;              ///< seconds
  Repeats load;              ///< seconds
  double prompt_tokens = 0;  ///< of a run
  double output_tokens = 0;  ///< of a run
  double steady_rate = 0;    ///< output tokens over the median of wall time without loading
  double wall_rate = 0;      ///< output tokens over the median of wall time
  double node_hours = 0;     ///< per million output tokens
  double occupancy = 0;      ///< mean, of the batch
  double imbalance = 0;      ///< 1 - mean over most, of the ranks' computing time
  std::optional<double> cpu_seconds;   ///< of all ranks, mean
  std::optional<double> load_average;  ///< over a minute at the end, largest of the hosts
  std::vector<PhaseShare> phases;      ///< of all ranks' time, summed over the runs
  // Against the base.
  std::string scaling;  ///< "base", "strong" (as many requests), "weak" (as many a rank), "other"
  double speed_up = 0;  ///< in output tokens a second of wall time
  double efficiency = 0;
  std::optional<double> serial_fraction;  ///< strong scaling on more ranks, see karp_flatt
  /// "faster", "slower", "not distinguishable" (the intervals of time per token overlap), "too few
  /// repeats" (there is no interval)
  std::string verdict;
};

/// Which row is the base: the name of a column of Configuration and its value, "ranks=1"; empty:
/// the row with the fewest ranks. UserError when no row is like that.
struct ScalingTable {
  std::vector<ScalingRow> rows;  ///< by ranks
  std::size_t base = 0;
  std::vector<const RunRecord*> left_out;  ///< failed and illegal points
};
ScalingTable scaling_table(const std::vector<RunRecord>& runs, const std::string& baseline);

/// "faster" and so on of `row` against `base`, by time per output token.
std::string verdict_of(const ScalingRow& row, const ScalingRow& base);

/// Whether the runs did the same work, a line for each number of requests: "same work: digest …" or
/// "DIFFERENT WORK: …".
struct WorkLine {
  std::string text;
  bool same = true;
};
std::vector<WorkLine> work_lines(const std::vector<RunRecord>& runs);

}  // namespace weft
