#include "app/output/progress.h"

#include "catch.h"

using namespace weft;

TEST_CASE("progress in words", "[progress]") {
  Progress counts;
  counts.rows = 30;
  counts.failed = 2;
  counts.completion_tokens = 300;
  counts.open = 10;
  counts.open_tokens = 120;
  counts.generated_tokens = 400;
  // 60 requests of 10 tokens are left, 120 of which are there.
  CHECK(progress_text(counts, 10, 100, 12, 10) ==
        "12 s: 40 of 100 requests done, 2 failed; 40.0 tokens/s; about 12 s to go");
  CHECK(progress_text({}, 0, 5, 3661, 3600) == "1 h 1 min: 0 of 5 requests done; 0.0 tokens/s");
  counts = {};
  counts.rows = 1;  // nothing is generated: prompts are scored
  CHECK(progress_text(counts, 0, 3, 100, 100) ==
        "1 min 40 s: 1 of 3 requests done; 0.0 tokens/s; about 3 min 20 s to go");
}

TEST_CASE("tokens of requests that go on count, and tell nothing of the end", "[progress]") {
  Progress counts;
  counts.open = 256;
  counts.open_tokens = counts.generated_tokens = 5000;
  CHECK(progress_text(counts, 0, 1000, 11, 10) == "11 s: 0 of 1000 requests done; 500.0 tokens/s");
  counts.rows = 1;  // the shortest, with all others about to end
  counts.completion_tokens = 20;
  CHECK(progress_text(counts, 0, 257, 11, 10) == "11 s: 1 of 257 requests done; 500.0 tokens/s");
  counts.rows = 257;
  counts.open = 0;
  CHECK(progress_text(counts, 0, 257, 12, 11) == "12 s: 257 of 257 requests done; 454.5 tokens/s");
}
