#include "plan/simulation.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <queue>
#include <utility>

#include "base/error.h"
#include "comm/control/claims.h"
#include "engine/engine.h"
#include "engine/read_ahead.h"

namespace weft {
namespace {

/// Seconds until a replica that was told to wait for work asks again, as ControlService has it.
constexpr double kAskAgain = 0.02;

/// Predicted seconds by what they are spent on, over all stages.
struct Spent {
  double prefill = 0;
  double decode = 0;
  double communication = 0;
  double host = 0;
  double blocks = 0;  ///< in use, times seconds
};

/// A clock that moves by predictions. Steps follow one another through the stages; the engine waits
/// for the first stage, as that one's leader does, and for a step's end when it completes it.
class SimulatedStepper final : public Stepper {
 public:
  SimulatedStepper(const EngineSizes& sizes, StepModel& model, int stages)
      : sizes_(sizes), model_(model), free_(static_cast<std::size_t>(stages), 0) {}

  [[nodiscard]] std::size_t depth() const override { return asynchronous() ? 2 : free_.size(); }
  [[nodiscard]] bool asynchronous() const override {
    return sizes_.async_scheduling && free_.size() == 1;
  }
  [[nodiscard]] double now() const override { return now_; }
  [[nodiscard]] const Spent& spent() const { return spent_; }
  void wait_until(double time) { now_ = std::max(now_, time); }

  void submit(StepInFlight& step, EngineState& state) override {
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < step.slices.size(); ++i) {
      const Slice& slice = step.slices[i];
      rows += slice.count;
      if (!slice.samples || state.sequence(slice).only_prompt()) continue;
      step.samples.push_back({i, slice.begin + slice.count, slice.home, -1});
    }
    const double host = model_.host(static_cast<std::int64_t>(step.slices.size()), rows);
    const double begin = now_;
    spent_.host += host;
    now_ += host;
    double done = now_;
    const bool prefill =
        std::find(step.decodes.begin(), step.decodes.end(), false) != step.decodes.end();
    const std::vector<StageTime> stages = model_.stages(loads_of(step.slices, sizes_.limits.sp));
    for (std::size_t i = 0; i < stages.size(); ++i) {
      done = free_[i] = std::max(free_[i], done) + stages[i].total();
      (prefill ? spent_.prefill : spent_.decode) += stages[i].compute;
      spent_.communication += stages[i].communication;
    }
    ends_.push_back(done);
    if (!asynchronous()) now_ = free_.front();
    std::int64_t used = 0;
    for (int rank = 0; rank < sizes_.limits.sp; ++rank) {
      used += sizes_.limits.kv_blocks - state.scheduler.available(rank);
    }
    spent_.blocks += static_cast<double>(used) * (std::max(now_, done) - begin) /
                     static_cast<double>(stages.size());
    if (asynchronous()) advance_sequences(step, state, sizes_.max_sequence_length);
  }

  std::vector<SampledToken> complete(StepInFlight& step) override {
    now_ = std::max(now_, ends_.front());
    ends_.pop_front();
    return std::vector<SampledToken>(step.samples.size());
  }

  void settle(const Slice& slice, EngineState& state, const Outcome& outcome) override {
    if (asynchronous()) {
      settle_advanced(slice, state, outcome);
    } else {
      state.scheduler.complete(slice, outcome.ended, outcome.accepted);
    }
  }

  void finish_sends() override {}

 private:
  const EngineSizes& sizes_;
  StepModel& model_;
  std::vector<double> free_;  ///< when each stage has done what it was given
  std::deque<double> ends_;   ///< of the steps in flight
  double now_ = 0;
  Spent spent_;
};

/// One replica at work.
class Replica {
 public:
  Replica(int number, std::span<const SimulatedRequest> requests, const LayoutVerdict& verdict,
          StepModel& model, Tracer& tracer, Simulation& result)
      : number_(number), requests_(requests), verdict_(verdict), result_(result) {
    const EngineSizes& sizes = *verdict.sizes;
    auto stepper = std::make_unique<SimulatedStepper>(sizes, model, verdict.layout.pp);
    stepper_ = stepper.get();
    EngineOptions options;
    options.limits = sizes.limits;
    options.max_sequence_length = sizes.max_sequence_length;
    options.async_scheduling = sizes.async_scheduling;
    engine_.emplace(std::move(stepper), verdict.parts.front().config.vocab, tracer, nullptr,
                    std::move(options));
  }

  [[nodiscard]] double now() const { return stepper_->now(); }
  [[nodiscard]] const Spent& spent() const { return stepper_->spent(); }
  [[nodiscard]] const EngineStats& stats() const { return engine_->stats(); }

  /// One round of the loop of a run; false when the replica has nothing left to do.
  bool step(ClaimTable& claims) {
    const std::int64_t ahead = read_ahead(verdict_.sizes->limits);
    const bool wants = claimed_.empty() ? engine_->waiting() < ahead : claimed_.size() < ahead;
    if (wants && !exhausted_) {
      const Grant grant = claims.claim(number_, finished_);
      exhausted_ = grant.answer == Grant::Answer::exhausted;
      if (grant.answer == Grant::Answer::rows) {
        // One replica is granted all at once; others in pieces that follow one another.
        if (claimed_.empty())
          claimed_ = grant.rows;
        else
          later_.push_back(grant.rows);
      }
    }
    fill(ahead);
    const bool computed = engine_->step(nullptr, [&](const Sequence&, const Completion& done) {
      ++finished_;
      claims.note_finished(number_, finished_);
      result_.ttft.add(done.first_token_at - done.queued_at);
      if (done.completion_tokens > 1) {
        result_.tpot.add((done.finished_at - done.first_token_at) /
                         static_cast<double>(done.completion_tokens - 1));
      }
      result_.answer_tokens += done.completion_tokens;
    });
    if (computed) return true;
    if (exhausted_ && claimed_.empty()) return false;
    if (claimed_.empty()) stepper_->wait_until(now() + kAskAgain);
    return true;
  }

 private:
  void fill(std::int64_t ahead) {
    while (engine_->waiting() < ahead && !claimed_.empty()) {
      const std::int64_t index = claimed_.begin++;
      const SimulatedRequest& from = requests_[static_cast<std::size_t>(index)];
      if (claimed_.empty() && !later_.empty()) {
        claimed_ = later_.front();
        later_.pop_front();
      }
      Request request;
      request.index = index;
      request.prompt = from.prompt;
      request.sampling.temperature = 0;
      request.sampling.max_tokens = from.answer;
      try {
        engine_->submit(std::move(request));
        result_.prompt_tokens += static_cast<std::int64_t>(from.prompt.size());
      } catch (const UserError&) {
        ++result_.refused;
        ++finished_;
      }
    }
  }

  int number_;
  std::span<const SimulatedRequest> requests_;
  const LayoutVerdict& verdict_;
  Simulation& result_;
  SimulatedStepper* stepper_ = nullptr;  ///< the engine's
  std::optional<Engine> engine_;
  Range claimed_;
  std::deque<Range> later_;
  std::int64_t finished_ = 0;
  bool exhausted_ = false;
};

}  // namespace

Simulation simulate(std::span<const SimulatedRequest> requests, const LayoutVerdict& verdict,
                    StepModel& model) {
  require(verdict.sizes.has_value(), "{} is not possible", to_string(verdict.layout));
  const Layout& layout = verdict.layout;
  Simulation result;
  Tracer tracer;
  ClaimTable claims(requests.empty()
                        ? std::vector<Range>{}
                        : std::vector<Range>{{0, static_cast<std::int64_t>(requests.size())}},
                    layout.dp);
  std::vector<std::unique_ptr<Replica>> replicas;
  // The replica whose clock is least goes on: what it claims, the others had not claimed by then.
  using Turn = std::pair<double, int>;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns;
  for (int number = 0; number < layout.dp; ++number) {
    replicas.push_back(std::make_unique<Replica>(number, requests, verdict, model, tracer, result));
    turns.emplace(0, number);
  }
  while (!turns.empty()) {
    const int number = turns.top().second;
    turns.pop();
    Replica& replica = *replicas[static_cast<std::size_t>(number)];
    if (replica.step(claims)) turns.emplace(replica.now(), number);
  }
  double end = 0;
  for (const auto& replica : replicas) end = std::max(end, replica->now());
  const double stages = layout.pp;
  const double all = stages * layout.dp;
  const double blocks = static_cast<double>(verdict.sizes->limits.kv_blocks) * layout.sp;
  for (const auto& replica : replicas) {
    const Spent& spent = replica->spent();
    const double computing = spent.prefill + spent.decode + spent.communication;
    result.prefill += spent.prefill / all;
    result.decode += spent.decode / all;
    result.communication += spent.communication / all;
    result.host += spent.host / layout.dp;
    result.bubble += std::max(0.0, replica->now() - computing / stages - spent.host) / layout.dp;
    result.tail += (end - replica->now()) / layout.dp;
    if (end > 0) result.cache += spent.blocks / blocks / end / layout.dp;
    result.steps += replica->stats().steps;
    result.preemptions += replica->stats().preemptions;
    result.prefix_tokens += replica->stats().prefix_tokens_taken_over;
  }
  result.load_seconds = model.loading();
  result.seconds = result.load_seconds + end;
  return result;
}

}  // namespace weft
