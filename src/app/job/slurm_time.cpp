#include "app/job/slurm_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <system_error>
#include <vector>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::int64_t kMinute = 60;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr std::int64_t kDay = 24 * kHour;
constexpr double kMostSpare = 120;  ///< seconds

/// Plain digits, few enough not to overflow.
std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  if (text.empty() || text.size() > 9 || text.front() == '-') return std::nullopt;
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  return status == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

/// The numbers between colons; nothing when one is none.
std::optional<std::vector<std::int64_t>> numbers(std::string_view text) {
  std::vector<std::int64_t> all;
  for (;;) {
    const std::size_t colon = text.find(':');
    const auto next = number(text.substr(0, colon));
    if (!next) return std::nullopt;
    all.push_back(*next);
    if (colon == std::string_view::npos) return all;
    text.remove_prefix(colon + 1);
  }
}

/// The first line that a command prints; empty when it fails.
std::string first_line_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::array<char, 256> line{};
  if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return {};
  std::string text = line.data();
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\r'; };
  text.erase(std::remove_if(text.begin(), text.end(), is_space), text.end());
  return text;
}

/// The job as squeue knows it: of an array the task.
std::string job_name(const SlurmSources& sources) {
  const char* job = sources.variable("SLURM_JOB_ID");
  const char* array = sources.variable("SLURM_ARRAY_JOB_ID");
  const char* task = sources.variable("SLURM_ARRAY_TASK_ID");
  if (job == nullptr) fail_user("run.time_limit is slurm, but this is no job of Slurm's");
  const std::string name =
      array != nullptr && task != nullptr ? fmt::format("{}_{}", array, task) : std::string(job);
  if (name.find_first_not_of("0123456789_") != std::string::npos) {
    fail_user("run.time_limit is slurm, but the job's number is not one ('{}')", name);
  }
  return name;
}

}  // namespace

std::optional<std::int64_t> slurm_duration(std::string_view text) {
  const std::size_t dash = text.find('-');
  const bool has_days = dash != std::string_view::npos;
  std::int64_t total = 0;
  if (has_days) {
    const auto days = number(text.substr(0, dash));
    if (!days) return std::nullopt;
    total = *days * kDay;
    text.remove_prefix(dash + 1);
  }
  const auto parts = numbers(text);
  if (!parts || parts->size() > 3 || (!has_days && parts->size() < 2)) return std::nullopt;
  // With days the first number is hours, without them it is so only when there are three.
  std::int64_t unit = has_days || parts->size() == 3 ? kHour : kMinute;
  for (const std::int64_t part : *parts) {
    total += part * unit;
    unit /= 60;
  }
  return total;
}

SlurmSources own_slurm_sources() {
  return {[](const char* name) { return std::getenv(name); },
          [](const std::string& job) {
            return first_line_of("squeue --noheader --format=%L --jobs=" + job + " 2>/dev/null");
          },
          static_cast<std::int64_t>(std::time(nullptr))};
}

std::optional<double> slurm_time_limit(const SlurmSources& sources) {
  const std::string job = job_name(sources);
  std::optional<std::int64_t> left;
  const char* const known = sources.variable("SLURM_JOB_END_TIME");
  const std::int64_t end = known == nullptr ? 0 : std::strtoll(known, nullptr, 10);
  if (end > 0) {
    left = end - sources.now;
  } else {
    const std::string answer = sources.ask(job);
    if (answer == "UNLIMITED" || answer == "NOT_SET") return std::nullopt;
    left = slurm_duration(answer);
    if (!left) {
      fail_user(
          "run.time_limit is slurm, but squeue does not say how much time job {} has left: write "
          "a duration, or export SLURM_JOB_END_TIME (seconds since 1970)",
          job);
    }
  }
  const auto seconds = static_cast<double>(std::max<std::int64_t>(0, *left));
  return seconds - std::min(kMostSpare, seconds / 10);
}

}  // namespace weft
