// What survives a killed run: finished rows on disk, by replica, and the merge into results.jsonl.
// docs/reference/formats.md describes the files.
//
// Who does what: rank 0 constructs a `Journal` (locks the directory, checks the identity, reads
// what is done) and tells the other ranks; each replica's leader then writes its own `JournalPart`;
// when all parts are closed, rank 0 calls `finish`.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/job/job.h"
#include "app/output/journal_frame.h"
#include "base/digest.h"
#include "io/file.h"

namespace weft {

/// One thing that the bits of the results depend on, by a name for people ("model", "sampling").
struct IdentityPart {
  std::string name;
  std::string value;
  bool operator==(const IdentityPart&) const = default;
};
using JobIdentity = std::vector<IdentityPart>;

/// Identity of a job: model, prompts, input form, sampling defaults, numerics and kind of
/// processor, layers and sequence length, form of the rows; the program's version and its libraries
/// for texts, which turn requests into tokens. `kind` is "cpu" or a CUDA compute
/// capability.
JobIdentity identity_of(const Job& job, const Digest& model, const Digest& prompts,
                        std::string_view kind);

/// What is known of each request, by index; plain bytes, to be broadcast.
enum class RowState : std::uint8_t { missing = 0, succeeded = 1, failed = 2 };

/// How many rows there are of each kind.
struct RowCounts {
  std::int64_t succeeded = 0;
  std::int64_t failed = 0;
};

/// The journal of an output directory, held by one process at a time.
class Journal {
 public:
  /// Checks the directory and creates what is missing, takes the lock, clears away what killed runs
  /// left half-written, compares or writes the identity, reads
  /// all parts (torn and damaged lines are passed over). Throws UserError when another run holds
  /// the directory, when it belongs to another job (naming what differs), or holds a results.jsonl
  /// that was not made from this journal. Throws Cancelled when `stop`, which is asked with each
  /// line, says so; nothing has changed then.
  Journal(const std::filesystem::path& output_dir, const JobIdentity& identity,
          std::int64_t requests, const std::function<bool()>& stop = {});

  /// State of each request; as long as there are requests.
  [[nodiscard]] const std::vector<RowState>& rows() const { return rows_; }
  [[nodiscard]] RowCounts counts() const;
  /// Lines that were passed over because they are torn or damaged.
  [[nodiscard]] std::int64_t damaged_lines() const { return damaged_; }
  /// The output directory.
  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  /// The job is finished, by an earlier run or by `finish`: results.jsonl is there, with its rows.
  [[nodiscard]] bool complete() const { return complete_; }
  /// What the rows of `rows` hold, added up.
  [[nodiscard]] const RowTokens& tokens() const { return tokens_; }
  /// What the lock's file holds while this object lives, and no other: see `find_journal`.
  [[nodiscard]] const std::string& token() const { return token_; }

  /// Drops the rows that failed, so that their requests are missing: the parts are rewritten as one
  /// without them. Returns how many there were. Throws UserError when a process of an earlier run
  /// still writes to a part. `stop` as above.
  std::int64_t forget_failed(const std::function<bool()>& stop = {});

  /// Reads all parts again. When every request has a row, writes results.jsonl: the rows in the
  /// order of the input, by rename; `complete` then holds. All parts must be closed.
  RowCounts finish();

 private:
  std::filesystem::path directory_;
  File lock_;
  std::string token_;
  std::vector<RowState> rows_;
  RowTokens tokens_;
  std::int64_t damaged_ = 0;
  bool complete_ = false;
};

/// On other ranks: waits a little until the journal in this directory is the one whose token it is,
/// as file systems of several hosts may lag. False when it is another, or none: then the directory
/// is not the one that rank 0 has.
bool find_journal(const std::filesystem::path& output_dir, const std::string& token,
                  std::chrono::milliseconds patience = std::chrono::seconds(10));

/// The append-only part of one replica. Safe to kill at any moment.
class JournalPart {
 public:
  using Seconds = std::chrono::duration<double>;

  /// Opens or creates OUT/journal/part-NNNN.jsonl; a torn last line is cut off. `sync_interval`:
  /// rows are on the disk at most that much later. Throws UserError when a process of an earlier
  /// run still has it open.
  JournalPart(const std::filesystem::path& output_dir, int replica,
              Seconds sync_interval = Seconds(5));
  JournalPart(const JournalPart&) = delete;
  JournalPart& operator=(const JournalPart&) = delete;
  /// Closes without fsync: the destructor of a failing run.
  ~JournalPart() = default;

  /// Appends the row of request `index` with one write. Throws Error.
  void append(std::int64_t index, bool succeeded, std::string_view row);
  /// fsync when rows wait for it and the interval has passed; to be called in every step, as rows
  /// may be long in coming. `append` does it by itself.
  void sync_if_due();
  /// fsync now, before the process ends well.
  void close();

 private:
  using Clock = std::chrono::steady_clock;

  File lock_;  ///< the part once more, locked
  LineLog log_;
  Seconds interval_;
  Clock::time_point last_sync_ = Clock::now();
  bool dirty_ = false;
  std::string scratch_;
};

}  // namespace weft
