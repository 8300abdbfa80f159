#include "app/work_queue.h"

#include <span>

namespace weft {
namespace {

constexpr std::int64_t kStop = 1;
constexpr std::int64_t kLast = 2;

}  // namespace

StepDirective WorkQueue::next(bool wants, bool idle) {
  StepDirective directive;
  if (group_.rank() == 0) directive = decide(wants, idle);
  if (group_.size() > 1) tell(directive);
  return directive;
}

StepDirective WorkQueue::decide(bool wants, bool idle) {
  StepDirective directive;
  if (wants) control_.want_work();
  if (idle) control_.wait_for_work();
  directive.stop = control_.stop_asked();
  directive.requests = control_.take_work();
  directive.last = control_.out_of_work();
  return directive;
}

void WorkQueue::tell(StepDirective& directive) {
  const int me = group_.rank();
  group_.finish_sends();  // the round before: `message_` is free again
  if (me == 0) {
    message_ = {(directive.stop ? kStop : 0) | (directive.last ? kLast : 0),
                directive.requests.begin, directive.requests.end};
  } else {
    group_.receive(std::as_writable_bytes(std::span(message_)), (me - 1) / 2);
    directive.stop = (message_[0] & kStop) != 0;
    directive.last = (message_[0] & kLast) != 0;
    directive.requests = {message_[1], message_[2]};
  }
  for (const int child : {2 * me + 1, 2 * me + 2}) {
    if (child < group_.size()) group_.start_send(std::as_bytes(std::span(message_)), child);
  }
}

}  // namespace weft
