#include "app/work_queue.h"

#include <span>

namespace weft {
namespace {

constexpr std::int64_t kStop = 1;
constexpr std::int64_t kLast = 2;

}  // namespace

Orders Agenda::next(bool wants, bool idle) {
  Orders orders;
  if (group_.rank() == 0) orders = decide(wants, idle);
  if (group_.size() > 1) tell(orders);
  return orders;
}

Orders Agenda::decide(bool wants, bool idle) {
  Orders orders;
  if (wants) control_.want_work();
  if (idle) control_.wait_for_work();
  orders.stop = control_.stop_asked();
  orders.requests = control_.take_work();
  orders.last = control_.out_of_work();
  return orders;
}

void Agenda::tell(Orders& orders) {
  const int me = group_.rank();
  group_.finish_sends();  // the round before: `message_` is free again
  if (me == 0) {
    message_ = {(orders.stop ? kStop : 0) | (orders.last ? kLast : 0), orders.requests.begin,
                orders.requests.end};
  } else {
    group_.receive(std::as_writable_bytes(std::span(message_)), (me - 1) / 2);
    orders.stop = (message_[0] & kStop) != 0;
    orders.last = (message_[0] & kLast) != 0;
    orders.requests = {message_[1], message_[2]};
  }
  for (const int child : {2 * me + 1, 2 * me + 2}) {
    if (child < group_.size()) group_.start_send(std::as_bytes(std::span(message_)), child);
  }
}

}  // namespace weft
