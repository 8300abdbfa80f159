// One replica's share of a job: from the prompt file through the engine to the journal.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/deployment.h"
#include "app/job.h"
#include "app/journal.h"
#include "app/prompt_tokens.h"
#include "app/prompts.h"
#include "app/report.h"

namespace weft {

/// Every rank of a replica has one, with the same share of the requests; the replica's leader alone
/// writes.
class ReplicaRun {
 public:
  /// Opens the prompt file and, on the leader, the replica's part of the journal. `rows` tells
  /// which requests are done already. Throws UserError when a file cannot be used. Everything
  /// passed by reference must outlive it.
  ReplicaRun(const Job& job, Deployment& deployment, std::vector<RowState> rows, RunReport& report);

  /// Completes every request of the share that has no row yet, or as many as there is time for
  /// until a signal asks one of the replica's ranks to stop; what is then unfinished is left to the
  /// next run. The model must be loaded.
  void run();

 private:
  void fill();
  void take(Prompt prompt);
  void refuse(const PromptError& error);
  void write(const Completion& completion);
  [[nodiscard]] std::string text_of(const Completion& completion) const;

  const Job& job_;
  Deployment& deployment_;
  std::vector<RowState> rows_;
  RunReport& report_;
  PromptTokens tokens_;
  PromptReader prompts_;
  std::optional<JournalPart> journal_;  ///< on the leader
  std::unique_ptr<Engine> engine_;
  std::unordered_map<std::int64_t, PromptLine> lines_;  ///< of requests in the engine
};

}  // namespace weft
