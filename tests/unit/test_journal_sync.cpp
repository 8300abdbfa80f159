// When rows reach the disk: counts what this program asks of the file system.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "app/output/journal.h"
#include "catch.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::TempDir;
using Clock = std::chrono::steady_clock;

std::atomic<int> syncs_of_parts = 0;

/// The part of a replica in a new output directory.
JournalPart part_in(const TempDir& dir, JournalPart::Seconds interval) {
  { const Journal journal(dir.path(), {{"the model", "abc"}}, 4); }
  return {dir.path(), 0, interval};
}

/// fsyncs of parts of journals that `work` asks for.
template <class Work>
int syncs_in(Work work) {
  const int before = syncs_of_parts;
  work();
  return syncs_of_parts - before;
}

}  // namespace

/// Stands before libc's: the same, and counted where it is about a part of a journal.
extern "C" int fsync(int fd) {
  std::error_code ignored;
  const auto path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored).string();
  if (path.find("/journal/part-") != std::string::npos) ++syncs_of_parts;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

TEST_CASE("without an interval each row reaches the disk before the next", "[journal]") {
  const TempDir dir;
  JournalPart part = part_in(dir, JournalPart::Seconds(0));
  CHECK(syncs_in([&] { part.append(0, true, "{}"); }) == 1);
  CHECK(syncs_in([&] { part.append(1, false, "{}"); }) == 1);
  CHECK(syncs_in([&] { part.sync_if_due(); }) == 0);
}

TEST_CASE("before the interval has passed nothing is asked of the disk", "[journal]") {
  const TempDir dir;
  JournalPart part = part_in(dir, std::chrono::hours(1));
  const auto write = [&] {
    part.append(0, true, "{}");
    part.append(1, true, "{}");
    part.sync_if_due();
  };
  CHECK(syncs_in(write) == 0);
  CHECK(syncs_in([&] { part.close(); }) == 1);
}

TEST_CASE("when the interval has passed rows reach the disk once", "[journal]") {
  constexpr std::chrono::milliseconds interval(50);
  const TempDir dir;
  const Clock::time_point begin = Clock::now();
  JournalPart part = part_in(dir, interval);
  // Rows may be long in coming: it is the steps that go on asking.
  const auto wait_for_sync = [&] {
    part.append(0, true, "{}");
    for (int i = 0; syncs_of_parts == 0 && i < 30'000; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      part.sync_if_due();
    }
  };
  syncs_of_parts = 0;
  CHECK(syncs_in(wait_for_sync) == 1);
  CHECK(Clock::now() - begin >= interval);
  std::this_thread::sleep_for(2 * interval);
  CHECK(syncs_in([&] { part.sync_if_due(); }) == 0);  // no row waits for it
  CHECK(syncs_in([&] { part.append(1, true, "{}"); }) == 1);
}
