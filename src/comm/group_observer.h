// Observers of what a group does: for time, traffic and the watch.
#pragma once

#include <memory>
#include <span>

#include "base/types.h"
#include "comm/control/activity.h"
#include "comm/group.h"

namespace weft {

/// A call of one of a group's operations. What an operation does not have is empty.
struct GroupCall {
  Operation operation = Operation::none;
  std::span<const Bytes> sent = {};      ///< all-to-all: to each rank
  std::span<const Bytes> received = {};  ///< all-gather and all-to-all: from each rank
  Bytes bytes = 0;                       ///< broadcast, send, receive
  int peer = -1;                         ///< broadcast: the root; send, receive: the other rank
};

/// Told of a group's calls on this rank. Sending has two parts: it is started, which `started` is
/// told, and finished, an operation of its own (Operation::send).
class GroupObserver {
 public:
  virtual ~GroupObserver() = default;

  /// Before and after an operation; after one that failed, too.
  virtual void begin(const GroupCall& call) = 0;
  virtual void end(const GroupCall& call) = 0;
  virtual void started(const GroupCall& /*send*/) {}
  /// The observer of a group that was split off.
  virtual std::unique_ptr<GroupObserver> of_part(Group& part) = 0;
};

/// The same group, with its calls told to an observer.
std::unique_ptr<Group> observed_group(std::unique_ptr<Group> group,
                                      std::unique_ptr<GroupObserver> observer);
/// The same for a group of someone else's, which must outlive it.
std::unique_ptr<Group> observed_group(Group& group, std::unique_ptr<GroupObserver> observer);

}  // namespace weft
