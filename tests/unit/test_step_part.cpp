// What a rank computes of a step: prompts are shared, decodes never are.
#include <map>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "engine/step_part.h"
#include "scheduler_testing.h"

namespace weft {
namespace {

using Catch::Matchers::Contains;

Sequence sequence_of_length(std::int64_t length) {
  Request request;
  request.prompt.assign(static_cast<std::size_t>(length), 3);
  return {std::move(request), nullptr};
}

TEST_CASE("a shared decode is refused in any company", "[step][semantics]") {
  SchedulerLimits limits_ = limits(64, 8, 0, 4, 40);
  limits_.sp = 2;
  limits_.sp_threshold = 8;
  Scheduler scheduler(limits_);
  std::map<std::int64_t, Sequence> sequences;
  sequences.emplace(0, sequence_of_length(10));
  scheduler.add(0, 10, 20);
  const auto part_of = [&](const std::vector<Slice>& step, int rank) {
    return part_of_step(step, scheduler, limits_.block_tokens, rank, limits_.sp,
                        [&](std::int64_t id) -> const Sequence& { return sequences.at(id); });
  };
  const std::vector<Slice> first = scheduler.next();
  REQUIRE(describe(first, true) == "0@0+[0,10)*");
  CHECK(phase_of(first[0], sequences.at(0)) == ComputePhase::prefill);
  CHECK(part_of(first, 0).batch.rows() + part_of(first, 1).batch.rows() == 10);
  CHECK(part_of(first, 1).batch.shared.slots.size() == 10);
  scheduler.complete(first[0], false);
  sequences.at(0).tokens.push_back(5);
  sequences.at(0).decoding = true;

  sequences.emplace(1, sequence_of_length(12));
  scheduler.add(1, 12, 20);
  std::vector<Slice> mixed = scheduler.next();
  REQUIRE(describe(mixed, true) == "0@0[10,11)* 1@1+[0,12)*");
  CHECK(phase_of(mixed[0], sequences.at(0)) == ComputePhase::decode);
  CHECK(phase_of(mixed[1], sequences.at(1)) == ComputePhase::prefill);
  CHECK(part_of(mixed, 0).batch.shared.slots.size() == 12);
  for (const int rank : {0, 1}) {
    std::vector<Slice> wrong = mixed;
    wrong[0].shared = true;
    CHECK_THROWS_WITH(part_of(wrong, rank),
                      Contains("sp=2 does not apply to decode (attention scores): a decode step "
                               "has one row for each sequence"));
    wrong.pop_back();  // alone it is no better
    CHECK_THROWS_AS(part_of(wrong, rank), Error);
  }
  // The same row is no decode when the sequence has lost its blocks and is computed again.
  mixed[0].starts = true;
  CHECK(phase_of(mixed[0], sequences.at(0)) == ComputePhase::prefill);
}

TEST_CASE("a sequence that comes back starts anew", "[step][scheduler]") {
  // Six blocks of two tokens: 1 is preempted when 0 needs a fourth block.
  Driver driver(limits(64, 8, 0, 2, 6));
  driver.add({5, 9});
  driver.add({5, 9});
  std::vector<std::int64_t> starts;
  for (int step = 0; step < 20 && !driver.scheduler.idle(); ++step) {
    const std::vector<Slice> slices = driver.scheduler.next();
    for (const Slice& slice : slices) {
      CHECK(slice.starts == (slice.begin == 0));
      if (slice.starts) starts.push_back(slice.sequence);
    }
    driver.complete(slices);
  }
  CHECK(driver.scheduler.preemptions() == 1);
  CHECK(starts == std::vector<std::int64_t>{0, 1, 1});
}

}  // namespace
}  // namespace weft
