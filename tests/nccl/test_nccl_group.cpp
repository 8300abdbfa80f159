// Groups over NCCL, with a fake of the library: what travels, on any number of ranks.
#include <algorithm>
#include <cstring>

#include "catch.h"
#include "comm/mpi_group.h"
#include "cuda/emulated/emulated_ops.h"
#include "cuda/nccl_group.h"
#include "fake_nccl.h"

namespace weft::testing {
namespace {

/// A group over the fake, and memory that it takes for a device's.
struct Bench {
  Bench() {
    nccl_script().reset();
    nccl_script().in_progress = 3;
    group = make_nccl_group(make_world_group(), *ops,
                            NcclSetting{fake_nccl_api(), marks, 60, "a rank"});
  }
  std::shared_ptr<FakeMarks> marks = std::make_shared<FakeMarks>();
  std::unique_ptr<GpuOps> ops = make_emulated_ops({});
  std::unique_ptr<Group> group;
};

/// `count` bytes that tell who made them.
void fill(ByteSpan bytes, int rank) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>((static_cast<std::size_t>(rank) * 31 + i) & 0xff);
  }
}
bool filled(ByteView bytes, int rank, std::size_t first = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] !=
        static_cast<std::byte>((static_cast<std::size_t>(rank) * 31 + first + i) & 0xff)) {
      return false;
    }
  }
  return true;
}

ByteSpan span_of(Buffer& buffer, Bytes first, Bytes count) {
  return {buffer.data() + first, count};
}

void check_all_gather(Bench& bench, Group& group, std::span<const Bytes> counts) {
  const auto me = static_cast<std::size_t>(group.rank());
  Bytes all = 0;
  for (const Bytes count : counts) all += count;
  Buffer memory(bench.ops->memory(), counts[me] + all + 1);
  const ByteSpan send = span_of(memory, 0, counts[me]);
  const ByteSpan recv = span_of(memory, counts[me] + 1, all);  // its end is the memory's
  fill(send, group.rank());
  group.all_gather(send, recv, counts);
  Bytes at = 0;
  for (int rank = 0; rank < group.size(); ++rank) {
    const Bytes count = counts[static_cast<std::size_t>(rank)];
    CHECK(filled(recv.subspan(at, count), rank));
    at += count;
  }
}

TEST_CASE("all_gather over NCCL, equal counts and others", "[nccl]") {
  Bench bench;
  const int size = bench.group->size();
  check_all_gather(bench, *bench.group, equal_counts(*bench.group, 12));
  const int operations = nccl_script().operations;
  CHECK(operations == 1);
  std::vector<Bytes> counts;
  for (int rank = 0; rank < size; ++rank) counts.push_back(static_cast<Bytes>(rank) * 5);
  check_all_gather(bench, *bench.group, counts);
  if (size > 1) CHECK(nccl_script().operations > operations);
  CHECK(nccl_script().open_groups == 0);
}

TEST_CASE("all_to_all over NCCL, a rank that gets nothing included", "[nccl]") {
  Bench bench;
  Group& group = *bench.group;
  // Rank r sends r + 1 bytes to every rank but the last, which gets none.
  const auto size = static_cast<std::size_t>(group.size());
  const bool last = group.rank() == group.size() - 1;
  std::vector<Bytes> send_counts(size, static_cast<Bytes>(group.rank()) + 1);
  if (size > 1) send_counts.back() = 0;
  std::vector<Bytes> recv_counts;
  for (std::size_t rank = 0; rank < size; ++rank) {
    recv_counts.push_back(last && size > 1 ? 0 : rank + 1);
  }
  Bytes in = 0;
  Bytes out = 0;
  for (std::size_t rank = 0; rank < size; ++rank) {
    in += recv_counts[rank];
    out += send_counts[rank];
  }
  // What is received stands at the end of its memory: where it is nothing, behind the memory.
  Buffer send(bench.ops->memory(), std::max<Bytes>(out, 256));
  Buffer recv(bench.ops->memory(), 256);
  fill(span_of(send, 0, out), group.rank());
  const ByteSpan to = span_of(recv, 256 - in, in);
  group.all_to_all(span_of(send, 0, out), send_counts, to, recv_counts);
  Bytes at = 0;
  for (std::size_t rank = 0; rank < size; ++rank) {
    const std::size_t first = (rank + 1) * static_cast<std::size_t>(group.rank());
    CHECK(filled(to.subspan(at, recv_counts[rank]), static_cast<int>(rank), first));
    at += recv_counts[rank];
  }
  CHECK(nccl_script().open_groups == 0);
}

TEST_CASE("broadcast, sends and parts over NCCL", "[nccl]") {
  Bench bench;
  Group& world = *bench.group;
  Buffer memory(bench.ops->memory(), 64);
  const ByteSpan bytes = span_of(memory, 0, 64);
  const int root = world.size() - 1;
  if (world.rank() == root) fill(bytes, 5);
  world.broadcast(bytes, root);
  CHECK(filled(bytes, 5));
  // Down the stages of a pipeline.
  if (world.rank() == 0) fill(bytes, 9);
  if (world.rank() > 0) world.receive(bytes, world.rank() - 1);
  if (world.rank() + 1 < world.size()) world.start_send(bytes, world.rank() + 1);
  world.finish_sends();
  CHECK(filled(bytes, 9));
  if (world.size() == 1) return;
  const auto part = world.split(world.rank() % 2, "sp");
  CHECK(part->size() == (world.size() + 1 - world.rank() % 2) / 2);
  check_all_gather(bench, *part, equal_counts(*part, 7));
}

TEST_CASE("what is the host's does not go by NCCL", "[nccl]") {
  Bench bench;
  std::vector<std::byte> all(static_cast<std::size_t>(bench.group->size()) * 4);
  std::vector<std::byte> mine(4);
  fill(mine, bench.group->rank());
  bench.group->all_gather(mine, all, equal_counts(*bench.group, 4));
  CHECK(filled(std::span(all).last(4), bench.group->size() - 1));
  CHECK(nccl_script().operations == 0);
}

}  // namespace
}  // namespace weft::testing
