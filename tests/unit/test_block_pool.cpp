// Page bookkeeping: holders, hashes, and which cached page goes first.
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

TEST_CASE("the pool hands out the lowest free page", "[cache]") {
  BlockPool pool(4);
  for (PageId page = 0; page < 4; ++page) CHECK(pool.take() == page);
  CHECK(pool.available() == 0);
  CHECK_THROWS_AS(pool.take(), Error);
  for (const PageId page : {3, 1, 2}) pool.give(page);
  CHECK(pool.available() == 3);
  CHECK(pool.take() == 1);
  CHECK(pool.take() == 2);
  pool.give(0);
  CHECK(pool.take() == 0);
  CHECK(pool.pages() == 4);
}

TEST_CASE("the pool takes back only what it gave", "[cache]") {
  BlockPool pool(2);
  CHECK_THROWS_AS(pool.give(0), Error);
  const PageId page = pool.take();
  pool.give(page);
  CHECK_THROWS_AS(pool.give(page), Error);
  CHECK_THROWS_AS(pool.give(-1), Error);
  CHECK_THROWS_AS(pool.give(2), Error);
  CHECK(pool.available() == 2);
}

TEST_CASE("a page is available again when its last holder has given it back", "[cache]") {
  BlockPool pool(2);
  const PageId page = pool.take();
  CHECK_FALSE(pool.is_held(1));
  CHECK_THROWS_AS(pool.hold(1), Error);  // free: nothing to share
  pool.hold(page);
  pool.give(page);
  CHECK(pool.is_held(page));
  CHECK(pool.available() == 1);
  pool.give(page);
  CHECK_FALSE(pool.is_held(page));
  CHECK(pool.available() == 2);
  CHECK_THROWS_AS(pool.give(page), Error);
}

TEST_CASE("a registered page stays findable until it is evicted", "[cache]") {
  BlockPool pool(2);
  const PageId page = pool.take();
  CHECK_THROWS_AS(pool.put(1, named("a")), Error);  // nobody's
  pool.put(page, named("a"));
  CHECK_THROWS_AS(pool.put(page, named("b")), Error);
  CHECK(pool.find(named("a")) == page);
  CHECK_FALSE(pool.find(named("b")).has_value());
  pool.give(page);
  CHECK(pool.find(named("a")) == page);
  CHECK(pool.cached() == 1);
  CHECK(pool.available() == 2);
  pool.hold(page);
  CHECK(pool.cached() == 0);
  CHECK(pool.available() == 1);
  pool.give(page);
  CHECK(pool.take() == 1);  // the free one first
  CHECK(pool.find(named("a")) == page);
  CHECK(pool.take() == page);
  CHECK_FALSE(pool.find(named("a")).has_value());
  CHECK_THROWS_AS(pool.take(), Error);
  pool.give(page);  // it is an ordinary page now
  CHECK(pool.cached() == 0);
  CHECK(pool.available() == 1);
}

TEST_CASE("the first page of a content keeps the name", "[cache]") {
  BlockPool pool(3);
  for (int i = 0; i < 2; ++i) pool.put(pool.take(), named("a"));
  CHECK(pool.find(named("a")) == 0);
  pool.give(1);
  CHECK(pool.cached() == 0);  // the twin is free at once
  CHECK(pool.find(named("a")) == 0);
}

TEST_CASE("the page that was given back first is evicted first", "[cache]") {
  BlockPool pool(4);
  for (const char* name : {"a", "b", "c", "d"}) pool.put(pool.take(), named(name));
  for (const PageId page : {2, 0, 3, 1}) pool.give(page);
  pool.hold(0);  // used again: now behind the others
  pool.give(0);
  std::vector<PageId> evicted;
  for (int i = 0; i < 4; ++i) evicted.push_back(pool.take());
  CHECK(evicted == std::vector<PageId>{2, 3, 1, 0});
  for (const char* name : {"a", "b", "c", "d"}) CHECK_FALSE(pool.find(named(name)).has_value());
}

TEST_CASE("random holders agree with a plain list", "[cache]") {
  std::mt19937 random(5);
  const auto below = [&](std::size_t most) {
    return static_cast<std::size_t>(random() % static_cast<std::uint32_t>(most));
  };
  BlockPool pool(7);
  std::map<PageId, int> holders;
  std::map<PageId, std::string> names;
  std::vector<PageId> order;  // of cached pages, the next to go first
  int evictions = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto page = static_cast<PageId>(below(7));
    const std::size_t action = below(4);
    if (action == 0 && pool.available() > 0) {
      const PageId taken = pool.take();
      if (!order.empty() && order.front() == taken) {
        ++evictions;
        for (PageId other = 0; other < 7; ++other) {
          REQUIRE((holders[other] > 0 || names.contains(other)));  // none was free
        }
        order.erase(order.begin());
        names.erase(taken);
      }
      REQUIRE(holders[taken]++ == 0);
      REQUIRE_FALSE(names.contains(taken));
    } else if (action == 1 && (holders[page] > 0 || names.contains(page))) {
      pool.hold(page);
      if (holders[page]++ == 0) order.erase(std::find(order.begin(), order.end(), page));
    } else if (action == 2 && holders[page] > 0) {
      pool.give(page);
      if (--holders[page] == 0 && names.contains(page)) order.push_back(page);
    } else if (action == 3 && holders[page] > 0 && !names.contains(page)) {
      names[page] = std::to_string(i);
      pool.put(page, named(names[page]));
    }
    REQUIRE(pool.cached() == static_cast<std::int64_t>(order.size()));
    std::int64_t held = 0;
    for (PageId other = 0; other < 7; ++other) {
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
