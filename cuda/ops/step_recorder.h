// Steps as recordings: CUDA graphs, or the emulation's lists of kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/ops/recorded_sizes.h"
#include "cuda/platform/runtime.h"
#include "ops/recorder.h"

namespace weft {

/// What is to be called behind every replay of a recording: once for each owner.
class ReplayCalls {
 public:
  void add(const void* owner, std::function<void()> call) {
    for (const auto& known : calls_) {
      if (known.first == owner) return;
    }
    calls_.emplace_back(owner, std::move(call));
  }
  void run() const {
    for (const auto& call : calls_) call.second();
  }

 private:
  std::vector<std::pair<const void*, std::function<void()>>> calls_;
};

}  // namespace weft

namespace weft::WEFT_PLATFORM {

/// The first step of a size runs as it is: kernels are loaded, scratch is taken, groups meet. If it
/// copies between host and device or waits (as groups do that are staged through the host), it
/// cannot be recorded, and nothing ever is. The second one is recorded, and it and all others are
/// replays. The recording that was not used for the longest time makes room for a new one.
///
/// What is recorded follows from the sizes of the steps alone: ranks that share steps record,
/// replay and drop alike, as NCCL demands.
class StepRecorder final : public Recorder {
 public:
  /// `runtime` and `calls`, to which what is recorded adds, must outlive it.
  StepRecorder(Runtime& runtime, ReplayCalls& calls, int most_recordings)
      : runtime_(runtime), calls_(calls), most_(static_cast<std::size_t>(most_recordings)) {}
  ~StepRecorder() override {
    try {
      if (recordings() > 0) runtime_.wait();
    } catch (const Error&) {
      // The device has failed; whoever waits for results says so.
    }
  }

  [[nodiscard]] std::optional<StepSize> padded(const StepSize& step,
                                               const StepSize& most) const override {
    return possible_ ? recorded_size(step, most) : std::nullopt;
  }

  bool run(const StepSize& size, const std::function<void()>& body) override {
    Step& step = steps_[size];
    step.used = ++runs_;
    if (step.recording) {
      replay(step);
      return false;
    }
    if (!step.tried) {
      const std::int64_t before = runtime_.host_steps();
      body();
      possible_ = possible_ && runtime_.host_steps() == before;
      step.tried = true;
      return true;
    }
    if (!possible_) {
      body();
      return true;
    }
    make_room();
    record(step, body);
    replay(step);
    return true;
  }

  [[nodiscard]] RecorderCounts counts() const override { return counts_; }

 private:
  struct Step {
    bool tried = false;
    std::int64_t used = 0;  ///< the number of the latest run
    std::optional<Recording> recording;
    ReplayCalls calls;
  };

  [[nodiscard]] std::size_t recordings() const {
    std::size_t count = 0;
    for (const auto& step : steps_) count += step.second.recording ? 1 : 0;
    return count;
  }

  void make_room() {
    if (recordings() < most_) return;
    Step* oldest = nullptr;
    for (auto& step : steps_) {
      if (!step.second.recording) continue;
      if (oldest == nullptr || step.second.used < oldest->used) oldest = &step.second;
    }
    runtime_.wait();
    oldest->recording.reset();
    ++counts_.dropped;
  }

  void record(Step& step, const std::function<void()>& body) {
    calls_ = {};
    runtime_.begin_recording();
    try {
      body();
    } catch (...) {
      runtime_.abandon_recording();
      throw;
    }
    step.recording = runtime_.end_recording();
    step.calls = std::exchange(calls_, {});
    ++counts_.recorded;
  }

  void replay(const Step& step) {
    runtime_.replay(*step.recording);
    step.calls.run();
    ++counts_.replayed;
  }

  Runtime& runtime_;
  ReplayCalls& calls_;
  std::size_t most_;
  bool possible_ = true;
  std::map<StepSize, Step> steps_;
  std::int64_t runs_ = 0;
  RecorderCounts counts_;
};

}  // namespace weft::WEFT_PLATFORM
