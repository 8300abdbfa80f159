#include "comm/control/clock_offset.h"

#include <span>

#include "base/tracer.h"

namespace weft {
namespace {

constexpr int kMostRounds = 16;
constexpr int kLeastRounds = 3;
constexpr std::int64_t kPatience = 10'000'000;  ///< nanoseconds, then the least rounds are enough

/// A rank's question, and what it is answered with: rank 0's time.
struct Message {
  std::int64_t time = 0;
  std::int64_t last = 0;  ///< no other question follows
};

std::span<std::byte> bytes_of(Message& message) {
  return std::as_writable_bytes(std::span(&message, 1));
}

void answer(Group& world, int rank) {
  Message message;
  while (message.last == 0) {
    world.receive(bytes_of(message), rank);
    message.time = Tracer::now();
    world.start_send(bytes_of(message), rank);
    world.finish_sends();
  }
}

}  // namespace

ClockOffset measure_clock_offset(Group& world) {
  ClockOffset best;
  if (world.rank() == 0) {
    for (int rank = 1; rank < world.size(); ++rank) answer(world, rank);
    return best;
  }
  Message message;
  std::int64_t begin = 0;
  for (int round = 0; message.last == 0; ++round) {
    const std::int64_t sent = Tracer::now();
    // Rank 0 may still have been busy with others in the first round.
    if (round <= 1) begin = sent;
    const bool enough = round + 1 >= kLeastRounds && sent - begin > kPatience;
    message.last = enough || round + 1 == kMostRounds ? 1 : 0;
    world.start_send(bytes_of(message), 0);
    world.finish_sends();
    world.receive(bytes_of(message), 0);
    const std::int64_t half = (Tracer::now() - sent + 1) / 2;
    if (round == 0 || half < best.uncertainty) best = {message.time - (sent + half), half};
  }
  return best;
}

}  // namespace weft
