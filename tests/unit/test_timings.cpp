#include "app/output/timings.h"

#include <hdf5.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "io/hdf5.h"
#include "temp_dir.h"

namespace {

using namespace weft;
using testing::TempDir;

RequestTiming request(std::int64_t index, std::int32_t run) {
  RequestTiming timing;
  timing.index = index;
  timing.queued = static_cast<double>(index);
  timing.first_token = static_cast<double>(index) + 0.25;
  timing.finished = static_cast<double>(index) + 0.5;
  timing.prompt_tokens = 7;
  timing.completion_tokens = index;
  timing.run = run;
  timing.finish_reason = 1;
  return timing;
}

/// One column of a table, as doubles, by the library.
std::vector<double> column(const std::filesystem::path& file, const char* table, const char* name) {
  const hid_t id = H5Fopen(file.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  REQUIRE(id >= 0);
  const hdf5::FileHandle handle(id, "file");
  const hdf5::DatasetHandle dataset(H5Dopen2(id, table, H5P_DEFAULT), table);
  const hdf5::SpaceHandle space(H5Dget_space(dataset.get()), table);
  std::vector<double> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())));
  const hdf5::TypeHandle type(H5Tcreate(H5T_COMPOUND, sizeof(double)), name);
  REQUIRE(H5Tinsert(type.get(), name, 0, H5T_NATIVE_DOUBLE) >= 0);
  REQUIRE(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
  return values;
}

}  // namespace

TEST_CASE("records of all runs and replicas become tables", "[timings]") {
  const TempDir dir;
  constexpr std::int64_t many = 40'000;  // above every buffer
  for (int run = 1; run <= 2; ++run) {
    RunLog runs(dir.path(), {.tp = 2, .pp = 1, .sp = 1, .ep = 1, .dp = 3});
    CHECK(runs.number() == run);
    for (int replica = 0; replica < 2; ++replica) {
      TimingLog log(dir.path(), replica);
      for (std::int64_t i = 0; i < many; ++i) log.add(request(i, run));
      StepTiming step;
      step.start = 1.5;
      step.decode_rows = 4;
      step.phases = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
      step.run = run;
      log.add(step);
      log.flush();
    }
    if (run == 2) runs.end(12.5, {{3, {5, 0, 7}}, {4, {6, 6, 0}}});
  }
  write_timings(dir.path());
  const auto file = dir / "timings.h5";
  CHECK_FALSE(std::filesystem::exists(dir / "timings.h5.tmp"));
  const std::vector<double> indices = column(file, "requests", "index");
  REQUIRE(indices.size() == 4 * many);
  CHECK(indices[many + 17] == 17);
  CHECK(column(file, "requests", "run")[many] == 2);
  CHECK(column(file, "requests", "first_token").back() == many - 1 + 0.25);
  CHECK(column(file, "requests", "completion_tokens")[5] == 5);
  CHECK(column(file, "steps", "ffn") == std::vector<double>(4, 3));
  CHECK(column(file, "steps", "other") == std::vector<double>(4, 10));
  CHECK(column(file, "steps", "decode_rows") == std::vector<double>(4, 4));
  CHECK(column(file, "runs", "run") == std::vector<double>{1, 2});
  CHECK(column(file, "runs", "seconds") == std::vector<double>{0, 12.5});
  CHECK(column(file, "experts", "run") == std::vector<double>(6, 2));
  CHECK(column(file, "experts", "layer") == std::vector<double>{3, 3, 3, 4, 4, 4});
  CHECK(column(file, "experts", "expert") == std::vector<double>{0, 1, 2, 0, 1, 2});
  CHECK(column(file, "experts", "tokens") == std::vector<double>{5, 0, 7, 6, 6, 0});
  CHECK(column(file, "runs", "dp") == std::vector<double>{3, 3});
  CHECK(column(file, "runs", "started")[0] > 1.6e9);

  std::int64_t visited = 0;
  visit_requests(dir.path(), [&](const RequestTiming& timing) { visited += timing.prompt_tokens; });
  CHECK(visited == 7 * 4 * many);
}

TEST_CASE("a torn record is cut off, the others stay", "[timings]") {
  const TempDir dir;
  {
    TimingLog log(dir.path(), 0);
    for (std::int64_t i = 0; i < 3; ++i) log.add(request(i, 1));
    log.flush();
  }
  const auto records = dir / "journal/timings/requests-0000.bin";
  std::filesystem::resize_file(records, 3 * sizeof(RequestTiming) - 1);
  write_timings(dir.path());
  CHECK(column(dir / "timings.h5", "requests", "index") == std::vector<double>{0, 1});
  {
    TimingLog log(dir.path(), 0);
    log.add(request(9, 2));
    log.flush();
  }
  write_timings(dir.path());
  CHECK(column(dir / "timings.h5", "requests", "index") == std::vector<double>{0, 1, 9});
}

TEST_CASE("a job without requests has tables without rows", "[timings]") {
  const TempDir dir;
  write_timings(dir.path());
  CHECK(column(dir / "timings.h5", "requests", "index").empty());
  CHECK(column(dir / "timings.h5", "steps", "start").empty());
}

TEST_CASE("a step's phases add up to its length", "[timings]") {
  Tracer tracer;
  const RunStart run{.number = 3, .zero = Tracer::now()};
  StepClock clock(tracer, run);
  { const Tracer::Scope scope(tracer, Phase::prefill); }
  {
    const Tracer::Scope scope(tracer, Phase::attention);
    while (run.seconds() < 0.003) continue;
  }
  EngineStats stats;
  stats.prefill_tokens = 10;
  stats.slices = 2;
  const StepTiming first = clock.next(stats, 1);
  CHECK(first.run == 3);
  CHECK(first.replica == 1);
  CHECK(first.prefill_rows == 10);
  CHECK(first.sequences == 2);
  CHECK(first.phases[1] > 0.002);
  stats.decode_tokens = 4;
  stats.slices = 5;
  const StepTiming second = clock.next(stats, 1);
  CHECK(second.prefill_rows == 0);
  CHECK(second.decode_rows == 4);
  CHECK(second.sequences == 3);
  CHECK(second.start >= first.start + 0.003);
  double sum = 0;
  for (const double seconds : first.phases) sum += seconds;
  CHECK(sum == Approx(first.seconds));
}

TEST_CASE("the first step ends where the second starts", "[timings]") {
  const auto pass = [](double seconds) {
    const std::int64_t end = Tracer::now() + static_cast<std::int64_t>(seconds * 1e9);
    while (Tracer::now() < end) continue;
  };
  Tracer tracer;
  const RunStart run{.number = 1, .zero = Tracer::now()};
  { const Tracer::Scope scope(tracer, Phase::load); }
  pass(0.005);  // in no phase, before the clock is there
  StepClock clock(tracer, run);
  StepTiming before;
  for (int i = 0; i < 3; ++i) {
    {
      const Tracer::Scope scope(tracer, Phase::decode);
      pass(0.001);
    }
    const StepTiming step = clock.next({}, 0);
    CHECK(step.seconds >= 0.001);
    if (i > 0) CHECK(step.start == Approx(before.start + before.seconds).margin(1e-7));
    before = step;
  }
}

TEST_CASE("the seconds of all runs are added up", "[timings]") {
  const TempDir dir;
  CHECK(total_of_runs(dir.path()).runs == 0);
  const Layout layout{.tp = 2, .pp = 1, .sp = 1, .ep = 1, .dp = 1};
  RunLog(dir.path(), layout).end(1.5, {});
  RunLog killed(dir.path(), layout);
  RunLog(dir.path(), layout).end(2.25, {});
  const RunsTotal total = total_of_runs(dir.path());
  CHECK(total.runs == 3);
  CHECK(total.killed == 1);
  CHECK(total.seconds == 3.75);
}
