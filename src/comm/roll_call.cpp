#include "comm/roll_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace weft {
namespace {

constexpr const char* kAdvice = "the job ends here; run it again to go on";

bool is_collective(Operation operation) {
  switch (operation) {
    case Operation::all_gather:
    case Operation::all_to_all:
    case Operation::broadcast:
    case Operation::barrier:
      return true;
    default:
      return false;
  }
}

/// "all-gather 5012", "receive".
std::string place_of(const RankState& state) {
  if (!is_collective(state.operation)) return name(state.operation);
  return fmt::format("{} {}", name(state.operation), state.call);
}

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

RollCall::RollCall(std::vector<std::string> hosts, int expected, int limit, double seconds)
    : hosts_(std::move(hosts)),
      expected_(expected),
      limit_(limit),
      seconds_(seconds),
      entries_(hosts_.size()) {}

void RollCall::add_group(std::uint64_t group, std::vector<int> members) {
  groups_[group] = std::move(members);
}

void RollCall::hear(int rank, const RankState& state) {
  Entry& entry = entries_[static_cast<std::size_t>(rank)];
  entry.state = state;
  entry.silent = 0;
  entry.heard = true;
}

void RollCall::excuse(int rank) { entries_[static_cast<std::size_t>(rank)].excused = true; }

void RollCall::look() {
  for (Entry& entry : entries_) ++entry.silent;
}

bool RollCall::waits(int rank) const {
  const Entry& it = entry(rank);
  return it.heard && it.state.operation != Operation::none && !is_patient(it.state.operation);
}

std::vector<int> RollCall::awaited_by(int rank) const {
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

std::vector<int> RollCall::behind(int rank) const {
  std::set<int> seen;
  std::set<int> ends;
  std::vector<int> open = {rank};
  while (!open.empty()) {
    const int next = open.back();
    open.pop_back();
    if (!seen.insert(next).second) continue;
    const std::vector<int> awaited = awaited_by(next);
    if (!waits(next) && next != rank) ends.insert(next);
    open.insert(open.end(), awaited.begin(), awaited.end());
  }
  return {ends.begin(), ends.end()};
}

std::vector<int> RollCall::silent_for(int looks) const {
  std::vector<int> found;
  for (int rank = 0; rank < expected_; ++rank) {
    if (entry(rank).silent >= looks && !entry(rank).excused) found.push_back(rank);
  }
  return found;
}

std::optional<std::string> RollCall::silence() const {
  if (limit_ <= 0 || silent_for(limit_).empty()) return std::nullopt;
  // Ranks that fell silent together reach the limit within a look or two of each other.
  return text_of_silence(silent_for(std::max(1, limit_ - 2)));
}

std::optional<std::string> RollCall::lateness() const {
  if (limit_ <= 0) return std::nullopt;
  for (int rank = 0; rank < expected_; ++rank) {
    if (waits(rank) && entry(rank).state.looks >= limit_) return text_of_lateness(rank);
  }
  return std::nullopt;
}

Progress RollCall::progress() const {
  Progress sum;
  for (const Entry& each : entries_) {
    const Progress& part = each.state.progress;
    sum.rows += part.rows;
    sum.failed += part.failed;
    sum.prompt_tokens += part.prompt_tokens;
    sum.completion_tokens += part.completion_tokens;
  }
  return sum;
}

std::string RollCall::text_of_silence(std::span<const int> silent) const {
  std::string text =
      fmt::format("{} {} not been heard of for {:.0f} s (engine.watchdog_seconds)",
                  named(silent, true), silent.size() == 1 ? "has" : "have", seconds_);
  const int first = silent.front();
  if (!entry(first).heard) {
    text += "; never heard of before";
  } else if (silent.size() == 1) {
    text += fmt::format("; last seen {}", doing(first));
  } else {
    text += fmt::format("; rank {} was last seen {}", first, doing(first));
  }
  return text + waiters_of(silent) + "; " + kAdvice;
}

std::string RollCall::text_of_lateness(int waiting) const {
  const RankState& state = entry(waiting).state;
  const std::vector<int> late = behind(waiting);
  if (late.empty()) {
    return fmt::format(
        "{} waits in {} for {:.0f} s (engine.watchdog_seconds), and nobody is behind: messages "
        "do not arrive; {}",
        named(std::span(&waiting, 1), true), place_of(state), seconds_, kAdvice);
  }
  const int first = late.front();
  std::string text =
      late.size() == 1
          ? fmt::format("{} is behind, {}", named(late, true), doing(first))
          : fmt::format("{} are behind; rank {} is {}", named(late, true), first, doing(first));
  std::string waiters = waiters_of(late);
  if (waiters.empty()) {  // they wait by way of others
    waiters =
        fmt::format("; {} waits in {}", named(std::span(&waiting, 1), false), place_of(state));
  }
  return text + waiters + fmt::format(" for {:.0f} s (engine.watchdog_seconds); ", seconds_) +
         kAdvice;
}

std::string RollCall::waiters_of(std::span<const int> ranks) const {
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

std::string RollCall::doing(int rank) const {
  const RankState& state = entry(rank).state;
  switch (state.phase) {
    case JobPhase::starting:
      return "starting";
    case JobPhase::loading:
      return state.operation == Operation::none ? "loading the weights"
                                                : "waiting while weights are loaded";
    case JobPhase::finished:
      return "finished";
    case JobPhase::running:
      break;
  }
  if (state.operation == Operation::none) return fmt::format("in step {}, computing", state.step);
  return fmt::format("in step {}, waiting in {}", state.step, place_of(state));
}

std::string RollCall::named(std::span<const int> ranks, bool hosts) const {
  std::string text = fmt::format("rank{} {}", ranks.size() == 1 ? "" : "s", listed(ranks));
  if (!hosts) return text;
  std::set<std::string> on;
  for (const int rank : ranks) on.insert(hosts_[static_cast<std::size_t>(rank)]);
  std::string names;
  for (const std::string& host : on) names += (names.empty() ? "" : ", ") + host;
  return text + " on " + names;
}

}  // namespace weft
