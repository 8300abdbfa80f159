// Where a rank's time goes: seconds by phase always, the single spans on request.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace weft {

/// What a rank can be busy with. Phases nest: a span of communication lies within one of attention.
enum class Phase : std::uint8_t {
  load,           ///< weights from disk
  prefill,        ///< a step's forward pass that has prompt tokens
  decode,         ///< a step's forward pass that has none
  attention,      ///< a layer's attention sub-layer
  ffn,            ///< a layer's feed-forward sub-layer
  communication,  ///< bytes between the ranks of a replica, waiting for them included
  logits,         ///< output head
  sampling,       ///< choosing tokens and the bookkeeping of finished ones
  output,         ///< rows made and written
  bubble,         ///< for another stage of a pipeline
  waiting,        ///< for other replicas, or for a decision that ranks take together
  other,          ///< none of these: reading prompts, scheduling
};
inline constexpr std::size_t kPhases = 12;

/// "load", "prefill", …
std::string_view name(Phase phase);

/// Seconds by phase. Time within an inner phase counts for that one only, so they add up.
using PhaseSeconds = std::array<double, kPhases>;

/// One stretch of a phase, in nanoseconds of `Tracer::now`.
struct TraceSpan {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  Phase phase = Phase::other;
};

/// The clock of one rank's main thread. Entering and leaving a phase reads the time once each; with
/// spans it also writes 24 bytes to memory taken beforehand.
class Tracer {
 public:
  Tracer() : since_(now()) {}
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  ~Tracer() = default;

  /// Keeps the first `most` spans that end from now on; later ones are counted only.
  void keep_spans(std::size_t most);

  /// For as long as it lives, its rank is in a phase. Scopes end in the reverse order of their
  /// beginnings.
  class Scope {
   public:
    Scope(Tracer& tracer, Phase phase)
        : tracer_(tracer), outer_(tracer.current_), begin_(tracer.change(phase)) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { tracer_.leave(outer_, begin_); }

   private:
    Tracer& tracer_;
    Phase outer_;
    std::int64_t begin_;
  };

  /// The innermost phase that the rank is in.
  [[nodiscard]] Phase current() const { return current_; }
  /// Seconds by phase since the construction, up to the last change of phase.
  [[nodiscard]] PhaseSeconds seconds() const;
  /// Spans in the order of their ends.
  [[nodiscard]] std::span<const TraceSpan> spans() const { return spans_; }
  /// Spans that there was no room for.
  [[nodiscard]] std::int64_t dropped() const { return dropped_; }

  /// Nanoseconds on the monotonic clock of this host.
  static std::int64_t now();

 private:
  std::int64_t change(Phase phase);
  void leave(Phase outer, std::int64_t begin);

  std::array<std::int64_t, kPhases> nanoseconds_{};
  Phase current_ = Phase::other;
  std::int64_t since_;
  bool keeps_spans_ = false;
  std::size_t most_ = 0;
  std::vector<TraceSpan> spans_;
  std::int64_t dropped_ = 0;
};

}  // namespace weft
