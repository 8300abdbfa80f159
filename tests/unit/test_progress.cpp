#include "app/output/progress.h"

#include <fstream>

#include "app/output/journal.h"
#include "catch.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::TempDir;

std::string row(int tokens) {
  return R"({"text":"\"completion_tokens\":99","usage":{"completion_tokens":)" +
         std::to_string(tokens) + R"(,"total_tokens":50}})";
}

}  // namespace

TEST_CASE("progress is what has been added to the parts", "[progress]") {
  const TempDir dir;
  std::filesystem::create_directories(dir / "journal");
  {
    JournalPart earlier(dir.path(), 0);
    earlier.append(0, true, row(1000));
    earlier.close();
  }
  JournalWatch watch(dir.path(), 2);
  CHECK(watch.read().done == 0);
  JournalPart first(dir.path(), 0);
  JournalPart second(dir.path(), 1);
  first.append(1, true, row(10));
  second.append(2, false, R"({"error":"\"ok\":true"})");
  ProgressCounts counts = watch.read();
  CHECK(counts.done == 2);
  CHECK(counts.failed == 1);
  CHECK(counts.tokens == 10);
  for (int i = 3; i < 1003; ++i) second.append(i, true, row(2));
  counts = watch.read();
  CHECK(counts.done == 1002);
  CHECK(counts.tokens == 2010);
}

TEST_CASE("progress waits for the end of a line", "[progress]") {
  const TempDir dir;
  std::filesystem::create_directories(dir / "journal");
  JournalWatch watch(dir.path(), 1);
  std::ofstream part(dir / "journal/part-0000.jsonl");
  part << R"({"index":0,"ok":true,"row":{"completion_to)" << std::flush;
  CHECK(watch.read().done == 0);
  part << "kens\":12}}\n" << std::flush;
  CHECK(watch.read().done == 1);
  CHECK(watch.read().tokens == 12);
}

TEST_CASE("progress in words", "[progress]") {
  CHECK(progress_text({.done = 30, .failed = 2, .tokens = 500}, 10, 100, 12, 10) ==
        "12 s: 40 of 100 requests done, 2 failed; 50.0 tokens/s; about 20 s to go");
  CHECK(progress_text({}, 0, 5, 3661, 3600) == "1 h 1 min: 0 of 5 requests done; 0.0 tokens/s");
  CHECK(progress_text({.done = 1, .failed = 0, .tokens = 0}, 0, 3, 100, 100) ==
        "1 min 40 s: 1 of 3 requests done; 0.0 tokens/s; about 3 min 20 s to go");
}
