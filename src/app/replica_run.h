// One replica's share of a job: from the prompt file through the engine to the journal.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/deployment.h"
#include "app/job/job.h"
#include "app/output/journal.h"
#include "app/output/report.h"
#include "app/output/timings.h"
#include "app/requests/line_requests.h"
#include "app/requests/prompt_tokens.h"
#include "app/requests/prompts.h"
#include "app/work_queue.h"

namespace weft {

/// Every rank of a replica has one and is given the same requests; the replica's leader alone
/// claims them and writes.
class ReplicaRun {
 public:
  /// Opens the prompt file and, on the leader, the replica's part of the journal. `rows` tells
  /// which requests are done already, `start` counts the time. Throws UserError when a file cannot
  /// be used. Everything passed by reference must outlive it.
  ReplicaRun(const Job& job, Deployment& deployment, std::vector<RowState> rows,
             const RunStart& start, RunReport& report);

  /// Completes requests without a row, as this replica claims them, until none are left or the job
  /// is asked to stop; what is then unfinished is left to the next run. The model must be loaded.
  void run();

 private:
  /// A line whose requests are in the engine.
  struct OpenLine {
    PromptLine line;
    std::int64_t requests = 0;
    std::vector<Completion> completions;  ///< so far
  };

  StepDirective next_directive(WorkQueue& work_queue);
  [[nodiscard]] std::int64_t ahead() const;
  [[nodiscard]] bool wants_more() const;
  [[nodiscard]] std::int64_t entering() const { return entering_ ? entering_->left() : 0; }
  void fill();
  void submit_next();
  void count_row(bool succeeded);
  void tell_progress();
  void take(Prompt prompt);
  void refuse(const PromptError& error);
  void answer(OpenLine open);
  void collect(Completion completion);
  void record(const OpenLine& open);

  const Job& job_;
  Deployment& deployment_;
  std::vector<RowState> rows_;
  RunStart start_;
  RunReport& report_;
  PromptTokens tokens_;
  PromptReader prompts_;
  std::optional<JournalPart> journal_;  ///< on the leader
  std::optional<TimingLog> timings_;    ///< on the leader
  std::unique_ptr<Engine> engine_;
  std::deque<Range> claimed_;             ///< requests to be read, ascending
  std::optional<LineRequests> entering_;  ///< of the line read last: not yet in the engine
  double engine_start_ = 0;               ///< where the engine's time begins, in seconds of the run
  Progress progress_;

  std::unordered_map<std::int64_t, OpenLine> lines_;  ///< by index, on the leader
};

}  // namespace weft
