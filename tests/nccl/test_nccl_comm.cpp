// What a communicator does when something goes wrong. What ends the process runs in one of its own.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "catch.h"
#include "fake_nccl.h"

namespace weft::testing {
namespace {

using Stream = FakeMarks::Stream;

struct Ended {
  int status = -1;
  std::string text;  ///< on the error stream
  double seconds = 0;
};

/// Runs `run` in a process that is forked off, and exits with 0 behind it.
Ended in_child(const std::function<void()>& run) {
  const Stopwatch watch;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    run();
    std::_Exit(0);
  }
  close(ends[1]);
  Ended ended;
  char buffer[256];
  for (ssize_t count = 0; (count = read(ends[0], buffer, sizeof(buffer))) > 0;) {
    ended.text.append(buffer, static_cast<std::size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  ended.seconds = watch.seconds();
  return ended;
}

/// A communicator of one rank.
struct Alone {
  explicit Alone(double deadline) {
    setting.deadline = deadline;
    comm = std::make_unique<NcclComm>(setting, "tp (rank 0 of 1)");
  }
  void start() {
    ncclUniqueId id{};
    fake_nccl_api().GetUniqueId(&id);
    comm->start(1, 0, id);
  }
  void gather(const char* operation = "all_gather") {
    comm->run(operation, [&] {
      comm->check_call(
          fake_nccl_api().AllGather(from, to, sizeof(from), ncclInt8, comm->get(), nullptr));
    });
  }
  std::shared_ptr<FakeMarks> marks = std::make_shared<FakeMarks>();
  NcclSetting setting{fake_nccl_api(), marks, 0, "rank 5 of 8 on node7"};
  std::unique_ptr<NcclComm> comm;
  char from[4] = {1, 2, 3, 4};
  char to[4] = {};
};

void rest(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a communicator starts, works and ends while calls are in progress", "[nccl]") {
  nccl_script().reset();
  nccl_script().in_progress = 5;
  Alone alone(30);
  alone.start();
  alone.gather();
  CHECK(alone.to[3] == 4);
  rest(0.2);
  CHECK(alone.marks->threads == 1);  // the watcher has made the device its own
  CHECK(alone.marks->out == 0);      // it has seen the operation done
  alone.comm.reset();
  CHECK(nccl_script().aborts == 0);
}

TEST_CASE("a start that does not end ends the process", "[nccl]") {
  nccl_script().reset();
  const Ended ended = in_child([] {
    nccl_script().stuck = true;
    Alone(0.3).start();
  });
  CHECK(ended.status == 1);
  CHECK(contains(ended.text, "weft: error: rank 5 of 8 on node7: ncclCommInitRankConfig"));
  CHECK(contains(ended.text, "no end in 0.3 s"));
  CHECK(ended.seconds < 5);
}

TEST_CASE("an operation that does not end is named with its group and number", "[nccl]") {
  nccl_script().reset();
  const Ended ended = in_child([] {
    Alone alone(0.5);
    alone.start();
    alone.gather();
    rest(0.2);
    alone.marks->stream = Stream::stands;
    alone.gather("broadcast");
    alone.gather();
    rest(20);
  });
  CHECK(ended.status == 1);
  CHECK(contains(ended.text,
                 "rank 5 of 8 on node7: broadcast (number 2) in group tp (rank 0 of 1): no end in "
                 "0.5 s"));
  CHECK(ended.seconds < 10);
}

TEST_CASE("a replay is watched as one operation, a recording is not", "[nccl]") {
  nccl_script().reset();
  const Ended ended = in_child([] {
    Alone alone(0.5);
    alone.start();
    alone.marks->stream = Stream::stands;
    for (int operation = 0; operation < 2; ++operation) {
      alone.comm->record("all_gather", [&] { alone.comm->check_call(ncclSuccess); });
    }
    rest(0.8);
    if (alone.marks->out != 0) std::_Exit(2);
    alone.comm->replayed();
    rest(20);
  });
  CHECK(ended.status == 1);
  CHECK(contains(ended.text,
                 "rank 5 of 8 on node7: recorded step (number 1) in group tp (rank 0 of 1): no end "
                 "in 0.5 s"));
}

TEST_CASE("errors of the library and of the device end the process", "[nccl]") {
  nccl_script().reset();
  const Ended remote = in_child([] {
    Alone alone(0);
    alone.start();
    alone.marks->stream = Stream::stands;
    alone.gather();
    nccl_script().error = ncclRemoteError;
    rest(20);
  });
  CHECK(remote.status == 1);
  CHECK(contains(remote.text, "all_gather (number 1)"));
  CHECK(contains(remote.text, "a remote process has ended"));
  const Ended device = in_child([] {
    Alone alone(0);
    alone.start();
    alone.marks->stream = Stream::fails;
    alone.gather();
    rest(20);
  });
  CHECK(device.status == 1);
  CHECK(contains(device.text, "the device has failed"));
}

TEST_CASE("a process ends although aborting does not", "[nccl]") {
  nccl_script().reset();
  const Ended ended = in_child([] {
    Alone alone(0.2);
    alone.start();
    alone.marks->stream = Stream::stands;
    nccl_script().abort_hangs = true;
    alone.gather();
    // The main thread goes on meanwhile, and is not kept waiting by the watcher.
    for (int i = 0; i < 100; ++i) {
      alone.gather();
      rest(0.01);
    }
    rest(60);
  });
  CHECK(ended.status == 1);
  CHECK(ended.seconds >= NcclComm::kAbortSeconds);
  CHECK(ended.seconds < NcclComm::kAbortSeconds + 20);
}

TEST_CASE("an operation's time begins when the one before it is done", "[nccl]") {
  nccl_script().reset();
  const Ended ended = in_child([] {
    Alone alone(2);
    alone.start();
    alone.marks->stream = Stream::stands;
    alone.gather();
    alone.gather();
    rest(1.3);
    alone.marks->until = 1;
    rest(1.3);  // the second one is on the stream for longer than it may take
    alone.marks->until = 2;
    rest(0.3);
    alone.comm.reset();
  });
  CHECK(ended.status == 0);
  CHECK(ended.text.empty());
}

TEST_CASE("a call that fails leaves no group open, and the communicator is aborted", "[nccl]") {
  nccl_script().reset();
  const auto failing = [] {
    Alone alone(30);
    alone.start();
    alone.comm->run("send", [&] {
      nccl_script().send_fails = ncclSystemError;
      alone.comm->check_call(
          fake_nccl_api().Send(alone.from, 4, ncclInt8, 0, alone.comm->get(), nullptr));
    });
  };
  std::string message;
  try {
    failing();
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(contains(message, "rank 5 of 8 on node7: send (number 1) in group tp"));
  CHECK(contains(message, "a system error: scripted"));
  CHECK(nccl_script().open_groups == 0);
  CHECK(nccl_script().aborts == 1);
  nccl_script().reset();
}

}  // namespace
}  // namespace weft::testing
