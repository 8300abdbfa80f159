#include "app/replica_run.h"

#include <utility>
#include <variant>

#include "app/results.h"
#include "app/stop_request.h"
#include "base/error.h"

namespace weft {

ReplicaRun::ReplicaRun(const Job& job, Deployment& deployment, std::vector<RowState> rows,
                       RunReport& report)
    : job_(job),
      deployment_(deployment),
      rows_(std::move(rows)),
      report_(report),
      tokens_(job.model, deployment.tokenizer()),
      prompts_(job.input.file, prompt_rules(job, deployment.reader().config().vocab)) {
  if (deployment.leads_replica()) journal_.emplace(job.output.dir, deployment.place().dp);
}

void ReplicaRun::run() {
  engine_ = deployment_.make_engine(job_.output.digest);
  do {
    if (deployment_.any_rank_says(StopRequest::pending())) break;
    fill();
  } while (engine_->step(
      nullptr, [&](const Sequence&, const Completion& completion) { write(completion); }));
  if (journal_) journal_->close();
  const EngineStats& stats = engine_->stats();
  report_.prefill_seconds = stats.prefill_seconds;
  report_.decode_seconds = stats.decode_seconds;
  report_.output_seconds = stats.logits_seconds + stats.sampling_seconds;
  report_.preemptions = deployment_.leads_replica() ? stats.preemptions : 0;
}

/// Reads ahead so that the scheduler always finds waiting sequences.
void ReplicaRun::fill() {
  const std::int64_t wanted = 2 * deployment_.sizes().limits.max_sequences;
  while (engine_->pending() < wanted) {
    const std::int64_t index = prompts_.position();
    if (index >= static_cast<std::int64_t>(rows_.size())) return;
    const bool mine = index % deployment_.layout().dp == deployment_.place().dp;
    if (!mine || rows_[static_cast<std::size_t>(index)] != RowState::missing) {
      prompts_.skip();
      continue;
    }
    std::optional<Prompt> prompt = prompts_.next();
    require(prompt.has_value(), "{}: the prompt file became shorter", job_.input.file.string());
    take(std::move(*prompt));
  }
}

void ReplicaRun::take(Prompt prompt) {
  if (const auto* error = std::get_if<PromptError>(&prompt)) {
    refuse(*error);
    return;
  }
  PromptLine& line = std::get<PromptLine>(prompt);
  try {
    engine_->submit({line.source.index, tokens_.of(line), line.sampling});
    if (journal_) lines_.emplace(line.source.index, std::move(line));
  } catch (const UserError& error) {
    PromptError row;
    row.source = line.source;
    row.message = error.what();
    row.param = std::holds_alternative<Conversation>(line.prompt) ? "messages" : "prompt";
    refuse(row);
  }
}

void ReplicaRun::refuse(const PromptError& error) {
  if (journal_) journal_->append(error.source.index, false, error_row(error));
}

void ReplicaRun::write(const Completion& completion) {
  if (!journal_) return;
  add_completion(report_, completion);
  const auto line = lines_.find(completion.index);
  require(line != lines_.end(), "request {} was completed twice", completion.index);
  journal_->append(
      completion.index, true,
      completion_row(line->second, completion, text_of(completion), job_.output.digest));
  lines_.erase(line);
}

std::string ReplicaRun::text_of(const Completion& completion) const {
  if (deployment_.tokenizer() == nullptr) return {};
  std::string text = deployment_.tokenizer()->decode(completion.tokens, kCompletionText);
  if (completion.text_bytes >= 0) text.resize(static_cast<std::size_t>(completion.text_bytes));
  return text;
}

}  // namespace weft
