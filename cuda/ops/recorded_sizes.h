// Which steps are recorded, and what that takes: the same with and without a GPU.
#pragma once

#include <cstdint>
#include <optional>

#include "base/types.h"
#include "ops/recorder.h"

namespace weft {

/// Most rows of a recorded step.
inline constexpr std::int64_t kMostRecordedRows = 512;

/// The size that a step is padded to: up to 1, 2, 4, 8, 16, 24, 32, 48, 64, 96 … 512 rows, the
/// edges at which kernels change among them, and a table 2^n or 3 * 2^n blocks wide; both at most
/// `most`. Nothing for steps without rows, beyond 512 rows or beyond `most`.
std::optional<StepSize> recorded_size(const StepSize& step, const StepSize& most);

/// Bytes that `most` recordings of that many sub-layers are reckoned to take beside all other
/// memory. Not measured yet: 32 KiB for each sub-layer, which is up to six launches, those of a
/// group's operations included; one with experts counts for three, or four with a shared one.
Bytes device_recorder_bytes(std::int64_t sublayers, int most);

}  // namespace weft
