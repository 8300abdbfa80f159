// The communicator interface over MPI: every byte arrives where it should.
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "comm/mpi_group.h"
#include "comm/session.h"
#include "support/rendezvous_group.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// The byte that rank `from` sends to rank `to` at offset `i`.
std::byte expected(int from, int to, Bytes i) {
  return static_cast<std::byte>((static_cast<Bytes>(from) * 31 + static_cast<Bytes>(to) * 7 + i) &
                                0xffU);
}

/// Uneven on purpose; some counts are zero.
Bytes count_of(int from, int to) { return static_cast<Bytes>((from * 5 + to * 3) % 7) * 100; }

}  // namespace

TEST_CASE("all_gather joins uneven pieces in rank order", "[group]") {
  const auto world = make_world_group();
  std::vector<Bytes> counts;
  Bytes total = 0;
  for (int rank = 0; rank < world->size(); ++rank) {
    counts.push_back(count_of(rank, 0));
    total += counts.back();
  }
  std::vector<std::byte> mine(counts[static_cast<std::size_t>(world->rank())]);
  for (Bytes i = 0; i < mine.size(); ++i) mine[i] = expected(world->rank(), 0, i);
  std::vector<std::byte> all(total, std::byte{0xEE});
  world->all_gather(mine, all, counts);
  Bytes at = 0;
  for (int rank = 0; rank < world->size(); ++rank) {
    for (Bytes i = 0; i < counts[static_cast<std::size_t>(rank)]; ++i) {
      REQUIRE(all[at++] == expected(rank, 0, i));
    }
  }
}

TEST_CASE("all_to_all delivers each piece to its rank", "[group]") {
  const auto world = make_world_group();
  const int me = world->rank();
  std::vector<Bytes> out;
  std::vector<Bytes> in;
  std::vector<std::byte> send;
  Bytes total = 0;
  for (int rank = 0; rank < world->size(); ++rank) {
    out.push_back(count_of(me, rank));
    in.push_back(count_of(rank, me));
    total += in.back();
    for (Bytes i = 0; i < out.back(); ++i) send.push_back(expected(me, rank, i));
  }
  std::vector<std::byte> received(total);
  world->all_to_all(send, out, received, in);
  Bytes at = 0;
  for (int rank = 0; rank < world->size(); ++rank) {
    for (Bytes i = 0; i < in[static_cast<std::size_t>(rank)]; ++i) {
      REQUIRE(received[at++] == expected(rank, me, i));
    }
  }
}

TEST_CASE("broadcast and split", "[group]") {
  const auto world = make_world_group();
  std::vector<std::byte> bytes(1000);
  const int root = world->size() - 1;
  if (world->rank() == root) {
    for (Bytes i = 0; i < bytes.size(); ++i) bytes[i] = expected(root, 0, i);
  }
  world->broadcast(bytes, root);
  for (Bytes i = 0; i < bytes.size(); ++i) REQUIRE(bytes[i] == expected(root, 0, i));

  const auto half = world->split(world->rank() % 2);
  REQUIRE(half->rank() == world->rank() / 2);
  REQUIRE(half->size() == (world->size() + (world->rank() % 2 == 0 ? 1 : 0)) / 2);
  const std::vector<std::string> ranks =
      gather_strings(*half, std::string(static_cast<std::size_t>(world->rank()), 'x'));
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    REQUIRE(ranks[i].size() == 2 * i + static_cast<std::size_t>(world->rank() % 2));
  }
}

TEST_CASE("counts that do not fit the buffers are refused", "[group]") {
  const auto world = make_world_group();
  std::vector<std::byte> four(4);
  const std::vector<Bytes> five = equal_counts(*world, 5);
  REQUIRE_THROWS_AS(world->all_gather(four, four, five), Error);
}

TEST_CASE("a mistake of one rank is everybody's", "[session]") {
  const auto world = make_world_group();
  const int guilty = world->size() - 1;
  REQUIRE_THROWS_WITH(agree(*world,
                            [&] {
                              if (world->rank() == guilty) fail_user("from rank {}", guilty);
                            }),
                      "from rank " + std::to_string(guilty));
  REQUIRE_NOTHROW(agree(*world, [] {}));
  const HostShare share = host_share(*world);
  REQUIRE(share.ranks == world->size());
  REQUIRE(share.rank == world->rank());
}

TEST_CASE("messages arrive in order, while the sender goes on", "[group]") {
  const auto world = make_world_group();
  const int me = world->rank();
  const int next = (me + 1) % world->size();
  const int before = (me + world->size() - 1) % world->size();
  // Larger than what MPI buffers: every rank must be able to send before anybody receives.
  constexpr Bytes kLong = Bytes{1} << 20;
  std::vector<std::byte> first(kLong);
  std::vector<std::byte> second(3);
  for (Bytes i = 0; i < first.size(); ++i) first[i] = expected(me, next, i);
  for (Bytes i = 0; i < second.size(); ++i) second[i] = expected(me, next, i + 100);
  world->start_send(first, next);
  world->start_send(second, next);
  std::vector<std::byte> received(kLong);
  world->receive(received, before);
  CHECK(received[kLong - 1] == expected(before, me, kLong - 1));
  std::vector<std::byte> tail(3);
  world->receive(tail, before);
  CHECK(tail[0] == expected(before, me, 100));
  world->finish_sends();
  // A message of another length than expected is an error, not a silent cut.
  world->start_send(second, me);
  CHECK_THROWS_AS(world->receive(received, me), Error);
  world->finish_sends();
}

TEST_CASE("the oldest send can be finished while later ones are not", "[group]") {
  const Deadline deadline(60);
  for (const bool buffered : {true, false}) {
    const auto group = buffered ? make_world_group() : make_rendezvous_group(make_world_group());
    const int me = group->rank();
    const int next = (me + 1) % group->size();
    const int before = (me + group->size() - 1) % group->size();
    std::vector<std::vector<std::byte>> sent(3, std::vector<std::byte>(Bytes{1} << 20));
    std::vector<SendTicket> tickets;
    for (std::vector<std::byte>& bytes : sent) {
      for (Bytes i = 0; i < bytes.size(); ++i) bytes[i] = expected(me, next, i + tickets.size());
      tickets.push_back(group->start_send(bytes, next));
    }
    CHECK(tickets == std::vector<SendTicket>{1, 2, 3});
    group->finish_sends(0);  // no send at all: nobody has received anything
    std::vector<std::byte> received(sent[0].size());
    for (std::size_t i = 0; i < sent.size(); ++i) {
      group->receive(received, before);
      CHECK(received[17] == expected(before, me, 17 + i));
      group->finish_sends(tickets[i]);
      sent[i].assign(sent[i].size(), std::byte{0xEE});
      group->barrier();
    }
    group->finish_sends(tickets[0]);  // is finished already
    group->finish_sends();
  }
}

}  // namespace weft::test
