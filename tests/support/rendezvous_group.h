// A group whose sends are finished when they have been received, and not before.
#pragma once

#include <memory>

#include "comm/group.h"

namespace weft::test {

/// The same group, and those that are split off, without any buffering: what an implementation of
/// `Group` may do at worst. Every rank of `group` must call it.
std::unique_ptr<Group> make_rendezvous_group(std::unique_ptr<Group> group);

/// Ends the process by SIGALRM when it lives for `seconds`: a test that waits in a circle.
class Deadline {
 public:
  explicit Deadline(unsigned seconds);
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline();
};

}  // namespace weft::test
