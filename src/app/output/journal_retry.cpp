// Forgetting the rows that failed, for another try.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "app/output/file_lock.h"
#include "app/output/journal.h"
#include "app/output/journal_frame.h"
#include "base/error.h"

namespace weft {
namespace {

using Path = std::filesystem::path;

/// How long a process of a killed run may take to end before its part is given up on.
constexpr std::chrono::seconds kLockPatience(10);
constexpr std::size_t kRetryBuffer = std::size_t{1} << 20;

/// Throws UserError when a process of an earlier run still holds one of the parts. One after the
/// other: there may be more than a process can have open, and whoever has let go does not come
/// back.
void check_unused(const std::vector<Path>& parts) {
  for (const Path& part : parts) {
    const File file = File::open_append(part);
    if (!lock_exclusively(file, kLockPatience)) {
      fail_user("{}: a process of an earlier run is still writing to it", part.string());
    }
  }
}

/// Writes one row of each request that succeeded to `path`, durably. Throws Cancelled when `stop`
/// says so.
void write_succeeded(const std::vector<Path>& parts, std::size_t requests, const Path& path,
                     const std::function<bool()>& stop) {
  const File target = File::create(path);
  std::vector<bool> written(requests, false);
  std::string buffer;
  buffer.reserve(kRetryBuffer);
  std::string line;
  const auto put = [&] {
    target.write_all(std::as_bytes(std::span(buffer)));
    buffer.clear();
  };
  scan_journal(
      parts,
      [&](const JournalRow& row, const RowPlace&) {
        const auto i = static_cast<std::size_t>(row.index);
        if (!row.succeeded || i >= written.size() || written[i]) return;
        written[i] = true;
        write_journal_line(row, line);
        if (buffer.size() + line.size() + 1 > kRetryBuffer) put();
        buffer += line;
        buffer += '\n';
      },
      stop);
  put();
  target.sync();
}

}  // namespace

std::int64_t Journal::forget_failed(const std::function<bool()>& stop) {
  const std::int64_t failed = counts().failed;
  if (failed == 0) return 0;
  const Path journal = directory_ / "journal";
  const std::vector<Path> parts = journal_parts(journal);
  check_unused(parts);
  const Path first = journal_part_path(journal, 0);
  Path partial = first;
  partial += ".tmp";
  std::error_code ignored;
  try {
    write_succeeded(parts, rows_.size(), partial, stop);
    replace_file(partial, first);
  } catch (...) {
    std::filesystem::remove(partial, ignored);
    throw;
  }
  // Killed from here on, the rows that failed in the other parts are still known; nothing is lost.
  for (const Path& part : parts) {
    if (part != first && !std::filesystem::remove(part, ignored)) {
      fail("{}: cannot be removed: {}", part.string(), ignored.message());
    }
  }
  sync_directory(journal);
  std::replace(rows_.begin(), rows_.end(), RowState::failed, RowState::missing);
  complete_ = false;
  return failed;
}

}  // namespace weft
