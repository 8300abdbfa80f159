#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "app/output/journal.h"
#include "app/output/output_directory.h"
#include "app/output/timings.h"
#include "base/error.h"
#include "catch.h"
#include "io/file.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::contents_of;
using testing::message_of;
using testing::TempDir;
namespace fs = std::filesystem;

const JobIdentity kIdentity = {{"model", "abc"}};

std::string refusal(const TempDir& dir) {
  return message_of<UserError>([&] { Journal(dir.path(), kIdentity, 4); });
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// Where a link leads that must never be written through.
constexpr std::string_view kPrecious = "not weft's";

}  // namespace

TEST_CASE("what stands where files are written is found before anything is computed", "[output]") {
  for (const char* name :
       {"results.jsonl", "summary.json", "timings.h5", "trace.json", "job.yaml",
        "results.jsonl.tmp", "timings.h5.tmp", "summary.json.tmp123", "journal/lock",
        "journal/part-0003.jsonl", "journal/part-0000.jsonl.tmp", "journal/identity.json",
        "journal/results.json", "journal/timings/requests-0000.bin", "journal/timings/runs.bin"}) {
    INFO(name);
    const TempDir dir;
    fs::create_directories(dir / name);
    const std::string message = refusal(dir);
    CHECK(contains(message, name));
    CHECK(contains(message, "a folder stands where a file is to be written"));
  }
  for (const char* name : {"journal", "journal/timings"}) {
    INFO(name);
    const TempDir dir;
    fs::create_directories((dir / name).parent_path());
    testing::TempDir elsewhere;
    fs::create_directory_symlink(elsewhere.path(), dir / name);
    CHECK(contains(refusal(dir), "a symbolic link stands where a folder"));
    fs::remove(dir / name);
    write_text(dir / name, "x");
    CHECK(contains(refusal(dir), "a file stands where a folder"));
  }
}

TEST_CASE("nothing is written through symbolic links", "[output]") {
  const TempDir elsewhere;
  const fs::path precious = elsewhere.write("precious", kPrecious);
  for (const char* name : {"results.jsonl.tmp", "timings.h5.tmp", "trace.json.tmp", "job.yaml.tmp7",
                           "journal/lock", "journal/part-0000.jsonl", "journal/part-0000.jsonl.tmp",
                           "journal/identity.json.tmp1", "journal/timings/steps-0000.bin"}) {
    INFO(name);
    const TempDir dir;
    fs::create_directories((dir / name).parent_path());
    fs::create_symlink(precious, dir / name);
    CHECK(contains(refusal(dir), name));
    CHECK(contents_of(precious) == kPrecious);
  }
  // Files that are opened one by one.
  const TempDir dir;
  fs::create_symlink(precious, dir / "link");
  for (const auto& open : {File::create, File::open_append, File::open_update}) {
    CHECK(contains(message_of<UserError>([&] { open(dir / "link"); }), "symbolic link"));
  }
  CHECK(contains(message_of<UserError>([&] { copy_file_synced(precious, dir / "link"); }), "link"));
  CHECK(contents_of(precious) == kPrecious);
  // A second name of a file is no link to it, but is not written through either.
  fs::create_hard_link(precious, dir / "name");
  File::create(dir / "name");
  CHECK(contents_of(precious) == kPrecious);
}

TEST_CASE("links that lead nowhere are called so", "[output]") {
  const TempDir dir;
  fs::create_symlink("gone", dir / "link");
  CHECK(contains(message_of<UserError>([&] { read_text(dir / "link", 10); }),
                 "a symbolic link to gone, which is not there"));
}

TEST_CASE("a FIFO as the lock is the user's mistake", "[output]") {
  const TempDir dir;
  fs::create_directories(dir / "journal");
  REQUIRE(::mkfifo((dir / "journal/lock").c_str(), 0600) == 0);
  CHECK(contains(refusal(dir), "journal/lock"));
  CHECK(contains(message_of<UserError>([&] { File::open_append(dir / "journal/lock"); }),
                 "not a regular file"));
}

TEST_CASE("half-written files of killed runs are cleared away", "[output]") {
  const TempDir dir;
  fs::create_directories(dir / "journal");
  const auto ours = {"results.jsonl.tmp",
                     "timings.h5.tmp",
                     "trace.json.tmp",
                     "summary.json.tmp12",
                     "job.yaml.tmp9",
                     "journal/identity.json.tmp4",
                     "journal/results.json.tmp5",
                     "journal/part-0000.jsonl.tmp"};
  const auto others = {"notes.tmp", "results.jsonl.tmp.bak", "results.jsonl.tmpx", "journal/x.tmp"};
  for (const char* name : ours) dir.write(name, "half");
  for (const char* name : others) dir.write(name, "theirs");
  Journal(dir.path(), kIdentity, 4);
  for (const char* name : ours) CHECK_FALSE(fs::exists(dir / name));
  for (const char* name : others) CHECK(fs::exists(dir / name));
}

TEST_CASE("stray files among the records are nobody's", "[output]") {
  const TempDir dir;
  {
    TimingLog log(dir.path(), 0);
    log.add(RequestTiming{});
    log.flush();
  }
  fs::create_directories(dir / "journal/timings/requests-old");
  dir.write("journal/timings/requests-0000.bin.bak", "x");
  dir.write("journal/timings/steps", std::string(1000, 'x'));
  write_timings(dir.path());
  int requests = 0;
  visit_requests(dir.path(), [&](const RequestTiming&) { ++requests; });
  CHECK(requests == 1);
}

TEST_CASE("there may be more parts than files can be open", "[output]") {
  constexpr int replicas = 90;
  constexpr std::int64_t requests = 2 * replicas;
  const TempDir dir;
  Journal(dir.path(), kIdentity, requests);
  for (int replica = 0; replica < replicas; ++replica) {
    JournalPart part(dir.path(), replica);
    part.append(replica, true, "\"first\"");
    part.append(requests - 1 - replica, replica % 2 == 0, "\"second\"");
    TimingLog log(dir.path(), replica);
    log.add(RequestTiming{});
    log.flush();
  }
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit few = before;
  few.rlim_cur = 60;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  std::string message;
  try {
    Journal journal(dir.path(), kIdentity, requests);
    journal.finish();
    write_timings(dir.path());
    CHECK(journal.forget_failed() == replicas / 2);
  } catch (const std::exception& error) {
    message = error.what();
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(message.empty());
  std::string wanted;
  for (int i = 0; i < replicas; ++i) wanted += "\"first\"\n";
  for (int i = 0; i < replicas; ++i) wanted += "\"second\"\n";
  CHECK(contents_of(dir / "results.jsonl") == wanted);
}

TEST_CASE("a directory that is another one is told by its token", "[output]") {
  const TempDir dir;
  const TempDir other;
  const Journal journal(dir.path(), kIdentity, 4);
  const Journal same_name(other.path(), kIdentity, 4);
  constexpr std::chrono::milliseconds patience(200);
  CHECK(find_journal(dir.path(), journal.token(), patience));
  CHECK_FALSE(find_journal(other.path(), journal.token(), patience));
  const TempDir empty;
  CHECK_FALSE(find_journal(empty.path(), journal.token(), patience));
}
