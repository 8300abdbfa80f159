// Where a rank's time goes: seconds by phase always, the single spans on request.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "base/device_clock.h"

namespace weft {

/// What a rank can be busy with. Phases nest: a span of communication lies within one of attention.
enum class Phase : std::uint8_t {
  load,           ///< weights from disk
  prefill,        ///< a step's forward pass that has prompt tokens only
  mixed,          ///< a step's forward pass that has both prompt tokens and decodes
  decode,         ///< a step's forward pass that has no prompt tokens
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
inline constexpr std::size_t kPhases = 13;

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

/// The clock of one rank's main thread. Entering and leaving a phase reads the time once each and
/// is a beat (base/progress_counter.h); with spans it also writes 24 bytes to memory taken
/// beforehand.
///
/// Where operators run behind the host's back, phases are the device's: each of their ends is a
/// mark among the work asked of it, and a phase lasts from when the device comes by the one mark to
/// when it comes by the other. What it does not work on, it waits for, so that all time still
/// counts for one phase. Marks cost the device a little, and a layer has many: attention, ffn and
/// communication are told apart from the forward pass around them only where spans are kept.
class Tracer {
 public:
  Tracer() : since_(now()), offset_(0) { open_.reserve(16); }
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;
  ~Tracer() = default;

  /// Keeps the first `most` spans that end from now on; later ones are counted only.
  void keep_spans(std::size_t most);

  /// From now on phases are those of the processor behind `clock`, which must outlive them. To be
  /// called within no phase.
  void follow(DeviceClock& clock);
  /// Charges the time of what the device has come by: to be called where the host has waited for it
  /// anyway. Without a device there is nothing to do.
  void catch_up();

  /// For as long as it lives, its rank is in a phase. Scopes end in the reverse order of their
  /// beginnings.
  class Scope {
   public:
    Scope(Tracer& tracer, Phase phase)
        : tracer_(tracer), outer_(tracer.current_), marked_(tracer.enter(phase)) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { tracer_.leave(outer_, marked_); }

   private:
    Tracer& tracer_;
    Phase outer_;
    bool marked_;
  };

  /// The innermost phase that the rank is in.
  [[nodiscard]] Phase current() const { return current_; }
  /// Seconds by phase since the construction, up to the last change of phase (that the device has
  /// come by, as far as `catch_up` has seen). `charged_until` is when that was, on the clock of
  /// `now`.
  [[nodiscard]] PhaseSeconds seconds() const;
  [[nodiscard]] std::int64_t charged_until() const { return since_; }
  /// The same by the outermost phase: with all that is within it.
  [[nodiscard]] PhaseSeconds outermost_seconds() const;
  /// Spans in the order of their ends.
  [[nodiscard]] std::span<const TraceSpan> spans() const { return spans_; }
  /// Spans that there was no room for.
  [[nodiscard]] std::int64_t dropped() const { return dropped_; }

  /// Nanoseconds on the monotonic clock of this host.
  static std::int64_t now();

 private:
  /// A phase begins or the innermost one ends.
  struct Change {
    std::int64_t at;  ///< when the host came by
    bool enters;
    Phase phase;  ///< entered
  };
  struct Open {
    Phase phase;
    std::int64_t begin;
  };

  bool enter(Phase phase);
  void leave(Phase outer, bool marked);
  void change(const Change& change);
  void charge(const Change& change, std::int64_t time);

  std::array<std::int64_t, kPhases> nanoseconds_{};
  std::array<std::int64_t, kPhases> outermost_{};
  Phase current_ = Phase::other;  ///< of the host
  std::vector<Open> open_;        ///< phases as far as they are charged, the outermost first
  std::int64_t since_;            ///< all before is charged
  bool keeps_spans_ = false;
  std::size_t most_ = 0;
  std::vector<TraceSpan> spans_;
  std::int64_t dropped_ = 0;

  DeviceClock* clock_ = nullptr;
  std::deque<Change> pending_;      ///< marked, and not charged yet
  std::vector<std::int64_t> gaps_;  ///< what was read last
  std::int64_t device_time_ = 0;    ///< of the last mark that was read: nanoseconds since the first
  std::int64_t offset_;             ///< what to add for the time of this host; set by `follow`
};

}  // namespace weft
