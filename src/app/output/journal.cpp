#include "app/output/journal.h"

#include <unistd.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <random>
#include <span>
#include <thread>
#include <utility>

#include "app/output/file_lock.h"
#include "app/output/journal_frame.h"
#include "app/output/output_directory.h"
#include "app/output/results_record.h"
#include "base/error.h"
#include "base/progress_counter.h"
#include "io/json.h"

namespace weft {
namespace {

using nlohmann::ordered_json;
using Path = std::filesystem::path;

constexpr std::size_t kWriteBuffer = std::size_t{1} << 20;
/// Much more at once might keep an fsync, and those who wait for it, longer than the watch allows.
constexpr Bytes kSyncEvery = Bytes{1} << 30;
constexpr Bytes kLongestToken = 400;

Path journal_of(const Path& output) { return output / "journal"; }
Path identity_of(const Path& output) { return journal_of(output) / "identity.json"; }
Path results_of(const Path& output) { return output / "results.jsonl"; }

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// "host, process 123, run 9f…": for the message to whoever comes second, and for other hosts,
/// which find the same file only where they share the directory.
std::string new_token() {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  std::random_device random;
  return fmt::format("{}, process {}, run {:08x}{:08x}", host, ::getpid(), random(), random());
}

/// Takes the lock of the output directory and writes `token` to its file.
File lock_journal(const Path& output, const std::string& token) {
  File file = File::open_append(journal_of(output) / "lock");
  if (!lock_exclusively(file)) {
    std::string holder(std::min<Bytes>(file.size(), kLongestToken), '\0');
    file.pread_all(std::as_writable_bytes(std::span(holder.data(), holder.size())), 0);
    fail_user("{}: another run is using this output directory ({})", output.string(), holder);
  }
  file.truncate(0);
  file.write_all(bytes_of(token));
  file.sync();
  return file;
}

void write_identity(const Path& output, const JobIdentity& identity) {
  ordered_json parts = ordered_json::object();
  for (const IdentityPart& part : identity) parts[part.name] = part.value;
  const ordered_json file = {{"format", 1}, {"identity", parts}};
  write_text(identity_of(output), file.dump(2) + "\n");
}

/// What differs from the stored identity, in words; empty when nothing does.
std::string difference_from(const Path& stored, const JobIdentity& identity) {
  const nlohmann::json file = read_json(stored);
  const auto parts = file.find("identity");
  if (parts == file.end() || !parts->is_object() || !file.contains("format") ||
      file["format"] != 1) {
    fail_user("{}: not an identity file of this version", stored.string());
  }
  std::string difference;
  for (const IdentityPart& part : identity) {
    const auto old = parts->find(part.name);
    const std::string before = old != parts->end() && old->is_string() ? *old : "nothing";
    if (before == part.value) continue;
    difference += difference.empty() ? "" : "; ";
    difference += fmt::format("{} was {}, is {}", part.name, before, part.value);
  }
  return difference;
}

/// A row that succeeded stands against one that failed; otherwise the first one found does.
bool replaces(RowState old, RowState found) {
  return old == RowState::missing || (old == RowState::failed && found == RowState::succeeded);
}

RowState state_of(const JournalRow& row) {
  return row.succeeded ? RowState::succeeded : RowState::failed;
}

void add_tokens(RowTokens& sum, const JournalRow& row) {
  const RowTokens tokens = tokens_of_row(row.text);
  sum.prompt += tokens.prompt;
  sum.completion += tokens.completion;
}

RowCounts count(const std::vector<RowState>& rows) {
  return {.succeeded = std::count(rows.begin(), rows.end(), RowState::succeeded),
          .failed = std::count(rows.begin(), rows.end(), RowState::failed)};
}

/// Parts open for reading, only so many at a time: there may be more than a process can have open.
class OpenParts {
 public:
  explicit OpenParts(const std::vector<Path>& parts) : parts_(parts), files_(parts.size()) {}

  const File& at(std::size_t part) {
    if (!files_[part].is_open()) {
      if (order_.size() == kMostOpen) {
        files_[order_.front()] = File();
        order_.pop_front();
      }
      files_[part] = File::open_read(parts_[part]);
      order_.push_back(part);
    }
    return files_[part];
  }

 private:
  static constexpr std::size_t kMostOpen = 32;

  const std::vector<Path>& parts_;
  std::vector<File> files_;
  std::deque<std::size_t> order_;  ///< those that are open, in the order in which they were opened
};

/// Copies the rows at `places`, in that order, into `target`; says what was written.
ResultsRecord copy_rows(const std::vector<Path>& parts, const std::vector<RowPlace>& places,
                        const File& target) {
  Digester digest;
  ResultsRecord written;
  Bytes synced = 0;
  const auto put = [&](std::string_view rows) {
    count_progress();
    target.write_all(bytes_of(rows));
    digest.add(rows);
    written.bytes += rows.size();
    if (written.bytes - synced < kSyncEvery) return;
    target.sync();
    synced = written.bytes;
  };
  OpenParts files(parts);
  std::string buffer;
  buffer.reserve(kWriteBuffer);  // growing would take three times as much
  for (const RowPlace& place : places) {
    if (buffer.size() + place.length + 1 > kWriteBuffer) {
      put(buffer);
      buffer.clear();
    }
    const std::size_t start = buffer.size();
    buffer.resize(start + place.length + 1, '\n');
    files.at(place.part)
        .pread_all(std::as_writable_bytes(std::span(buffer).subspan(start, place.length)),
                   place.offset);
  }
  put(buffer);
  written.digest = digest.result();
  return written;
}

}  // namespace

Journal::Journal(const Path& output_dir, const JobIdentity& identity, std::int64_t requests,
                 const std::function<bool()>& stop)
    : directory_(output_dir),
      token_(new_token()),
      rows_(static_cast<std::size_t>(requests), RowState::missing) {
  prepare_output_directory(directory_);
  lock_ = lock_journal(directory_, token_);
  remove_half_written(directory_);
  const bool has_results = is_there(results_of(directory_));
  const bool has_identity = is_there(identity_of(directory_));
  const std::vector<Path> parts = journal_parts(journal_of(directory_));
  if (!has_identity && (has_results || !parts.empty())) {
    fail_user(
        "{}: holds results but no journal/identity.json: not touched; choose another output.dir",
        directory_.string());
  }
  const std::string difference =
      has_identity ? difference_from(identity_of(directory_), identity) : std::string();
  std::int64_t found = 0;
  damaged_ = scan_journal(
      parts,
      [&](const JournalRow& row, const RowPlace&) {
        ++found;
        if (row.index >= requests) return;
        RowState& state = rows_[static_cast<std::size_t>(row.index)];
        if (!replaces(state, state_of(row))) return;
        state = state_of(row);
        add_tokens(tokens_, row);
      },
      stop);
  if (!difference.empty() && (found > 0 || has_results)) {
    fail_user("{}: holds the results of another job: {}. Choose another output.dir, or remove it",
              directory_.string(), difference);
  }
  if (!has_identity || !difference.empty()) write_identity(directory_, identity);
  const RowCounts done = counts();
  const ResultsOrigin origin = results_origin(directory_);
  if (origin == ResultsOrigin::foreign) {
    fail_user(
        "{}: not the file that was made from the journal beside it (replaced or changed by hand?); "
        "move it away, and the same command makes it again",
        results_of(directory_).string());
  }
  complete_ = origin == ResultsOrigin::journal && done.succeeded + done.failed == requests;
}

bool find_journal(const Path& output_dir, const std::string& token,
                  std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds pause(100);
  const Clock::time_point deadline = Clock::now() + patience;
  for (;;) {
    count_progress();
    try {
      if (read_text(journal_of(output_dir) / "lock", kLongestToken) == token) return true;
    } catch (const UserError&) {  // missing, or in the middle of being written
    }
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(pause);
  }
}

RowCounts Journal::counts() const { return count(rows_); }

RowCounts Journal::finish() {
  const std::vector<Path> parts = journal_parts(journal_of(directory_));
  std::vector<RowState> states(rows_.size(), RowState::missing);
  std::vector<RowPlace> places(rows_.size());
  tokens_ = {};
  scan_journal(parts, [&](const JournalRow& row, const RowPlace& place) {
    const auto i = static_cast<std::size_t>(row.index);
    if (i >= states.size() || !replaces(states[i], state_of(row))) return;
    states[i] = state_of(row);
    places[i] = place;
    add_tokens(tokens_, row);
  });
  rows_ = std::move(states);
  if (std::find(rows_.begin(), rows_.end(), RowState::missing) != rows_.end()) return counts();

  const Path results = results_of(directory_);
  const Path partial = directory_ / "results.jsonl.tmp";
  try {
    const File target = File::create(partial);
    const ResultsRecord written = copy_rows(parts, places, target);
    target.sync();
    record_results(directory_, written);
    replace_file(partial, results);
  } catch (...) {
    ::unlink(partial.c_str());  // a full disk needs the room
    throw;
  }
  complete_ = true;
  return counts();
}

}  // namespace weft
