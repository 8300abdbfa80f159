// `weft status`: how far a job has come, by its journal.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <unordered_map>
#include <vector>

#include "app/commands/commands.h"
#include "app/job/job.h"
#include "app/output/journal_frame.h"

namespace weft {

int command_status(const RunOptions& options) {
  const Job job = load_job(options.job, options.overrides);
  std::unordered_map<std::int64_t, bool> succeeded;  // by request
  const std::filesystem::path journal = job.output.dir / "journal";
  std::vector<std::filesystem::path> parts;
  if (std::filesystem::exists(journal)) parts = journal_parts(journal);
  scan_journal(parts, [&](const JournalRow& row, const RowPlace&) {
    bool& state = succeeded[row.index];
    state = state || row.succeeded;
  });
  const auto all = static_cast<std::int64_t>(succeeded.size());
  const std::int64_t good = std::count_if(succeeded.begin(), succeeded.end(),
                                          [](const auto& each) { return each.second; });
  if (options.retry_failed) {
    fmt::print("{} requests have succeeded, by {}\n", good, job.output.dir.string());
  } else {
    fmt::print("{} requests are done, {} of them failed, by {}\n", all, all - good,
               job.output.dir.string());
  }
  return kExitSuccess;
}

}  // namespace weft
