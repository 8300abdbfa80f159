// What ends long work when the job is asked to stop.
#pragma once

#include <stdexcept>

namespace weft {

/// Thrown out of work that is not done step by step when the job is asked to stop meanwhile:
/// nothing has failed.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("stopped on request") {}
};

}  // namespace weft
