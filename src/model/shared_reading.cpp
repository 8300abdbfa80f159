#include "model/shared_reading.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "base/digest.h"
#include "base/error.h"
#include "base/stopped.h"

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

void read_and_send(Group& peers, const std::function<void(const RowSink&)>& read,
                   const RowSink& sink) {
  Header header;
  try {
    read([&](std::int64_t first, std::span<const std::byte> rows, std::int64_t count) {
      header = {Header::Kind::rows, first, count, rows.size(), digest_of(rows)};
      announce(peers, header);
      peers.broadcast(as_sent(rows), 0);
      sink(first, rows, count);
    });
  } catch (const UserError& error) {
    const std::string message = error.what();
    header = {Header::Kind::failed, 0, 0, message.size(), {}};
    announce(peers, header);
    peers.broadcast(as_sent(std::as_bytes(std::span(message))), 0);
    throw;
  } catch (const Stopped&) {
    header = {Header::Kind::stopped, 0, 0, 0, {}};
    announce(peers, header);
    throw;
  }
  header = {Header::Kind::end, 0, 0, 0, {}};
  announce(peers, header);
}

void receive(Group& peers, const RowSink& sink) {
  std::unique_ptr<std::byte[]> buffer;
  Bytes capacity = 0;
  for (;;) {
    Header header;
    announce(peers, header);
    if (header.kind == Header::Kind::end) return;
    if (header.kind == Header::Kind::stopped) throw Stopped();
    if (header.bytes > capacity) {
      buffer = std::make_unique_for_overwrite<std::byte[]>(header.bytes);
      capacity = header.bytes;
    }
    const std::span bytes(buffer.get(), header.bytes);
    peers.broadcast(bytes, 0);
    if (header.kind == Header::Kind::failed) {
      throw UserError(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    require(digest_of(bytes) == header.digest, "weights were damaged on their way from replica 0");
    sink(header.first_row, bytes, header.row_count);
  }
}

}  // namespace

void read_shared(Group& peers, const std::function<void(const RowSink&)>& read,
                 const RowSink& sink) {
  if (peers.size() == 1) return read(sink);
  if (peers.rank() == 0) return read_and_send(peers, read, sink);
  receive(peers, sink);
}

}  // namespace weft
