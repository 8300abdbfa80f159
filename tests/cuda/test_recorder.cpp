// Recorders of a GPU's operators: what is recorded, what a replay does, what makes room.
#include <functional>
#include <string>
#include <vector>

#include "base/device_clock.h"
#include "catch.h"
#include "compare.h"
#include "cuda/ops/recorded_sizes.h"

namespace weft::testing {
namespace {

constexpr StepSize kSize{4, 2};

/// A row that is chosen by an index in the operators' memory: what a body asks for, and the proof
/// of what it did.
struct Bench {
  explicit Bench(int most_graphs = 64) {
    GpuOptions options = options_of(1);
    options.most_graphs = most_graphs;
    ops = make_device(options);
    recorder = ops->make_recorder();
    table = array(*ops, {10, 11, 12, 13}, DType::f32, {4, 1});
    index = ints(*ops, {0});
    out = array(*ops, {-1}, DType::f32, {1, 1});
    other = array(*ops, {-1}, DType::f32, {1, 1});
  }

  void set_index(std::int32_t value) {
    ops->upload(std::as_bytes(std::span(&value, 1)), index.tensor);
  }
  /// What out has become, and that it is -1 again.
  float take(const Array& from) {
    const float value = floats_of(*ops, from)[0];
    const float cleared = -1;
    ops->upload(std::as_bytes(std::span(&cleared, 1)), from.tensor);
    return value;
  }
  bool gather(const StepSize& size, const Array& to) {
    return recorder->run(size, [&] {
      ++bodies;
      ops->gather_rows(table.tensor, index.tensor, to.tensor);
    });
  }

  std::unique_ptr<GpuOps> ops;
  std::unique_ptr<Recorder> recorder;
  Array table;
  Array index;
  Array out;
  Array other;
  int bodies = 0;
};

TEST_CASE("sizes that steps are padded to", "[cuda][recorder]") {
  constexpr StepSize kRoom{1000, 100};
  const auto rows = [&](std::int64_t count) { return recorded_size({count, 1}, kRoom)->rows; };
  const auto width = [&](std::int64_t count) {
    return recorded_size({1, count}, kRoom)->table_width;
  };
  std::vector<std::int64_t> edges;
  for (std::int64_t count = 1; count <= kMostRecordedRows; ++count) {
    REQUIRE(rows(count) >= count);
    if (edges.empty() || rows(count) != edges.back()) edges.push_back(rows(count));
  }
  CHECK(edges ==
        std::vector<std::int64_t>{1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512});
  edges.clear();
  for (std::int64_t count = 1; count <= kRoom.table_width; ++count) {
    REQUIRE(width(count) >= count);
    if (edges.empty() || width(count) != edges.back()) edges.push_back(width(count));
  }
  CHECK(edges == std::vector<std::int64_t>{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 100});
  CHECK(recorded_size({3, 5}, {3, 5}) == StepSize{3, 5});
  CHECK(!recorded_size({4, 5}, {3, 5}));
  CHECK(!recorded_size({3, 6}, {3, 5}));
  CHECK(!recorded_size({0, 1}, kRoom));
  CHECK(!recorded_size({513, 1}, kRoom));
}

TEST_CASE("the second step of a size is recorded, others repeat it", "[cuda][recorder]") {
  Bench bench;
  for (std::int32_t run = 0; run < 4; ++run) {
    bench.set_index(run);
    // A replay has the tensors of the recording, whatever later bodies would ask for.
    const bool called = bench.gather(kSize, run < 2 ? bench.out : bench.other);
    CHECK(called == (run < 2));
    CHECK(bench.take(bench.out) == 10.0F + static_cast<float>(run));
    CHECK(bench.take(bench.other) == -1.0F);
  }
  CHECK(bench.bodies == 2);
  // Another size is another recording.
  for (const StepSize& size :
       {StepSize{kSize.rows + 1, kSize.table_width}, StepSize{kSize.rows, kSize.table_width + 1}}) {
    for (int run = 0; run < 2; ++run) bench.gather(size, bench.other);
    CHECK(bench.take(bench.out) == -1.0F);
    CHECK(bench.take(bench.other) == 13.0F);
  }
  CHECK(bench.recorder->counts().recorded == 3);
  CHECK(bench.recorder->counts().replayed == 5);
  CHECK(bench.recorder->counts().dropped == 0);
}

TEST_CASE("all kinds of work on the device are repeated", "[cuda][recorder]") {
  Bench bench;
  for (int run = 0; run < 3; ++run) {
    bench.set_index(run);
    bench.recorder->run(kSize, [&] {
      bench.ops->gather_rows(bench.table.tensor, bench.index.tensor, bench.out.tensor);
      bench.ops->copy(bench.out.tensor, bench.other.tensor);
      bench.ops->clear(bench.out.tensor);
    });
    CHECK(bench.take(bench.other) == 10.0F + static_cast<float>(run));
    CHECK(bench.take(bench.out) == 0.0F);
  }
}

TEST_CASE("the recording that was not used for longest makes room", "[cuda][recorder]") {
  Bench bench(2);
  const StepSize a{1, 1};
  const StepSize b{2, 1};
  const StepSize c{4, 1};
  const auto called = [&](const StepSize& size) {
    const bool was_called = bench.gather(size, bench.out);
    CHECK(bench.take(bench.out) == 10.0F);
    return was_called;
  };
  for (const StepSize& size : {a, b, c}) CHECK(called(size));
  for (const StepSize& size : {a, b}) CHECK(called(size));
  CHECK(!called(a));
  CHECK(called(c));  // in place of b
  CHECK(!called(a));
  CHECK(!called(c));
  CHECK(called(b));  // in place of a, without another first run
  CHECK(!called(c));
  CHECK(called(a));
  CHECK(bench.recorder->counts().recorded == 5);
  CHECK(bench.recorder->counts().dropped == 3);
}

TEST_CASE("steps that copy between host and device are not recorded", "[cuda][recorder]") {
  Bench bench;
  const StepSize most{64, 64};
  CHECK(bench.recorder->padded({3, 1}, most) == StepSize{4, 1});
  for (std::int32_t run = 0; run < 3; ++run) {
    CHECK(bench.recorder->run(kSize, [&] {
      bench.set_index(run);
      bench.ops->gather_rows(bench.table.tensor, bench.index.tensor, bench.out.tensor);
    }));
    CHECK(bench.take(bench.out) == 10.0F + static_cast<float>(run));
    CHECK(!bench.recorder->padded({3, 1}, most));
  }
  CHECK(bench.recorder->counts().recorded == 0);
}

TEST_CASE("a body that cannot be recorded ends the recording", "[cuda][recorder]") {
  Bench bench;
  const std::vector<std::function<void()>> refused = {
      [&] { bench.set_index(1); }, [&] { (void)bench.take(bench.out); }, [&] { bench.ops->wait(); },
      [&] { const Buffer taken(bench.ops->memory(), 64); }};
  std::int64_t rows = 10;
  for (const auto& refuse : refused) {
    const StepSize size{++rows, 1};
    bench.gather(size, bench.out);
    CHECK(bench.take(bench.out) == 10.0F);
    CHECK(!bench.ops->recording());
    CHECK_THROWS_AS(bench.recorder->run(size,
                                        [&] {
                                          CHECK(bench.ops->recording());
                                          bench.ops->clear(bench.out.tensor);
                                          refuse();
                                        }),
                    Error);
    CHECK(!bench.ops->recording());
    CHECK(bench.take(bench.out) == -1.0F);  // what was recorded is forgotten
    CHECK(bench.gather(size, bench.out));
    CHECK(bench.take(bench.out) == 10.0F);
  }
}

TEST_CASE("whoever took part in a recording hears of each replay once", "[cuda][recorder]") {
  Bench bench;
  int first = 0;
  int second = 0;
  for (int run = 0; run < 5; ++run) {
    bench.recorder->run(kSize, [&] {
      bench.ops->gather_rows(bench.table.tensor, bench.index.tensor, bench.out.tensor);
      if (!bench.ops->recording()) return;
      for (int call = 0; call < 2; ++call) {
        bench.ops->note_recorded(&first, [&] { ++first; });
        bench.ops->note_recorded(&second, [&] { ++second; });
      }
    });
  }
  CHECK(first == 4);
  CHECK(second == 4);
  // Nothing of it is left for other recordings.
  for (int run = 0; run < 3; ++run) bench.gather({1, 1}, bench.out);
  CHECK(first == 4);
}

TEST_CASE("a repeated step is one stretch of the device's clock", "[cuda][recorder][phases]") {
  Bench bench;
  DeviceClock& clock = *bench.ops->clock();
  const auto gaps_of_run = [&] {
    clock.mark();
    bench.recorder->run(kSize, [&] {
      clock.mark();
      bench.ops->gather_rows(bench.table.tensor, bench.index.tensor, bench.out.tensor);
      clock.mark();
      bench.ops->gather_rows(bench.table.tensor, bench.index.tensor, bench.other.tensor);
    });
    clock.mark();
    bench.ops->wait();
    std::vector<std::int64_t> gaps;
    clock.read(gaps);
    return gaps;
  };
  const std::vector<std::int64_t> plain = gaps_of_run();
  REQUIRE(plain.size() == 4);
  CHECK(plain[3] > 0);
  const std::vector<std::int64_t> recorded = gaps_of_run();
  REQUIRE(recorded.size() == 4);
  CHECK(recorded[1] == 0);
  CHECK(recorded[2] == 0);
  CHECK(recorded[3] > 0);
  const std::vector<std::int64_t> replayed = gaps_of_run();
  REQUIRE(replayed.size() == 2);
  CHECK(replayed[1] > 0);
}

TEST_CASE("operators that record nothing run what they are given", "[cuda][recorder]") {
  GpuOptions options = options_of(1);
  options.graphs = false;
  const auto ops = make_device(options);
  CHECK(ops->recorder_bytes(10) == 0);
  const auto recorder = ops->make_recorder();
  CHECK(!recorder->padded({1, 1}, {8, 8}));
  for (int run = 0; run < 3; ++run) CHECK(recorder->run(kSize, [] {}));
  CHECK(make_gpu_sizes(false)->recorder_bytes(10) == 0);
  CHECK(make_gpu_sizes()->recorder_bytes(10) == make_device(1)->recorder_bytes(10));
}

}  // namespace
}  // namespace weft::testing
