// trace.json: the ranks' time lines, for Perfetto and Chrome. docs/reference/formats.md describes
// it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/tracer.h"
#include "comm/control/clock_offset.h"
#include "comm/group.h"
#include "layout/grid.h"

namespace weft {

/// Spans that each rank keeps: 24 bytes each.
inline constexpr std::size_t kTraceSpans = std::size_t{1} << 18;

/// This rank's clock against rank 0's, measured twice.
struct ClockPair {
  std::int64_t begin_at = 0;  ///< `Tracer::now` of the first measurement
  ClockOffset begin;
  std::int64_t end_at = 0;
  ClockOffset end;

  /// `time` of this rank in nanoseconds of rank 0's clock: the offset in between is taken to change
  /// evenly.
  [[nodiscard]] std::int64_t on_rank_zero(std::int64_t time) const;
};

/// Writes OUT/trace.json, by rename: rank 0 asks one rank after the other for its spans, a megabyte
/// at a time. Times are microseconds since `zero` on rank 0's clock. `hosts`: by rank. Every rank
/// must call it. Throws Error.
void write_trace(const std::filesystem::path& output_dir, const Tracer& tracer,
                 const ClockPair& clocks, std::int64_t zero, const Layout& layout,
                 const std::vector<std::string>& hosts, Group& world);

}  // namespace weft
