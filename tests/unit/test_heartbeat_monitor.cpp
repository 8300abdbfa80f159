// Who is behind, and what is said of it.
#include <string>
#include <vector>

#include "base/progress_counter.h"
#include "catch.h"
#include "comm/control/heartbeat_monitor.h"
#include "comm/control/self_watchdog.h"

namespace weft::test {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

constexpr int kLimit = 10;
constexpr std::uint64_t kGroup = 7;

RankState computing(std::int64_t step, std::int64_t ticks = 0) {
  RankState state;
  state.phase = JobPhase::running;
  state.step = step;
  state.ticks = ticks;
  return state;
}

RankState waiting(Operation operation, std::int64_t call, std::int64_t ticks,
                  std::uint64_t group = kGroup, int peer = -1) {
  RankState state = computing(17, ticks);
  state.operation = operation;
  state.group = group;
  state.call = call;
  state.peer = peer;
  return state;
}

/// Four ranks on two hosts, one group.
HeartbeatMonitor four() {
  HeartbeatMonitor monitor({"n1", "n1", "n2", "n2"}, 4, kLimit, 30);
  monitor.add_group(kGroup, {0, 1, 2, 3});
  return monitor;
}

}  // namespace

TEST_CASE("while all are heard of, nobody is silent", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  for (int look = 0; look < 100; ++look) {
    // Rank 3 computes for a hundred looks, nobody waits for it longer than 9.
    for (int rank = 0; rank < 3; ++rank) {
      monitor.hear(rank, waiting(Operation::all_gather, 5, look % kLimit));
    }
    monitor.hear(3, computing(17, look));
    monitor.look();
    REQUIRE_FALSE(monitor.silence());
    REQUIRE_FALSE(monitor.lateness());
  }
}

TEST_CASE("a send waits for its receiver alone", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  monitor.hear(0, waiting(Operation::send, 4, kLimit, kGroup, 1));
  for (int rank = 1; rank < 4; ++rank) monitor.hear(rank, computing(17, kLimit));
  const auto why = monitor.lateness();
  REQUIRE(why);
  CHECK_THAT(*why, StartsWith("rank 1 on n1 is behind"));
}

TEST_CASE("a silent rank is named, with what it did and who waits for it", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  monitor.hear(3, computing(17));
  for (int look = 0; look < kLimit; ++look) {
    REQUIRE_FALSE(monitor.silence());
    for (int rank = 0; rank < 3; ++rank) {
      monitor.hear(rank, waiting(Operation::all_gather, 5012, look));
    }
    monitor.look();
  }
  REQUIRE(monitor.silence());
  CHECK_THAT(*monitor.silence(),
             StartsWith("rank 3 on n2 has not been heard of for 30 s (engine.watchdog_seconds); "
                        "last seen in step 17, computing; ranks 0-2 wait for it in "
                        "all-gather 5012; "));
}

TEST_CASE("a lost host is named as a whole", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  monitor.hear(2, computing(3));
  monitor.look();
  monitor.hear(3, computing(3));
  for (int look = 0; look < kLimit; ++look) {
    monitor.hear(0, waiting(Operation::receive, 0, look, kGroup, 2));
    monitor.hear(1, waiting(Operation::receive, 0, look, kGroup, 0));
    monitor.look();
  }
  CHECK_THAT(*monitor.silence(), StartsWith("ranks 2-3 on n2 have not been heard of for 30 s"));
  CHECK_THAT(*monitor.silence(), Contains("rank 2 was last seen in step 3, computing"));
  CHECK_THAT(*monitor.silence(), Contains("rank 0 waits for them in receive"));
}

TEST_CASE("ranks that have said goodbye may be silent", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  for (int rank = 1; rank < 4; ++rank) monitor.excuse(rank);
  for (int look = 0; look < 2 * kLimit; ++look) {
    monitor.hear(0, computing(1));
    monitor.look();
  }
  CHECK_FALSE(monitor.silence());
}

TEST_CASE("the one that others wait for is behind", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  for (int rank : {0, 1, 3}) monitor.hear(rank, waiting(Operation::all_gather, 12, kLimit));
  monitor.hear(2, computing(17, kLimit));
  REQUIRE(monitor.lateness());
  CHECK_THAT(*monitor.lateness(),
             StartsWith("rank 2 on n2 is behind, in step 17, computing; ranks 0-1, 3 wait for it "
                        "in all-gather 12 for 30 s"));
}

TEST_CASE("a rank that has left the operation is not behind in it", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  RankState root = computing(18, kLimit);  // sent its broadcast and went on
  root.group = kGroup;
  root.call = 12;
  monitor.hear(0, root);
  monitor.hear(1, computing(17, kLimit));
  monitor.hear(2, waiting(Operation::broadcast, 12, kLimit));
  monitor.hear(3, waiting(Operation::broadcast, 12, kLimit));
  CHECK_THAT(*monitor.lateness(), StartsWith("rank 1 on n1 is behind"));
  CHECK_THAT(*monitor.lateness(), Contains("ranks 2-3 wait for it in broadcast 12"));
}

TEST_CASE("chains of waits are followed to their end", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  // 3 receives from 2, 2 from 1, 1 from 0, which computes.
  monitor.hear(0, computing(4, kLimit));
  for (int rank = 1; rank < 4; ++rank) {
    monitor.hear(rank, waiting(Operation::receive, 0, kLimit, kGroup, rank - 1));
  }
  CHECK_THAT(*monitor.lateness(), StartsWith("rank 0 on n1 is behind, in step 4, computing; rank 1 "
                                             "waits for it in receive"));
}

TEST_CASE("whoever gets on is waited for, however slow", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  for (int rank : {0, 1, 3}) monitor.hear(rank, waiting(Operation::all_gather, 12, 50 * kLimit));
  monitor.hear(2, computing(17, kLimit - 1));
  CHECK_FALSE(monitor.lateness());
  // In a chain, too: 1 waits for 2, which waits for 3, but not for long yet.
  monitor.hear(1, waiting(Operation::receive, 0, 50 * kLimit, kGroup, 2));
  monitor.hear(2, waiting(Operation::receive, 0, 1, kGroup, 3));
  monitor.hear(0, computing(17));
  monitor.hear(3, waiting(Operation::send, 0, 1, kGroup, 2));
  CHECK_FALSE(monitor.lateness());
  // One that gets on does not hide one that does not.
  monitor.hear(0, waiting(Operation::all_gather, 12, kLimit));
  monitor.hear(1, waiting(Operation::all_gather, 12, kLimit));
  monitor.hear(2, computing(17));
  monitor.hear(3, computing(17, kLimit));
  REQUIRE(monitor.lateness());
  CHECK_THAT(*monitor.lateness(), StartsWith("rank 3 on n2 is behind"));
}

TEST_CASE("ranks of a replica wait for a leader that waits for work", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  monitor.hear(0, waiting(Operation::work, 0, 50 * kLimit));
  for (int rank = 1; rank < 4; ++rank) {
    monitor.hear(rank, waiting(Operation::receive, 0, 50 * kLimit, kGroup, (rank - 1) / 2));
  }
  CHECK_FALSE(monitor.lateness());
  CHECK_FALSE(monitor.stillness());
}

TEST_CASE("a rank that gets nothing done is named although nobody waits", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  monitor.hear(0, computing(17));
  monitor.hear(1, waiting(Operation::others, 0, 100 * kLimit));
  monitor.hear(3, waiting(Operation::work, 0, 100 * kLimit));
  RankState still = computing(17, kStillness * kLimit - 1);
  still.work = Phase::output;
  monitor.hear(2, still);
  CHECK_FALSE(monitor.stillness());
  ++still.ticks;
  monitor.hear(2, still);
  REQUIRE(monitor.stillness());
  CHECK_THAT(*monitor.stillness(),
             StartsWith("rank 2 on n2 has got nothing done for 90 s (3 x engine.watchdog_seconds), "
                        "in step 17, computing (output); the job ends here"));
  still.phase = JobPhase::loading;
  --still.ticks;  // a look later
  monitor.hear(0, still);
  CHECK_THAT(*monitor.stillness(),
             StartsWith("ranks 0, 2 on n1, n2 have got nothing done for 90 s (3 x "
                        "engine.watchdog_seconds), rank 0 is loading the weights"));
  monitor.excuse(0);
  monitor.excuse(2);
  CHECK_FALSE(monitor.stillness());
}

TEST_CASE("before hosts and groups are known, ranks are named without", "[roll-call]") {
  HeartbeatMonitor monitor({"", ""}, 2, kLimit, 30);
  RankState state = waiting(Operation::split, 1, kLimit, 0);
  state.phase = JobPhase::starting;
  monitor.hear(0, state);
  RankState late = computing(0, kLimit);
  late.phase = JobPhase::starting;
  monitor.hear(1, late);
  CHECK_THAT(*monitor.lateness(),
             StartsWith("rank 1 is behind, starting; rank 0 waits for it in the "
                        "making of a group 1 for 30 s"));
  monitor.introduce({"n1", "n2"});
  CHECK_THAT(*monitor.lateness(), StartsWith("rank 1 on n2 is behind"));
}

TEST_CASE("a rank alone watches itself", "[roll-call]") {
  const WatchTime time(30);
  CHECK(time.limit == 30);
  CHECK(WatchTime(5).limit == 10);
  constexpr std::uint64_t kWorld = 3;
  const auto stuck = [&](const RankState& state, int later = 0) {
    return stuck_alone(state, "rank 0 on n1", time, kWorld, later);
  };
  CHECK_FALSE(stuck(computing(4, 89)));
  CHECK_FALSE(stuck(computing(4, 90), 1));
  CHECK_THAT(stuck(computing(4, 90)).value(),
             StartsWith("rank 0 on n1 has got nothing done for 90 s"));
  RankState launching = computing(0, 90);
  launching.phase = JobPhase::launching;
  CHECK_THAT(stuck(launching).value(), Contains("in MPI_Init, which waits for all ranks"));
  CHECK_THAT(stuck(waiting(Operation::receive, 4, 30)).value(),
             StartsWith("rank 0 on n1: no answer for 30 s in receive"));
  CHECK_FALSE(stuck(waiting(Operation::receive, 4, 29)));
  CHECK_FALSE(stuck(waiting(Operation::barrier, 4, 1000, kWorld)));
  CHECK_FALSE(stuck(waiting(Operation::others, 0, 1000)));
  CHECK_FALSE(stuck_alone(computing(4, 1000), "rank 0", WatchTime(0), kWorld, 0));
}

TEST_CASE("when all are in one operation, it is the messages", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  for (int rank = 0; rank < 4; ++rank)
    monitor.hear(rank, waiting(Operation::all_to_all, 9, kLimit));
  CHECK_THAT(*monitor.lateness(), StartsWith("rank 0 on n1 waits in all-to-all 9 for 30 s"));
  CHECK_THAT(*monitor.lateness(), Contains("nobody is behind: messages do not arrive"));
}

TEST_CASE("finished replicas and claims wait as long as they like", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  monitor.hear(0, waiting(Operation::others, 0, 100 * kLimit));
  monitor.hear(1, waiting(Operation::work, 0, 100 * kLimit));
  monitor.hear(2, computing(1, 100 * kLimit));
  monitor.hear(3, computing(1, 100 * kLimit));
  CHECK_FALSE(monitor.lateness());
}

TEST_CASE("without a limit nobody is ever late", "[roll-call]") {
  HeartbeatMonitor monitor({"n1", "n1"}, 2, 0, 0);
  for (int look = 0; look < 1000; ++look) monitor.look();
  monitor.hear(0, waiting(Operation::all_gather, 1, 1000));
  CHECK_FALSE(monitor.silence());
  CHECK_FALSE(monitor.lateness());
}

TEST_CASE("progress is the sum over all", "[roll-call]") {
  HeartbeatMonitor monitor = four();
  RankState state = computing(1);
  state.progress = {.rows = 3,
                    .failed = 1,
                    .completion_tokens = 20,
                    .open = 2,
                    .open_tokens = 5,
                    .generated_tokens = 25};
  monitor.hear(0, state);
  monitor.hear(2, state);
  CHECK(monitor.progress().rows == 6);
  CHECK(monitor.progress().failed == 2);
  CHECK(monitor.progress().completion_tokens == 40);
  CHECK(monitor.progress().open == 4);
  CHECK(monitor.progress().open_tokens == 10);
  CHECK(monitor.progress().generated_tokens == 50);
}

TEST_CASE("an activity counts looks at the same wait only", "[roll-call]") {
  Activity activity;
  activity.begin_phase(JobPhase::running);
  {
    const Activity::Wait wait(activity, Operation::receive, 5, 6, 1);
    CHECK(activity.look().ticks == 0);
    CHECK(activity.look().ticks == 1);
    CHECK(activity.look().operation == Operation::receive);
    CHECK(activity.state().peer == 1);
  }
  CHECK(activity.look().ticks == 0);
  CHECK(activity.look().operation == Operation::none);
  CHECK(activity.state().group == 5);  // the latest
  activity.begin_step();
  CHECK(activity.look().ticks == 0);
  CHECK(activity.state().step == 1);
  CHECK(activity.look().ticks == 1);
  count_progress();
  CHECK(activity.look().ticks == 0);
  count_progress(Phase::ffn);
  CHECK(activity.look().ticks == 0);
  CHECK(describe(activity.look()) == "in step 1, computing (ffn)");
  CHECK(activity.state().ticks == 1);
  count_progress(Phase::other);
  {
    const Activity::Wait outer(activity, Operation::all_gather, 5, 7);
    {
      const Activity::Wait inner(activity, Operation::receive, 6, 0, 1);
      CHECK(activity.state().operation == Operation::all_gather);
    }
    CHECK(activity.state().operation == Operation::all_gather);
    CHECK(activity.state().call == 7);
  }
  CHECK(activity.state().operation == Operation::none);
}

}  // namespace weft::test
