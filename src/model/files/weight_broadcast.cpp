#include "model/files/weight_broadcast.h"

#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/cancelled.h"
#include "base/digest.h"
#include "base/error.h"
#include "model/files/run_queue.h"

namespace weft {
namespace {

/// What comes before each run of rows.
struct Header {
  enum class Kind : std::int64_t {
    rows,    ///< `bytes` of rows follow
    end,     ///< all rows have come
    failed,  ///< the message of a UserError follows
    stopped,
  };
  Kind kind = Kind::rows;
  std::uint64_t task = 0;
  std::int64_t first_row = 0;
  std::int64_t row_count = 0;
  Bytes bytes = 0;
  Digest digest;
};

void announce(Group& peers, Header& header) {
  peers.broadcast(std::as_writable_bytes(std::span(&header, 1)), 0);
}

/// MPI's interface takes what is sent as writable; the first rank's bytes are only read.
ByteSpan as_sent(std::span<const std::byte> bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

// --- the rank that reads -------------------------------------------------------------------------

/// A run on its way: the thread that has read it waits for `sent`.
struct Outgoing {
  Header header;
  std::span<const std::byte> rows;
  std::shared_ptr<std::promise<void>> sent;
};

/// Has `sink` called while the run is sent; returns when both are done with its bytes.
void send_and_sink(RunQueue<Outgoing>& queue, const Header& header, std::span<const std::byte> rows,
                   const TaskSink& sink) {
  // Shared: the sending thread may still be inside set_value when this one goes on.
  auto sent = std::make_shared<std::promise<void>>();
  std::future<void> done = sent->get_future();
  queue.put({header, rows, std::move(sent)});
  try {
    sink(header.task, header.first_row, rows, header.row_count);
  } catch (...) {
    done.wait();
    throw;
  }
  done.get();
}

/// Sends runs until the queue is closed; when that fails, those that wait hear of it.
void send_all(Group& peers, RunQueue<Outgoing>& queue) {
  while (std::optional<Outgoing> run = queue.take()) {
    try {
      announce(peers, run->header);
      peers.broadcast(as_sent(run->rows), 0);
    } catch (...) {
      const std::exception_ptr error = std::current_exception();
      run->sent->set_exception(error);
      for (const Outgoing& left : queue.fail(error)) left.sent->set_exception(error);
      throw;
    }
    run->sent->set_value();
  }
}

void read_and_send(Group& peers, const std::function<void(const TaskSink&)>& read,
                   const TaskSink& sink) {
  RunQueue<Outgoing> queue;
  std::exception_ptr error;
  {
    const std::jthread reading([&] {
      try {
        read([&](std::size_t task, std::int64_t first, std::span<const std::byte> rows,
                 std::int64_t count) {
          const Header header{Header::Kind::rows, task, first, count, rows.size(), digest_of(rows)};
          send_and_sink(queue, header, rows, sink);
        });
      } catch (...) {
        error = std::current_exception();
      }
      queue.close();
    });
    send_all(peers, queue);
  }
  Header end{Header::Kind::end, 0, 0, 0, 0, {}};
  if (!error) return announce(peers, end);
  try {
    std::rethrow_exception(error);
  } catch (const UserError& mistake) {
    const std::string message = mistake.what();
    end.kind = Header::Kind::failed;
    end.bytes = message.size();
    announce(peers, end);
    peers.broadcast(as_sent(std::as_bytes(std::span(message))), 0);
    throw;
  } catch (const Cancelled&) {
    end.kind = Header::Kind::stopped;
    announce(peers, end);
    throw;
  }
}

// --- the ranks that receive ----------------------------------------------------------------------

/// Bytes that grow when they must.
struct Room {
  std::unique_ptr<std::byte[]> bytes;
  Bytes capacity = 0;

  ByteSpan first(Bytes count) {
    if (count > capacity) {
      bytes = std::make_unique_for_overwrite<std::byte[]>(count);
      capacity = count;
    }
    return {bytes.get(), count};
  }
};

struct Incoming {
  Header header;
  Room room;
};

/// Checks and hands out what has come, and gives its room back.
void unpack_all(RunQueue<Incoming>& queue, RunQueue<Room>& rooms, const TaskSink& sink) {
  try {
    while (std::optional<Incoming> run = queue.take()) {
      const Header& header = run->header;
      const std::span<const std::byte> rows = run->room.first(header.bytes);
      require(digest_of(rows) == header.digest, "weights were damaged on their way from replica 0");
      sink(header.task, header.first_row, rows, header.row_count);
      rooms.put(std::move(run->room));
    }
  } catch (...) {
    queue.fail(std::current_exception());
    rooms.fail(std::current_exception());
  }
}

/// Receives runs until the last one.
void receive_all(Group& peers, RunQueue<Incoming>& queue, RunQueue<Room>& rooms) {
  for (;;) {
    Header header;
    announce(peers, header);
    if (header.kind == Header::Kind::end) return;
    if (header.kind == Header::Kind::stopped) throw Cancelled();
    std::optional<Room> room = rooms.take();
    const ByteSpan bytes = room->first(header.bytes);
    peers.broadcast(bytes, 0);
    if (header.kind == Header::Kind::failed) {
      throw UserError(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    queue.put({header, std::move(*room)});
  }
}

void receive(Group& peers, int threads, const TaskSink& sink) {
  RunQueue<Incoming> queue;
  RunQueue<Room> rooms;
  std::exception_ptr error;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) {
      workers.emplace_back([&] { unpack_all(queue, rooms, sink); });
    }
    // One for each thread to work on, one that is being received.
    for (int i = 0; i <= threads; ++i) rooms.put({});
    try {
      receive_all(peers, queue, rooms);
    } catch (...) {
      error = std::current_exception();
    }
    queue.close();
  }
  if (error) std::rethrow_exception(error);
  queue.take();  // throws what the last runs were found to be
}

}  // namespace

void read_shared(Group& peers, int threads, const std::function<void(const TaskSink&)>& read,
                 const TaskSink& sink) {
  if (peers.size() == 1) return read(sink);
  if (peers.rank() == 0) return read_and_send(peers, read, sink);
  receive(peers, threads, sink);
}

}  // namespace weft
