// A queue between the thread that talks to other ranks and those that read or pack.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

namespace weft {

/// First in, first out, for any number of threads, until it is closed or one of them has failed.
template <class T>
class RunQueue {
 public:
  /// Throws what was given to `fail`.
  void put(T item) {
    const std::lock_guard lock(mutex_);
    if (error_) std::rethrow_exception(error_);
    items_.push_back(std::move(item));
    changed_.notify_one();
  }

  /// The next item, once there is one; nothing when the queue is closed and empty. Throws what was
  /// given to `fail`.
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !items_.empty() || closed_ || error_; });
    if (error_) std::rethrow_exception(error_);
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

  /// Nothing more will be put in.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  /// Everybody who puts or takes from now on, or is waiting, throws `error`: the first one given.
  /// Returns what nobody will take.
  std::deque<T> fail(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    changed_.notify_all();
    return std::exchange(items_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool closed_ = false;
  std::exception_ptr error_;
};

}  // namespace weft
