// The ranks' service threads: claims, the wish to stop, progress, the end of all replicas; orders
// within a replica; one reading for many.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "app/work_queue.h"
#include "base/cancelled.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/parallel_for.h"
#include "comm/control/job_control.h"
#include "comm/mpi_group.h"
#include "comm/session.h"
#include "model/files/weight_broadcast.h"
#include "support/skip.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

bool never() { return false; }

using Clock = std::chrono::steady_clock;

/// Job control as `with_session` has it, in a process that has started MPI already.
struct Control : JobControl {
  explicit Control(double watchdog_seconds, bool threads = threads_may_call_mpi())
      : JobControl(watchdog_seconds, &never) {
    connect(threads);
    world = make_world();
  }
  std::unique_ptr<Group> world;
};

/// Whether it comes true within ten seconds.
template <class Condition>
bool comes_true(const Condition& condition) {
  const auto end = Clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Each rank's numbers, on every rank.
std::vector<std::int64_t> gathered(Group& group, const std::vector<std::int64_t>& mine) {
  std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(mine[0]));
  std::vector<std::int64_t> all;
  for (const std::string& text : gather_strings(group, bytes)) {
    const auto* numbers = reinterpret_cast<const std::int64_t*>(text.data());
    all.insert(all.end(), numbers, numbers + text.size() / sizeof(mine[0]));
  }
  return all;
}

/// Claims as a replica of one rank until nothing is left; slow ranks take longer for each.
std::vector<std::int64_t> claim_all(JobControl& control, std::chrono::microseconds each) {
  std::vector<std::int64_t> rows;
  while (!control.out_of_work()) {
    control.wait_for_work();
    const Range range = control.take_work();
    for (std::int64_t row = range.begin; row < range.end; ++row) {
      rows.push_back(row);
      std::this_thread::sleep_for(each);
    }
    Progress progress;
    progress.rows = static_cast<std::int64_t>(rows.size());
    control.activity().set_progress(progress);
  }
  return rows;
}

}  // namespace

TEST_CASE("every request is claimed by one replica", "[control]") {
  const auto world = make_world_group();
  for (const bool connects : {true, false}) {
    Control control(300, connects);
    CHECK(control.connected() == (connects && world->size() > 1));
    control.open_work({{0, 200}}, world->rank(), world->size());
    const int slowness = world->rank() == 0 ? 20 : 1;
    const std::vector<std::int64_t> mine =
        claim_all(control, std::chrono::microseconds(100 * slowness));
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    control.wait_for_others();
    std::vector<std::int64_t> all = gathered(*world, mine);
    std::sort(all.begin(), all.end());
    REQUIRE(all.size() == 200);
    for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == static_cast<std::int64_t>(i));
    if (!connects && world->size() > 1) {
      CHECK(mine[1] - mine[0] == world->size());  // fixed shares
    }
  }
}

TEST_CASE("one rank's wish to stop reaches all", "[control]") {
  const auto world = make_world_group();
  for (int asking : {0, world->size() - 1}) {
    Control control(300);
    CHECK_FALSE(control.stop_asked());
    world->barrier();
    if (world->rank() == asking) control.ask_to_stop();
    // A rank that waits for work does not wait on.
    control.open_work({}, world->rank(), world->size());
    CHECK(comes_true([&] { return world->size() == 1 || control.stop_asked(); }));
    control.wait_for_others();
  }
}

TEST_CASE("a stopped job ends the wait for work", "[control]") {
  const auto world = make_world_group();
  WEFT_SKIP_IF(world->size() == 1, "one rank");
  Control control(300);
  // There is no table: claims are put off until the job stops.
  if (world->rank() == world->size() - 1) control.ask_to_stop();
  if (world->rank() != 0) control.wait_for_work();
  CHECK(comes_true([&] { return control.stop_asked(); }));
}

TEST_CASE("rank 0 knows the progress of all", "[control]") {
  const auto world = make_world_group();
  Control control(300);
  Progress mine;
  mine.rows = world->rank() + 1;
  mine.completion_tokens = 10;
  control.activity().set_progress(mine);
  const std::int64_t ranks = world->size();
  if (world->rank() == 0) {
    CHECK(comes_true([&] { return control.progress().rows == ranks * (ranks + 1) / 2; }));
    CHECK(control.progress().completion_tokens == 10 * ranks);
  }
  control.wait_for_others();
}

TEST_CASE("a rank that computes longer than the watchdog's time is left alone", "[control]") {
  const auto world = make_world_group();
  WEFT_SKIP_IF(world->size() > 4, "so many threads on few cores may well be late");
  Control control(3);
  const auto group = control.watch(make_world_group());
  const Stopwatch clock;
  if (world->rank() == world->size() - 1) std::this_thread::sleep_for(std::chrono::seconds(4));
  control.wait_for_others();  // patiently
  group->barrier();
  // The watch, which would have ended the process, was there the whole time.
  CHECK(clock.seconds() >= 4);
  CHECK(control.connected() == (world->size() > 1));
  CHECK(gathered(*group, {1}).size() == static_cast<std::size_t>(world->size()));
}

TEST_CASE("a watched group works as the group it watches", "[control]") {
  const auto world = make_world_group();
  Control control(300);
  const auto group = control.watch(make_world_group());
  const auto half = group->split(group->rank() % 2);
  CHECK(half->rank() == world->rank() / 2);
  const std::vector<std::string> ranks = gather_strings(*half, std::to_string(world->rank()));
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    CHECK(ranks[i] == std::to_string(2 * static_cast<int>(i) + world->rank() % 2));
  }
  const RankState state = control.activity().state();
  CHECK(state.operation == Operation::none);
  CHECK(state.call == 2);  // lengths, then bytes
  // Groups have one name on all members, and one of their own.
  const std::vector<std::int64_t> names =
      gathered(*world, {static_cast<std::int64_t>(state.group)});
  for (std::size_t a = 0; a < names.size(); ++a) {
    for (std::size_t b = 0; b < names.size(); ++b) {
      CHECK((names[a] == names[b]) == (a % 2 == b % 2));
    }
  }
}

TEST_CASE("the ranks of a replica get the same directives", "[control]") {
  const auto world = make_world_group();
  Control control(300);
  const auto group = control.watch(make_world_group());
  control.open_work({{3, 8}, {10, 20}}, 0, 1);
  WorkQueue work_queue(*group, control);
  std::vector<std::int64_t> seen;
  for (int round = 0; round < 50; ++round) {
    const StepDirective directive = work_queue.next(round % 2 == 0, round == 0);
    seen.push_back(directive.requests.begin);
    seen.push_back(directive.requests.end);
    seen.push_back(directive.last ? 1 : 0);
    CHECK_FALSE(directive.stop);
  }
  CHECK(seen[0] == 3);
  CHECK(seen[1] == 20);
  CHECK(seen.back() == 1);
  const std::vector<std::int64_t> all = gathered(*world, seen);
  for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i] == seen[i % seen.size()]);
  // Only the leader decides to stop; the others hear of it in the round in which it does.
  if (world->rank() == 0) control.ask_to_stop();
  std::int64_t rounds = 0;
  while (!work_queue.next(false, false).stop) ++rounds;
  const std::vector<std::int64_t> counts = gathered(*world, {rounds});
  for (const std::int64_t count : counts) CHECK(count == rounds);
  group->finish_sends();
}

TEST_CASE("one rank reads, all receive", "[control]") {
  const auto world = make_world_group();
  const bool reads = world->rank() == 0;
  int readings = 0;
  std::vector<std::byte> received;
  std::vector<std::int64_t> firsts;
  read_shared(
      *world, 1,
      [&](const TaskSink& sink) {
        ++readings;
        for (std::int64_t run = 0; run < 5; ++run) {
          const std::vector<std::byte> rows(static_cast<std::size_t>(1000 * (run + 1)),
                                            static_cast<std::byte>(run));
          sink(7, run * 10, rows, run + 1);
        }
      },
      [&](std::size_t task, std::int64_t first, std::span<const std::byte> rows,
          std::int64_t count) {
        CHECK(task == 7);
        firsts.push_back(first);
        CHECK(rows.size() == static_cast<std::size_t>(1000 * count));
        received.insert(received.end(), rows.begin(), rows.end());
      });
  CHECK(readings == (reads ? 1 : 0));
  CHECK(firsts == std::vector<std::int64_t>{0, 10, 20, 30, 40});
  REQUIRE(received.size() == 15000);
  CHECK(received.front() == std::byte{0});
  CHECK(received.back() == std::byte{4});
}

TEST_CASE("a stop that one rank hears is everybody's", "[control]") {
  const auto world = make_world_group();
  for (const int hearing : {0, world->size() - 1}) {
    CHECK_FALSE(agree_unless_cancelled(*world, [&] {
      if (world->rank() == hearing) throw Cancelled();
    }));
    CHECK(agree_unless_cancelled(*world, [] {}));
    if (world->size() == 1) continue;
    // A mistake goes before it.
    CHECK_THROWS_WITH(agree_unless_cancelled(*world,
                                             [&] {
                                               if (world->rank() == hearing) throw Cancelled();
                                               fail_user("rank {}", world->rank());
                                             }),
                      hearing == 0 ? "rank 1" : "rank 0");
  }
  int runs = 0;
  CHECK_THROWS_AS(
      read_shared(
          *world, 1,
          [&](const TaskSink& sink) {
            sink(0, 0, std::vector<std::byte>(10), 1);
            throw Cancelled();
          },
          [&](std::size_t, std::int64_t, std::span<const std::byte>, std::int64_t) { ++runs; }),
      Cancelled);
  CHECK(runs == 1);
}

TEST_CASE("several threads read, all receive all", "[control]") {
  const auto world = make_world_group();
  constexpr std::size_t kTasks = 40;
  std::array<std::atomic<int>, kTasks> sums{};
  read_shared(
      *world, 3,
      [&](const TaskSink& sink) {
        parallel_for(3, kTasks, [&](int, std::size_t task) {
          const std::vector<std::byte> rows(1000 * task + 1, static_cast<std::byte>(task + 1));
          sink(task, static_cast<std::int64_t>(task), rows, 1);
        });
      },
      [&](std::size_t task, std::int64_t first, std::span<const std::byte> rows, std::int64_t) {
        for (const std::byte byte : rows) sums[task] += static_cast<int>(byte);
        sums[task] += static_cast<int>(first);
      });
  for (std::size_t task = 0; task < kTasks; ++task) {
    const auto number = static_cast<int>(task);
    CHECK(sums[task] == (1000 * number + 1) * (number + 1) + number);
  }
}

TEST_CASE("damage that one rank finds is everybody's", "[control]") {
  const auto world = make_world_group();
  std::atomic<int> runs = 0;
  CHECK_THROWS_WITH(
      read_shared(
          *world, 2,
          [&](const TaskSink& sink) {
            sink(0, 0, std::vector<std::byte>(10), 1);
            fail_user("shard.h5: damaged");
          },
          [&](std::size_t, std::int64_t, std::span<const std::byte>, std::int64_t) { ++runs; }),
      "shard.h5: damaged");
  CHECK(runs == 1);
}

}  // namespace weft::test
