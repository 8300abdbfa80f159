// Slurm's times, with a Slurm that is made up.
#include <string>

#include "app/job/slurm_time.h"
#include "base/error.h"
#include "catch.h"
#include "temp_dir.h"

namespace weft {
namespace {

TEST_CASE("Slurm's notation of durations", "[slurm]") {
  CHECK(slurm_duration("04:00:00") == 4 * 3600);
  CHECK(slurm_duration("15:30") == 15 * 60 + 30);
  CHECK(slurm_duration("1-00:00:00") == 86400);
  CHECK(slurm_duration("1-02") == 86400 + 2 * 3600);
  CHECK(slurm_duration("2-03:04") == 2 * 86400 + 3 * 3600 + 4 * 60);
  CHECK(slurm_duration("0:90:00") == 90 * 60);
  for (const char* other : {"", "15", "2h", "1-", "-1", "1:2:3:4", ":30", "30:", "1--2", "a:b",
                            "1-2:3:4:5", "99999999999:00", "1: 2"}) {
    CAPTURE(other);
    CHECK_FALSE(slurm_duration(other).has_value());
  }
}

/// A job that ends at 10000, of which squeue says `left`.
struct Job {
  std::string asked = {};
  const char* array = nullptr;
  const char* end = nullptr;
  std::string left = {};

  SlurmSources sources() {
    return {[this](const char* name) -> const char* {
              const std::string key = name;
              if (key == "SLURM_JOB_ID") return "42";
              if (key == "SLURM_ARRAY_JOB_ID" && array != nullptr) return "40";
              if (key == "SLURM_ARRAY_TASK_ID") return array;
              return key == "SLURM_JOB_END_TIME" ? end : nullptr;
            },
            [this](const std::string& job) {
              asked = job;
              return left;
            },
            1000};
  }
};

TEST_CASE("a job stops before Slurm's limit", "[slurm]") {
  Job job;
  job.end = "2000";
  CHECK(slurm_time_limit(job.sources()) == 900);  // a tenth less
  job.end = "10000";
  CHECK(slurm_time_limit(job.sources()) == 9000 - 120);
  CHECK(job.asked.empty());
  job.end = "900";
  CHECK(slurm_time_limit(job.sources()) == 0);
  job.end = nullptr;
  job.left = "1:00:00";
  CHECK(slurm_time_limit(job.sources()) == 3600 - 120);
  CHECK(job.asked == "42");
  job.array = "3";
  CHECK(slurm_time_limit(job.sources()) == 3600 - 120);
  CHECK(job.asked == "40_3");
  job.left = "UNLIMITED";
  CHECK_FALSE(slurm_time_limit(job.sources()).has_value());
}

TEST_CASE("a time limit of Slurm's that nobody tells is the user's mistake", "[slurm]") {
  Job job;
  job.left = "INVALID";
  CHECK_THROWS_AS(slurm_time_limit(job.sources()), UserError);
  job.array = "3;rm";
  CHECK_THROWS_AS(slurm_time_limit(job.sources()), UserError);
  const SlurmSources outside{[](const char*) -> const char* { return nullptr; },
                             [](const std::string&) { return "1:00"; }, 0};
  CHECK_THROWS_AS(slurm_time_limit(outside), UserError);
}

}  // namespace
}  // namespace weft
