// Who has been heard of, who waits for whom, and who is behind. Knows no MPI and no clock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/control/activity.h"

namespace weft {

/// A rank that computes, with nobody waiting for it, may be seen for that many times the watchdog's
/// time to get nothing done before the job ends.
inline constexpr int kStillness = 3;

/// "rank 3 on n2 has got nothing done for 900 s (3 x engine.watchdog_seconds), loading the weights;
/// …": `seconds` are the watchdog's.
std::string stillness_text(const std::string& who, double seconds, const std::string& doing,
                           bool several = false);

/// The table of one keeper: rank 0 keeps one of all ranks, the others one of rank 0.
///
/// Time is counted in looks, of which the keeper makes one each heartbeat: a job that is suspended
/// as a whole and resumed has not looked in between, and nobody is late.
class HeartbeatMonitor {
 public:
  /// `hosts`: of each rank, "" where it is not known. Only ranks below `expected` must be heard of;
  /// the keeper itself is told of with `hear` too. After `limit` looks something lasts too long,
  /// which is `seconds` for people; a limit of 0 is never reached.
  HeartbeatMonitor(std::vector<std::string> hosts, int expected, int limit, double seconds);

  /// The hosts of all ranks are known now.
  void introduce(std::vector<std::string> hosts) { hosts_ = std::move(hosts); }
  /// The members of a group, as ranks of the job. All ranks are group 0.
  void add_group(std::uint64_t group, std::vector<int> members);

  /// A heartbeat.
  void hear(int rank, const RankState& state);
  /// Nothing more will come from this rank, and nothing need come.
  void excuse(int rank);
  /// The keeper looks once.
  void look();

  /// Why the job cannot go on, for people: ranks that have not been heard of for too long, or
  /// `later` looks longer. Nothing while all is well.
  [[nodiscard]] std::optional<std::string> silence(int later = 0) const;
  /// The same: a rank that has waited too long for ranks that get nothing done, or for nobody.
  /// Those that get on are waited for, however slow they are.
  [[nodiscard]] std::optional<std::string> lateness() const;
  /// The same: ranks that nobody waits for and that have got nothing done kStillness times as long.
  [[nodiscard]] std::optional<std::string> stillness() const;

  /// The sum over all ranks.
  [[nodiscard]] Progress progress() const;

 private:
  struct Entry {
    RankState state;
    int silent = 0;  ///< looks since the last heartbeat
    bool heard = false;
    bool excused = false;
  };

  [[nodiscard]] const Entry& entry(int rank) const {
    return entries_[static_cast<std::size_t>(rank)];
  }
  [[nodiscard]] bool waits(int rank) const;
  /// Ranks that must come before the wait of `rank` can end; empty when it does not wait.
  [[nodiscard]] std::vector<int> awaited_by(int rank) const;
  /// Where the chains of waits that begin with a rank end.
  struct Chains {
    std::vector<int> still;  ///< ranks that compute and have got nothing done for too long
    bool move = false;       ///< some lead to a rank that gets on, or that may wait
  };
  [[nodiscard]] Chains chains_from(int rank) const;
  /// Ranks that compute and have got nothing done for so many looks.
  [[nodiscard]] std::vector<int> still_for(std::int64_t ticks) const;
  [[nodiscard]] std::vector<int> silent_for(int ticks) const;
  [[nodiscard]] std::string text_of_silence(std::span<const int> silent) const;
  /// `late`: the ranks that are behind.
  [[nodiscard]] std::string text_of_lateness(int waiting, const std::vector<int>& late) const;
  /// "; ranks 0-2 wait for it in all-gather 5012", or nothing.
  [[nodiscard]] std::string waiters_of(std::span<const int> ranks) const;
  /// "rank 3 on n2", "ranks 2-3 on n2", "ranks 1, 3".
  [[nodiscard]] std::string named(std::span<const int> ranks, bool hosts) const;

  std::vector<std::string> hosts_;
  int expected_;
  int limit_;
  double seconds_;
  std::vector<Entry> entries_;
  std::map<std::uint64_t, std::vector<int>> groups_;
};

}  // namespace weft
