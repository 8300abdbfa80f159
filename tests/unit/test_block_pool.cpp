// Block bookkeeping: holders, hashes, and which cached block goes first.
#include "cache/block_pool.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"

namespace weft {
namespace {

BlockHash named(const std::string& content) { return digest_of(content); }

TEST_CASE("the pool hands out the lowest free block", "[cache]") {
  BlockPool pool(4);
  for (BlockId kv_block = 0; kv_block < 4; ++kv_block) CHECK(pool.take() == kv_block);
  CHECK(pool.available() == 0);
  CHECK_THROWS_AS(pool.take(), Error);
  for (const BlockId kv_block : {3, 1, 2}) pool.give(kv_block);
  CHECK(pool.available() == 3);
  CHECK(pool.take() == 1);
  CHECK(pool.take() == 2);
  pool.give(0);
  CHECK(pool.take() == 0);
  CHECK(pool.kv_blocks() == 4);
}

TEST_CASE("the pool takes back only what it gave", "[cache]") {
  BlockPool pool(2);
  CHECK_THROWS_AS(pool.give(0), Error);
  const BlockId kv_block = pool.take();
  pool.give(kv_block);
  CHECK_THROWS_AS(pool.give(kv_block), Error);
  CHECK_THROWS_AS(pool.give(-1), Error);
  CHECK_THROWS_AS(pool.give(2), Error);
  CHECK(pool.available() == 2);
}

TEST_CASE("a block is available again when its last holder has given it back", "[cache]") {
  BlockPool pool(2);
  const BlockId kv_block = pool.take();
  CHECK_FALSE(pool.is_held(1));
  CHECK_THROWS_AS(pool.hold(1), Error);  // free: nothing to share
  pool.hold(kv_block);
  pool.give(kv_block);
  CHECK(pool.is_held(kv_block));
  CHECK(pool.available() == 1);
  pool.give(kv_block);
  CHECK_FALSE(pool.is_held(kv_block));
  CHECK(pool.available() == 2);
  CHECK_THROWS_AS(pool.give(kv_block), Error);
}

TEST_CASE("a registered block stays findable until it is evicted", "[cache]") {
  BlockPool pool(2);
  const BlockId kv_block = pool.take();
  CHECK_THROWS_AS(pool.put(1, named("a")), Error);  // nobody's
  pool.put(kv_block, named("a"));
  CHECK_THROWS_AS(pool.put(kv_block, named("b")), Error);
  CHECK(pool.find(named("a")) == kv_block);
  CHECK_FALSE(pool.find(named("b")).has_value());
  pool.give(kv_block);
  CHECK(pool.find(named("a")) == kv_block);
  CHECK(pool.cached() == 1);
  CHECK(pool.available() == 2);
  pool.hold(kv_block);
  CHECK(pool.cached() == 0);
  CHECK(pool.available() == 1);
  pool.give(kv_block);
  CHECK(pool.take() == 1);  // the free one first
  CHECK(pool.find(named("a")) == kv_block);
  CHECK(pool.take() == kv_block);
  CHECK_FALSE(pool.find(named("a")).has_value());
  CHECK_THROWS_AS(pool.take(), Error);
  pool.give(kv_block);  // it is an ordinary block now
  CHECK(pool.cached() == 0);
  CHECK(pool.available() == 1);
}

TEST_CASE("the first block of a content keeps the name", "[cache]") {
  BlockPool pool(3);
  for (int i = 0; i < 2; ++i) pool.put(pool.take(), named("a"));
  CHECK(pool.find(named("a")) == 0);
  pool.give(1);
  CHECK(pool.cached() == 0);  // the reference implementation is free at once
  CHECK(pool.find(named("a")) == 0);
}

TEST_CASE("the block that was given back first is evicted first", "[cache]") {
  BlockPool pool(4);
  for (const char* name : {"a", "b", "c", "d"}) pool.put(pool.take(), named(name));
  for (const BlockId kv_block : {2, 0, 3, 1}) pool.give(kv_block);
  pool.hold(0);  // used again: now behind the others
  pool.give(0);
  std::vector<BlockId> evicted;
  for (int i = 0; i < 4; ++i) evicted.push_back(pool.take());
  CHECK(evicted == std::vector<BlockId>{2, 3, 1, 0});
  for (const char* name : {"a", "b", "c", "d"}) CHECK_FALSE(pool.find(named(name)).has_value());
}

TEST_CASE("random holders agree with a plain list", "[cache]") {
  std::mt19937 random(5);
  const auto below = [&](std::size_t most) {
    return static_cast<std::size_t>(random() % static_cast<std::uint32_t>(most));
  };
  BlockPool pool(7);
  std::map<BlockId, int> holders;
  std::map<BlockId, std::string> names;
  std::vector<BlockId> order;  // of cached blocks, the next to go first
  int evictions = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto kv_block = static_cast<BlockId>(below(7));
    const std::size_t action = below(4);
    if (action == 0 && pool.available() > 0) {
      const BlockId taken = pool.take();
      if (!order.empty() && order.front() == taken) {
        ++evictions;
        for (BlockId other = 0; other < 7; ++other) {
          REQUIRE((holders[other] > 0 || names.contains(other)));  // none was free
        }
        order.erase(order.begin());
        names.erase(taken);
      }
      REQUIRE(holders[taken]++ == 0);
      REQUIRE_FALSE(names.contains(taken));
    } else if (action == 1 && (holders[kv_block] > 0 || names.contains(kv_block))) {
      pool.hold(kv_block);
      if (holders[kv_block]++ == 0) order.erase(std::find(order.begin(), order.end(), kv_block));
    } else if (action == 2 && holders[kv_block] > 0) {
      pool.give(kv_block);
      if (--holders[kv_block] == 0 && names.contains(kv_block)) order.push_back(kv_block);
    } else if (action == 3 && holders[kv_block] > 0 && !names.contains(kv_block)) {
      names[kv_block] = std::to_string(i);
      pool.put(kv_block, named(names[kv_block]));
    }
    REQUIRE(pool.cached() == static_cast<std::int64_t>(order.size()));
    std::int64_t held = 0;
    for (BlockId other = 0; other < 7; ++other) {
      held += holders[other] > 0 ? 1 : 0;
      REQUIRE(pool.is_held(other) == (holders[other] > 0));
      if (names.contains(other)) REQUIRE(pool.find(named(names[other])) == other);
    }
    REQUIRE(pool.available() == 7 - held);
  }
  CHECK(evictions > 100);
}

}  // namespace
}  // namespace weft
