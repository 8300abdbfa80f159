// Drafts by prompt lookup, and steps that hold drafts.
#include "engine/prompt_lookup.h"

#include <algorithm>

#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "scheduler_testing.h"

using namespace weft;

namespace {

using Tokens = std::vector<TokenId>;

}  // namespace

TEST_CASE("a draft is what followed the end of the text before", "[speculation]") {
  CHECK(PromptLookup().draft(Tokens{7, 1, 2, 3, 4, 5, 9, 1, 2}, 2) == Tokens{3, 4});
  // The longest end, and of equal ones the latest.
  CHECK(PromptLookup().draft(Tokens{5, 1, 2, 3, 8, 1, 2, 4, 5, 1, 2}, 1) == Tokens{3});
  CHECK(PromptLookup().draft(Tokens{1, 2, 3, 8, 1, 2, 4, 6, 1, 2}, 1) == Tokens{4});
  // A repetition goes on.
  CHECK(PromptLookup().draft(Tokens{9, 6, 7, 6, 7}, 4) == Tokens{6, 7, 6, 7});
  CHECK(PromptLookup().draft(Tokens{6, 6, 6}, 3) == Tokens{6, 6, 6});
  // One equal token is no end.
  CHECK(PromptLookup().draft(Tokens{1, 2, 3, 1}, 4).empty());
  CHECK(PromptLookup().draft(Tokens{1}, 4).empty());
  CHECK(PromptLookup().draft(Tokens{1, 2}, 4).empty());
}

TEST_CASE("how much is drafted follows from what was accepted", "[speculation]") {
  const Tokens repeats(20, 3);
  PromptLookup lookup;
  const auto drafted = [&] { return lookup.draft(repeats, 64).size(); };
  CHECK(drafted() == 4);
  lookup.verified(4, 4);
  CHECK(drafted() == 8);
  lookup.verified(8, 2);
  CHECK(drafted() == 3);
  lookup.verified(3, 0);
  CHECK(drafted() == 1);
  lookup.verified(1, 0);
  CHECK(drafted() == 1);
  lookup.verified(1, 0);  // the third in a row
  CHECK(drafted() == 0);
  CHECK(drafted() == 0);
  CHECK(drafted() == 1);
  lookup.verified(1, 0);
  for (int step = 0; step < 4; ++step) CHECK(drafted() == 0);
  CHECK(drafted() == 1);
  lookup.verified(1, 1);
  CHECK(drafted() == 2);
}

TEST_CASE("drafts take rows and blocks that are left, and give them back", "[speculation]") {
  SchedulerLimits small = limits(64, 8, 0, 16, 6);
  small.speculative_rows = 20;
  Scheduler scheduler(small);
  scheduler.add(0, 15, 60);
  scheduler.add(1, 30, 60);
  std::vector<Slice> step = scheduler.next();
  CHECK(describe(step) == "0[0,15)* 1[0,30)*");
  for (const Slice& slice : step) scheduler.complete(slice, false);
  CHECK(scheduler.available() == 3);

  // 20 rows: two decodes and 18 drafts, of which the first to have arrived takes what it wants.
  std::vector<std::int64_t> asked;
  const auto offer = [&](std::int64_t /*sequence*/, std::int64_t most) {
    asked.push_back(most);
    return std::min<std::int64_t>(most, 12);
  };
  step = scheduler.next(offer);
  CHECK(asked == std::vector<std::int64_t>{18, 6});
  CHECK(describe(step) == "0[15,28)* 1[30,37)*");
  CHECK(step[0].drafted == 12);
  CHECK(step[1].drafted == 6);
  CHECK(scheduler.available() == 1);
  scheduler.complete(step[0], false, 0);  // the sequence has 17 tokens now, 16 of them computed
  scheduler.complete(step[1], false, 4);  // and this one 36, 35 of them computed
  CHECK(scheduler.available() == 2);
  step = scheduler.next();
  CHECK(describe(step) == "0[16,17)* 1[35,36)*");
  CHECK_THROWS_AS(scheduler.complete(step[0], false, 1), Error);  // nothing was drafted
  scheduler.complete(step[0], true);
  scheduler.complete(step[1], true);
  CHECK(scheduler.available() == 6);
}

TEST_CASE("there are no drafts beside prompts, nor without blocks", "[speculation]") {
  const auto offer = [](std::int64_t /*sequence*/, std::int64_t most) { return most; };
  SchedulerLimits small = limits(64, 8, 0, 16, 5);
  small.speculative_rows = 20;
  Scheduler scheduler(small);
  scheduler.add(0, 16, 40);
  for (const Slice& slice : scheduler.next(offer)) scheduler.complete(slice, false);
  scheduler.add(1, 20, 20);
  std::vector<Slice> step = scheduler.next(offer);
  CHECK(describe(step) == "0[16,17)* 1[0,20)*");  // with its rows there are more than 20
  scheduler.complete(step[0], false);
  scheduler.complete(step[1], true);
  CHECK(describe(scheduler.next(offer)) == "0[17,37)*");

  small.kv_blocks = 3;
  Scheduler tight(small);
  tight.add(0, 16, 40);
  for (const Slice& slice : tight.next(offer)) tight.complete(slice, false);
  step = tight.next(offer);
  CHECK(describe(step) == "0[16,36)*");
  tight.complete(step[0], false, 19);
  CHECK(describe(tight.next(offer)) == "0[36,48)*");  // 11 drafts fill the last block
}
