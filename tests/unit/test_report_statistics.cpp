#include "app/report/statistics.h"

#include <cmath>

#include "app/report/scaling_table.h"
#include "catch.h"

namespace {

using namespace weft;

/// What scripts/report_statistics_reference.py prints, by SciPy; an interval of 0 is none.
struct StatisticsCase {
  std::vector<double> values;
  double median, variation, low, high;
};

const std::vector<StatisticsCase>& statistics_cases() {
  static const std::vector<StatisticsCase> cases = {
      {{1.504213, 0.469529, 0.965398, 1.092099, 1.31156}, 1.092099, 0.368106426515, 0, 0},
      {{0.982765, 0.899251, 0.622928, 0.373707, 1.399916, 1.108869},
       0.941008,
       0.402821613514,
       0.373707,
       1.399916},
      {{0.836981, 1.149787, 1.049719, 0.463146, 0.496347, 0.688027, 0.660057},
       0.688027,
       0.344288568835,
       0.463146,
       1.149787},
      {{0.950628, 1.129113, 0.530379, 1.375081, 1.257405, 0.776648, 1.073148, 1.409919, 0.675019},
       1.073148,
       0.304638407226,
       0.675019,
       1.375081},
      {{0.568054, 1.078234, 0.606629, 2.015977, 0.69361,  1.694756, 0.845925,
        1.675479, 0.431205, 0.420446, 0.549025, 0.720877, 1.484007, 1.194462,
        0.41393,  1.167432, 0.438798, 1.087882, 2.729851, 0.860127},
       0.853026,
       0.600883009313,
       0.568054,
       1.194462},
      {{0.875759, 1.24079,  1.076623, 1.598484, 2.039612, 1.680596, 0.706075, 1.258531, 1.418799,
        1.452191, 2.064772, 0.37735,  0.570427, 1.300177, 1.530336, 0.400956, 0.789414, 0.990499,
        0.877011, 0.779189, 1.330079, 1.216781, 0.372669, 1.703193, 1.174491, 0.67454,  1.869363,
        0.869872, 1.740172, 0.454598, 0.407637, 2.234012, 0.745866, 1.164966, 0.594147, 0.64347,
        0.487091, 1.343323, 1.093919, 3.732521, 1.275828},
       1.164966,
       0.551739944225,
       0.789414,
       1.330079},
  };
  return cases;
}

bool near(double a, double b) { return std::abs(a - b) <= 1e-9 * std::abs(b); }

/// A run on so many ranks that took that long.
RunRecord a_run(int ranks, double wall, const std::string& digest) {
  RunRecord run;
  run.directory = "run";
  run.digest = digest;
  run.summary = {{"contract", 3},
                 {"weft", "1"},
                 {"layout", {{"tp", ranks}, {"pp", 1}, {"sp", 1}, {"ep", 1}, {"dp", 1}}},
                 {"hosts", nlohmann::json::array()},
                 {"requests", {{"total", 8}, {"failed", 0}, {"resumed", 0}}},
                 {"tokens", {{"prompt", 100}, {"completion", 1000}}},
                 {"seconds", {{"wall", wall}, {"load", 0.0}}}};
  for (int rank = 0; rank < ranks; ++rank) run.summary["hosts"].push_back("host");
  return run;
}

}  // namespace

TEST_CASE("medians and intervals are SciPy's", "[report]") {
  for (const StatisticsCase& c : statistics_cases()) {
    const Repeats found = repeats_of(c.values);
    CAPTURE(found.count);
    CHECK(near(found.median, c.median));
    CHECK(near(found.variation, c.variation));
    REQUIRE(found.interval.has_value() == (c.low > 0));
    if (!found.interval) continue;
    CHECK(found.interval->low == c.low);
    CHECK(found.interval->high == c.high);
  }
}

TEST_CASE("one value and very many have their statistics", "[report]") {
  const Repeats one = repeats_of({2});
  CHECK(one.median == 2);
  CHECK(one.variation == 0);
  CHECK_FALSE(one.interval);
  std::vector<double> many;
  for (int i = 1; i <= 5000; ++i) many.push_back(i);
  const Repeats found = repeats_of(many);
  REQUIRE(found.interval);
  // About 2500 -+ 1.96 * sqrt(5000) / 2.
  CHECK(std::abs(found.interval->low - 2431) <= 2);
  CHECK(std::abs(found.interval->high - 2570) <= 2);
}

TEST_CASE("the serial fraction is Karp and Flatt's", "[report]") {
  CHECK(karp_flatt(4, 4) == 0);
  CHECK(near(karp_flatt(1, 4), 1));
  CHECK(near(karp_flatt(1 / (0.1 + 0.9 / 8), 8), 0.1));  // Amdahl's law turned round
}

TEST_CASE("repeats are brought together and compared with the base", "[report]") {
  std::vector<RunRecord> runs;
  for (int i = 0; i < 6; ++i) {
    runs.push_back(a_run(2, 5 + 0.01 * i, "d"));
    runs.push_back(a_run(1, 10 + 0.01 * i, "d"));
    runs.push_back(a_run(4, 4.98 + 0.02 * i, "d"));
  }
  const ScalingTable table = scaling_table(runs, "");
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[0].verdict == "base");
  const ScalingRow& two = table.rows[1];
  CHECK(two.configuration.ranks == 2);
  CHECK(two.wall.count == 6);
  CHECK(two.scaling == "strong");
  CHECK(near(two.speed_up, 10.025 / 5.025));
  CHECK(near(two.efficiency, 10.025 / 5.025 / 2));
  REQUIRE(two.serial_fraction);
  CHECK(near(two.node_hours, 5.025 / 3600 / 1e-3));
  CHECK(two.verdict == "faster");
  const ScalingTable other = scaling_table(runs, "tp=2");
  CHECK(other.base == 1);
  CHECK(other.rows[0].verdict == "slower");
  CHECK(other.rows[2].verdict == "not distinguishable");
  CHECK_THROWS(scaling_table(runs, "ranks=3"));
  CHECK_THROWS(scaling_table(runs, "ranks"));
}

TEST_CASE("runs of other digests have done other work", "[report]") {
  std::vector<RunRecord> runs = {a_run(1, 1, "d"), a_run(2, 1, "d")};
  REQUIRE(work_lines(runs).size() == 1);
  CHECK(work_lines(runs)[0].same);
  runs.push_back(a_run(4, 1, "e"));
  CHECK_FALSE(work_lines(runs)[0].same);
  runs[2].summary["contract"] = 2;
  CHECK_THROWS(check_one_contract(runs));
}
