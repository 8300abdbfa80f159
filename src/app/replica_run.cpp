#include "app/replica_run.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "app/output/results.h"
#include "app/requests/body_parameters.h"
#include "base/error.h"
#include "engine/read_ahead.h"

namespace weft {
namespace {

/// Requests without a row, as ascending ranges.
std::vector<Range> missing(const std::vector<RowState>& rows) {
  std::vector<Range> ranges;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] != RowState::missing) continue;
    const auto index = static_cast<std::int64_t>(i);
    if (!ranges.empty() && ranges.back().end == index) {
      ++ranges.back().end;
    } else {
      ranges.push_back({index, index + 1});
    }
  }
  return ranges;
}

/// Lines of the prompt file, and their bytes, that are read between two steps: a file full of
/// refused requests must not keep a stop waiting, nor may a few very long ones.
constexpr std::int64_t kMostLines = 4096;
constexpr Bytes kMostBytes = Bytes{4} << 20;

PromptError error_of(const PromptLine& line, const RequestFault& fault) {
  PromptError error{
      .source = line.source, .message = fault.message, .param = fault.param, .code = fault.code};
  if (fault.code == kNonFiniteLogits) error.type = kServerError;
  return error;
}

/// The tokens are in the engine. What is kept of a line until its row is written must be small:
/// there are as many as sequences at once.
void drop_prompt(PromptLine& line) {
  if (auto* conversation = std::get_if<Conversation>(&line.prompt)) {
    *conversation = {};
  } else if (!line.echo) {
    line.prompt = std::string();
  }
}

}  // namespace

ReplicaRun::ReplicaRun(const Job& job, Deployment& deployment, std::vector<RowState> rows,
                       const RunStart& start, RunReport& report)
    : job_(job),
      deployment_(deployment),
      rows_(std::move(rows)),
      start_(start),
      report_(report),
      tokens_(job.model, deployment.tokenizer(), job.input.lost_messages),
      prompts_(job.input.file, prompt_rules(job, deployment.reader().config().vocab)) {
  if (!deployment.leads_replica()) return;
  journal_.emplace(job.output.dir, deployment.coordinates().dp,
                   JournalPart::Seconds(job.output.sync_interval));
  timings_.emplace(job.output.dir, deployment.coordinates().dp);
}

void ReplicaRun::run() {
  JobControl& control = deployment_.control();
  control.open_work(missing(rows_), deployment_.coordinates().dp, deployment_.layout().dp);
  engine_ = deployment_.make_engine(job_.output.digest);
  control.activity().begin_phase(JobPhase::running);
  WorkQueue work_queue(deployment_.directive_group(), control);
  engine_start_ = start_.seconds() - engine_->now();
  StepClock clock(deployment_.tracer(), start_);
  const Engine::OnCompletion on_completion = [&](const Sequence&, Completion completion) {
    collect(std::move(completion));
  };
  while (true) {
    const StepDirective directive = next_directive(work_queue);
    if (directive.stop) break;
    if (!directive.requests.empty()) claimed_.push_back(directive.requests);
    fill();
    if (journal_) journal_->sync_if_due();
    control.activity().begin_step();
    const bool computed = engine_->step(nullptr, on_completion);
    if (!computed && claimed_.empty() && !entering_ && directive.last) break;
    if (!computed) continue;
    tell_progress();
    const StepTiming timing = clock.next(engine_->stats(), deployment_.coordinates().dp);
    if (timings_) timings_->add(timing);
  }
  engine_->drain(nullptr, on_completion);
  if (journal_) journal_->close();
  if (timings_) timings_->flush();
  const EngineStats& stats = engine_->stats();
  report_.prefill_seconds = stats.prefill_seconds;
  report_.mixed_seconds = stats.mixed_seconds;
  report_.decode_seconds = stats.decode_seconds;
  report_.output_seconds = stats.logits_seconds + stats.sampling_seconds;
  if (deployment_.leads_replica()) {
    report_.names_left_as_text = tokens_.names_left_as_text();
    report_.preemptions = stats.preemptions;
    report_.steps = stats.steps;
    report_.step_sequences = stats.slices;
    report_.sequence_slots = stats.steps * deployment_.sizes().limits.max_sequences;
    report_.lossy_chats = tokens_.with_losses();
    report_.prefix_tokens_looked_up = stats.prefix_tokens_looked_up;
    report_.prefix_tokens_taken_over = stats.prefix_tokens_taken_over;
    report_.drafted_tokens = stats.drafted_tokens;
    report_.accepted_tokens = stats.accepted_tokens;
  }
  control.wait_for_others();
}

StepDirective ReplicaRun::next_directive(WorkQueue& work_queue) {
  const Tracer::Scope scope(deployment_.tracer(), Phase::waiting);
  return work_queue.next(wants_more(), claimed_.empty() && !entering_ && engine_->pending() == 0);
}

std::int64_t ReplicaRun::ahead() const { return read_ahead(deployment_.sizes().limits); }

/// Whether the claimed requests that are not yet read will soon be too few.
bool ReplicaRun::wants_more() const {
  if (claimed_.empty()) return engine_->waiting() + entering() < ahead();
  return claimed_.back().end - prompts_.position() < ahead();
}

/// Begins no line after kMostLines or kMostBytes.
void ReplicaRun::fill() {
  std::int64_t lines = 0;
  const Bytes begin = prompts_.offset();
  while (engine_->waiting() < ahead()) {
    if (entering_) {
      submit_next();
      continue;
    }
    if (claimed_.empty() || ++lines > kMostLines) break;
    if (prompts_.offset() - begin > kMostBytes) break;
    const std::int64_t index = prompts_.position();
    Range& range = claimed_.front();
    if (index >= range.end) {
      claimed_.pop_front();
      continue;
    }
    if (!range.contains(index) || rows_[static_cast<std::size_t>(index)] != RowState::missing) {
      require(prompts_.skip(), "{}: the prompt file became shorter", job_.input.file.string());
      continue;
    }
    std::optional<Prompt> prompt = prompts_.next();
    require(prompt.has_value(), "{}: the prompt file became shorter", job_.input.file.string());
    take(std::move(*prompt));
  }
  while (!claimed_.empty() && prompts_.position() >= claimed_.front().end) claimed_.pop_front();
}

void ReplicaRun::submit_next() {
  engine_->submit(entering_->next());
  if (entering_->left() == 0) entering_.reset();
}

void ReplicaRun::take(Prompt prompt) {
  if (const auto* error = std::get_if<PromptError>(&prompt)) {
    refuse(*error);
    return;
  }
  PromptLine& line = std::get<PromptLine>(prompt);
  try {
    entering_.emplace(line, tokens_, *engine_);
    const std::int64_t index = line.source.index;
    drop_prompt(line);
    if (journal_) lines_.emplace(index, OpenLine{std::move(line), entering_->count(), {}});
  } catch (const RequestFault& fault) {
    refuse(error_of(line, fault));
  } catch (const UserError& error) {
    PromptError row;
    row.source = line.source;
    row.message = error.what();
    row.param = std::holds_alternative<Conversation>(line.prompt) ? "messages" : "prompt";
    refuse(row);
  }
}

void ReplicaRun::refuse(const PromptError& error) {
  const Tracer::Scope scope(deployment_.tracer(), Phase::output);
  if (journal_) journal_->append(error.source.index, false, error_row(error));
  if (error.code == kNonFiniteLogits) ++report_.non_finite;
  count_row(false);
}

void ReplicaRun::collect(Completion completion) {
  if (!journal_) return;
  const Tracer::Scope scope(deployment_.tracer(), Phase::output);
  const std::int64_t index = completion.index;
  const auto found = lines_.find(index);
  require(found != lines_.end(), "request {} was completed twice", index);
  OpenLine& open = found->second;
  open.completions.push_back(std::move(completion));
  if (static_cast<std::int64_t>(open.completions.size()) < open.requests) return;
  answer(std::move(open));
  lines_.erase(found);
}

/// Writes the row of a line that is completed.
void ReplicaRun::answer(OpenLine open) {
  const RowOptions options{deployment_.tokenizer(), job_.output.digest, job_.output.created};
  try {
    const std::string row = completion_row(open.line, open.completions, options);
    journal_->append(open.line.source.index, true, row);
  } catch (const RequestFault& fault) {
    refuse(error_of(open.line, fault));
    return;
  }
  record(open);
  count_row(true);
}

void ReplicaRun::count_row(bool succeeded) {
  if (!journal_) return;
  ++progress_.rows;
  if (!succeeded) ++progress_.failed;
  tell_progress();
}

/// On the leader: for progress lines, and for the share of work that the replica gets.
void ReplicaRun::tell_progress() {
  if (!journal_) return;
  progress_.open = static_cast<std::int64_t>(lines_.size());
  progress_.generated_tokens = engine_->stats().generated_tokens;
  progress_.open_tokens =
      std::max<std::int64_t>(0, progress_.generated_tokens - progress_.completion_tokens);
  deployment_.control().activity().set_progress(progress_);
}

/// One record for a request, over all its prompts and choices.
void ReplicaRun::record(const OpenLine& open) {
  const Completion& any = open.completions.front();
  RequestTiming timing;
  timing.index = any.index;
  timing.queued = engine_start_ + any.queued_at;
  timing.first_token = engine_start_ + any.first_token_at;
  timing.run = start_.number;
  timing.replica = deployment_.coordinates().dp;
  timing.finish_reason = static_cast<std::int32_t>(any.reason);
  for (const Completion& completion : open.completions) {
    const bool counts = counts_prompt(open.line, completion);
    add_completion(report_, completion, counts);
    timing.first_token = std::min(timing.first_token, engine_start_ + completion.first_token_at);
    timing.finished = std::max(timing.finished, engine_start_ + completion.finished_at);
    if (counts) {
      timing.prompt_tokens += completion.prompt_tokens;
      timing.cached_prompt_tokens += completion.cached_prompt_tokens;
    }
    timing.completion_tokens += completion.completion_tokens;
  }
  progress_.completion_tokens += timing.completion_tokens;
  timings_->add(timing);
}

}  // namespace weft
