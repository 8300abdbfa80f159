#include "app/output/file_lock.h"
#include "app/output/journal.h"
#include "app/output/journal_frame.h"
#include "base/error.h"

namespace weft {

namespace {

/// How long a process of a killed run may take to end before its part is given up on.
constexpr std::chrono::seconds kPatience(10);

/// Opens the part and locks it, so that no straggler of an earlier run writes to it as well.
File locked(const std::filesystem::path& part) {
  File file = File::open_append(part);
  if (!lock_exclusively(file, kPatience)) {
    fail_user("{}: a process of an earlier run is still writing to it", file.path());
  }
  return file;
}

}  // namespace

JournalPart::JournalPart(const std::filesystem::path& output_dir, int replica,
                         Seconds sync_interval)
    : lock_(locked(journal_part_path(output_dir / "journal", replica))),
      log_(lock_.path()),
      interval_(sync_interval) {
  sync_directory(output_dir / "journal");
}

void JournalPart::append(std::int64_t index, bool succeeded, std::string_view row) {
  write_journal_line({.index = index, .succeeded = succeeded, .text = row}, scratch_);
  require(scratch_.size() <= kJournalLineCap, "the row of request {} has {} bytes", index,
          row.size());
  log_.append(scratch_);
  dirty_ = true;
  sync_if_due();
}

void JournalPart::sync_if_due() {
  if (dirty_ && Clock::now() - last_sync_ >= interval_) close();
}

void JournalPart::close() {
  log_.sync();
  dirty_ = false;
  last_sync_ = Clock::now();
}

}  // namespace weft
