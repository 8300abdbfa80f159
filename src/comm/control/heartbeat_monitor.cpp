#include "comm/control/heartbeat_monitor.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace weft {
namespace {

constexpr const char* kAdvice = "the job ends here; run it again to go on";
/// Ranks that fell silent or still together reach a limit within so many looks of each other.
constexpr int kTogether = 2;

/// "0-2, 5".
std::string listed(std::span<const int> ranks) {
  std::string text;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (!text.empty()) text += ", ";
    text += last == i ? fmt::format("{}", ranks[i]) : fmt::format("{}-{}", ranks[i], ranks[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

std::string stillness_text(const std::string& who, double seconds, const std::string& doing,
                           bool several) {
  return fmt::format("{} {} got nothing done for {:g} s ({} x engine.watchdog_seconds), {}; {}",
                     who, several ? "have" : "has", kStillness * seconds, kStillness, doing,
                     kAdvice);
}

HeartbeatMonitor::HeartbeatMonitor(std::vector<std::string> hosts, int expected, int limit,
                                   double seconds)
    : hosts_(std::move(hosts)),
      expected_(expected),
      limit_(limit),
      seconds_(seconds),
      entries_(hosts_.size()) {
  std::vector<int>& all = groups_[0];
  all.resize(hosts_.size());
  std::iota(all.begin(), all.end(), 0);
}

void HeartbeatMonitor::add_group(std::uint64_t group, std::vector<int> members) {
  groups_[group] = std::move(members);
}

void HeartbeatMonitor::hear(int rank, const RankState& state) {
  Entry& entry = entries_[static_cast<std::size_t>(rank)];
  entry.state = state;
  entry.silent = 0;
  entry.heard = true;
}

void HeartbeatMonitor::excuse(int rank) { entries_[static_cast<std::size_t>(rank)].excused = true; }

void HeartbeatMonitor::look() {
  for (Entry& entry : entries_) ++entry.silent;
}

bool HeartbeatMonitor::waits(int rank) const {
  const Entry& it = entry(rank);
  return it.heard && it.state.operation != Operation::none && !is_patient(it.state.operation);
}

std::vector<int> HeartbeatMonitor::awaited_by(int rank) const {
  const auto group = groups_.find(entry(rank).state.group);
  if (!waits(rank) || group == groups_.end()) return {};
  const RankState& mine = entry(rank).state;
  const bool sends_to_one = mine.operation == Operation::send && mine.peer >= 0;
  if (mine.operation == Operation::receive || sends_to_one) {
    if (mine.peer < 0 || mine.peer >= static_cast<int>(group->second.size())) return {};
    return {group->second[static_cast<std::size_t>(mine.peer)]};
  }
  std::vector<int> awaited;
  for (const int member : group->second) {
    if (member == rank) continue;
    const RankState& other = entry(member).state;
    const bool has_come =
        is_collective(mine.operation) && other.group == mine.group && other.call >= mine.call;
    if (!has_come) awaited.push_back(member);
  }
  return awaited;
}

HeartbeatMonitor::Chains HeartbeatMonitor::chains_from(int rank) const {
  std::set<int> seen;
  std::set<int> still;
  Chains chains;
  std::vector<int> open = {rank};
  while (!open.empty()) {
    const int next = open.back();
    open.pop_back();
    if (!seen.insert(next).second) continue;
    const Entry& it = entry(next);
    if (!it.heard || it.excused || is_patient(it.state.operation) || it.state.ticks < limit_) {
      chains.move = true;
    } else if (it.state.operation == Operation::none) {
      still.insert(next);
    } else {
      const std::vector<int> awaited = awaited_by(next);
      open.insert(open.end(), awaited.begin(), awaited.end());
    }
  }
  chains.still.assign(still.begin(), still.end());
  return chains;
}

std::vector<int> HeartbeatMonitor::still_for(std::int64_t ticks) const {
  std::vector<int> found;
  for (int rank = 0; rank < expected_; ++rank) {
    const Entry& it = entry(rank);
    const bool computes = it.heard && !it.excused && it.state.operation == Operation::none;
    if (computes && it.state.ticks >= ticks) found.push_back(rank);
  }
  return found;
}

std::vector<int> HeartbeatMonitor::silent_for(int ticks) const {
  std::vector<int> found;
  for (int rank = 0; rank < expected_; ++rank) {
    if (entry(rank).silent >= ticks && !entry(rank).excused) found.push_back(rank);
  }
  return found;
}

std::optional<std::string> HeartbeatMonitor::silence(int later) const {
  if (limit_ <= 0 || silent_for(limit_ + later).empty()) return std::nullopt;
  return text_of_silence(silent_for(std::max(1, limit_ + later - kTogether)));
}

std::optional<std::string> HeartbeatMonitor::lateness() const {
  if (limit_ <= 0) return std::nullopt;
  for (int rank = 0; rank < expected_; ++rank) {
    if (!waits(rank) || entry(rank).state.ticks < limit_) continue;
    const Chains chains = chains_from(rank);
    if (!chains.still.empty() || !chains.move) return text_of_lateness(rank, chains.still);
  }
  return std::nullopt;
}

std::optional<std::string> HeartbeatMonitor::stillness() const {
  const std::int64_t ticks = std::int64_t{kStillness} * limit_;
  if (limit_ <= 0 || still_for(ticks).empty()) return std::nullopt;
  const std::vector<int> still = still_for(std::max<std::int64_t>(1, ticks - kTogether));
  const std::string doing = describe(entry(still.front()).state);
  return stillness_text(
      named(still, true), seconds_,
      still.size() == 1 ? doing : fmt::format("rank {} is {}", still.front(), doing),
      still.size() > 1);
}

Progress HeartbeatMonitor::progress() const {
  Progress sum;
  for (const Entry& each : entries_) {
    const Progress& part = each.state.progress;
    sum.rows += part.rows;
    sum.failed += part.failed;
    sum.completion_tokens += part.completion_tokens;
    sum.open += part.open;
    sum.open_tokens += part.open_tokens;
    sum.generated_tokens += part.generated_tokens;
  }
  return sum;
}

std::string HeartbeatMonitor::text_of_silence(std::span<const int> silent) const {
  std::string text =
      fmt::format("{} {} not been heard of for {:.0f} s (engine.watchdog_seconds)",
                  named(silent, true), silent.size() == 1 ? "has" : "have", seconds_);
  const int first = silent.front();
  if (!entry(first).heard) {
    text += "; never heard of before";
  } else if (silent.size() == 1) {
    text += fmt::format("; last seen {}", describe(entry(first).state));
  } else {
    text += fmt::format("; rank {} was last seen {}", first, describe(entry(first).state));
  }
  return text + waiters_of(silent) + "; " + kAdvice;
}

std::string HeartbeatMonitor::text_of_lateness(int waiting, const std::vector<int>& late) const {
  const RankState& state = entry(waiting).state;
  if (late.empty()) {
    return fmt::format(
        "{} waits in {} for {:.0f} s (engine.watchdog_seconds), and nobody is behind: messages "
        "do not arrive; {}",
        named(std::span(&waiting, 1), true), place_of(state), seconds_, kAdvice);
  }
  const int first = late.front();
  std::string text =
      late.size() == 1
          ? fmt::format("{} is behind, {}", named(late, true), describe(entry(first).state))
          : fmt::format("{} are behind; rank {} is {}", named(late, true), first,
                        describe(entry(first).state));
  std::string waiters = waiters_of(late);
  if (waiters.empty()) {  // they wait by way of others
    waiters =
        fmt::format("; {} waits in {}", named(std::span(&waiting, 1), false), place_of(state));
  }
  return text + waiters + fmt::format(" for {:.0f} s (engine.watchdog_seconds); ", seconds_) +
         kAdvice;
}

std::string HeartbeatMonitor::waiters_of(std::span<const int> ranks) const {
  std::vector<int> waiting;
  for (int rank = 0; rank < static_cast<int>(entries_.size()); ++rank) {
    const std::vector<int> awaited = awaited_by(rank);
    const bool waits_for_them = std::any_of(awaited.begin(), awaited.end(), [&](int one) {
      return std::find(ranks.begin(), ranks.end(), one) != ranks.end();
    });
    const bool is_one = std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
    if (!waits_for_them || is_one) continue;
    const RankState& state = entry(rank).state;
    const auto same = [&](int other) {
      return entry(other).state.operation == state.operation &&
             entry(other).state.call == state.call;
    };
    if (waiting.empty() || same(waiting.front())) waiting.push_back(rank);
  }
  if (waiting.empty()) return {};
  const RankState& state = entry(waiting.front()).state;
  return fmt::format("; {} wait{} for {} in {}", named(waiting, false),
                     waiting.size() == 1 ? "s" : "", ranks.size() == 1 ? "it" : "them",
                     place_of(state));
}

std::string HeartbeatMonitor::named(std::span<const int> ranks, bool hosts) const {
  std::string text = fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", listed(ranks));
  if (!hosts) return text;
  std::set<std::string> on;
  for (const int rank : ranks) on.insert(hosts_[static_cast<std::size_t>(rank)]);
  std::string names;
  for (const std::string& host : on) {
    if (!host.empty()) names += (names.empty() ? " on " : ", ") + host;
  }
  return text + names;
}

}  // namespace weft
