// Steps of the same size, asked of a processor again and again with other contents in the same
// memory.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>

namespace weft {

/// Size of a step whose sequences have one row each.
struct StepSize {
  std::int64_t rows = 0;         ///< and sequences
  std::int64_t table_width = 0;  ///< blocks of the longest sequence

  auto operator<=>(const StepSize&) const = default;
};

/// What a recorder has done so far.
struct RecorderCounts {
  std::int64_t recorded = 0;
  std::int64_t replayed = 0;
  std::int64_t dropped = 0;  ///< recordings that made room for others
};

/// Runs steps, one size after the other; this one as they come. A processor to which giving out
/// work costs much makes one that records what a step asks of it and has later steps of that size
/// repeat it (Ops::make_recorder).
class Recorder {
 public:
  Recorder() = default;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  virtual ~Recorder() = default;

  /// The size, at most `most`, that a step is to be padded to so that it can be recorded; nothing
  /// where it runs as it is.
  [[nodiscard]] virtual std::optional<StepSize> padded(const StepSize& /*step*/,
                                                       const StepSize& /*most*/) const {
    return std::nullopt;
  }

  /// Does what `body` asks of the operators and of groups. All bodies of one size ask for the same,
  /// in the same memory: the second time it may be recorded, and from then on repeated without
  /// calling `body`. Whether `body` was called is returned.
  virtual bool run(const StepSize& /*size*/, const std::function<void()>& body) {
    body();
    return true;
  }

  [[nodiscard]] virtual RecorderCounts counts() const { return {}; }
};

}  // namespace weft
