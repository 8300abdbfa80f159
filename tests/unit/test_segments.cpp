// The canonical cut of K, and the tree that makes sums independent of the layout.
#include "layout/segments.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "catch.h"

namespace weft {
namespace {

std::vector<std::int64_t> begins_of(const Segments& segments) {
  std::vector<std::int64_t> begins;
  for (int i = 0; i < segments.count(); ++i) begins.push_back(segments.columns_of(i).begin);
  begins.push_back(segments.columns());
  return begins;
}

TEST_CASE("K is cut into the largest power of two of segments", "[segments]") {
  struct Case {
    std::int64_t k;
    std::int64_t width;
    int cap;
    std::vector<std::int64_t> begins;
  };
  const std::vector<Case> cases = {
      {1, 1, 1, {0, 1}},
      {1, 1, 16, {0, 1}},
      {2, 1, 1, {0, 2}},
      {2, 1, 16, {0, 1, 2}},
      {3, 1, 4, {0, 1, 3}},
      {5, 1, 4, {0, 1, 2, 3, 5}},
      {5, 1, 8, {0, 1, 2, 3, 5}},
      {8, 1, 4, {0, 2, 4, 6, 8}},
      {8, 1, 8, {0, 1, 2, 3, 4, 5, 6, 7, 8}},
      {8, 1, 16, {0, 1, 2, 3, 4, 5, 6, 7, 8}},
      {11, 1, 8, {0, 1, 2, 4, 5, 6, 8, 9, 11}},
      {12, 1, 8, {0, 1, 3, 4, 6, 7, 9, 10, 12}},
      {12, 1, 16, {0, 1, 3, 4, 6, 7, 9, 10, 12}},
      // 172 columns in groups of 16: eleven units, the last of 12 columns.
      {172, 16, 1, {0, 172}},
      {172, 16, 4, {0, 32, 80, 128, 172}},
      {172, 16, 8, {0, 16, 32, 64, 80, 96, 128, 144, 172}},
      {172, 16, 16, {0, 16, 32, 64, 80, 96, 128, 144, 172}},
      {15, 16, 8, {0, 15}},
      {17, 16, 8, {0, 16, 17}},
      // A cap that is no power of two counts as the one below.
      {12, 1, 7, {0, 3, 6, 9, 12}},
      // Heads of 64 columns.
      {5 * 64, 64, 8, {0, 64, 128, 192, 320}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.k, c.width, c.cap);
    const Segments segments = Segments::cut(c.k, c.width, c.cap);
    CHECK(begins_of(segments) == c.begins);
    CHECK(segments.columns_of(Range{0, segments.count()}) == Range{0, c.k});
  }
}

TEST_CASE("every cut follows the contract's formula", "[segments]") {
  for (const int cap : {1, 4, 8, 16}) {
    for (std::int64_t k = 1; k <= 400; ++k) {
      const Segments segments = Segments::cut(k, 16, cap);
      const std::int64_t units = (k + 15) / 16;
      std::int64_t count = 1;
      while (2 * count <= std::min<std::int64_t>(cap, units)) count *= 2;
      CAPTURE(cap, k);
      REQUIRE(segments.count() == count);
      for (int i = 0; i < segments.count(); ++i) {
        const Range columns = segments.columns_of(i);
        REQUIRE(columns.begin == i * units / count * 16);
        REQUIRE(columns.end == std::min((i + 1) * units / count * 16, k));
        REQUIRE_FALSE(columns.empty());
      }
    }
  }
}

TEST_CASE("a cut refuses sizes that are not positive", "[segments]") {
  CHECK_THROWS_AS(Segments::cut(0, 16, 8), Error);
  CHECK_THROWS_AS(Segments::cut(16, 0, 8), Error);
  CHECK_THROWS_AS(Segments::cut(16, 16, 0), Error);
}

TEST_CASE("ranks own consecutive segments without holes", "[segments]") {
  for (const std::int64_t units : {1, 2, 3, 5, 8, 11, 12, 16, 40}) {
    for (const int cap : {1, 4, 8, 16}) {
      const Segments segments = Segments::cut(units, 1, cap);
      for (int ranks = 1; ranks <= 9; ++ranks) {
        CAPTURE(units, cap, ranks);
        std::int64_t end = 0;
        std::int64_t fewest = segments.count();
        std::int64_t most = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const Range owned = segments.owned(rank, ranks);
          CHECK(owned.begin == end);
          end = owned.end;
          fewest = std::min(fewest, owned.size());
          most = std::max(most, owned.size());
        }
        CHECK(end == segments.count());
        CHECK(most - fewest <= 1);
        CHECK((fewest > 0) == (ranks <= segments.count()));
      }
    }
  }
}

/// Fewest aligned nodes that tile [begin, end), by trying all first nodes.
std::size_t fewest_nodes(std::int64_t begin, std::int64_t end,
                         std::map<std::pair<std::int64_t, std::int64_t>, std::size_t>& known) {
  if (begin == end) return 0;
  const auto found = known.find({begin, end});
  if (found != known.end()) return found->second;
  std::size_t best = SIZE_MAX;
  for (std::int64_t width = 1; begin + width <= end; width *= 2) {
    if (begin % width == 0) best = std::min(best, 1 + fewest_nodes(begin + width, end, known));
  }
  return known[{begin, end}] = best;
}

TEST_CASE("a cover is exact and as small as possible", "[segments]") {
  std::map<std::pair<std::int64_t, std::int64_t>, std::size_t> known;
  for (std::int64_t begin = 0; begin <= 32; ++begin) {
    for (std::int64_t end = begin; end <= 32; ++end) {
      CAPTURE(begin, end);
      const std::vector<TreeNode> nodes = cover({begin, end});
      REQUIRE(nodes.size() == fewest_nodes(begin, end, known));
      std::int64_t at = begin;
      for (const TreeNode& node : nodes) {
        REQUIRE(node.leaves().begin == at);
        at = node.leaves().end;
      }
      REQUIRE(at == end);
    }
  }
}

TEST_CASE("a tree stack wants its nodes in order", "[segments]") {
  TreeStack stack;
  CHECK(stack.push({0, 0}) == 0);
  CHECK(stack.push({0, 1}) == 1);
  CHECK_THROWS_AS(stack.push({0, 3}), Error);
  CHECK_THROWS_AS(stack.push({0, 1}), Error);
  CHECK(stack.push({1, 1}) == 1);
  CHECK(stack.nodes() == std::vector<TreeNode>{{2, 0}});
}

using Values = std::vector<float>;

/// Adds nodes up the tree; the values that remain.
Values climb(const std::vector<TreeNode>& nodes, const Values& values) {
  TreeStack stack;
  Values sums;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    sums.push_back(values[i]);
    for (int n = stack.push(nodes[i]); n > 0; --n) {
      const float right = sums.back();
      sums.pop_back();
      sums.back() += right;
    }
  }
  REQUIRE(sums.size() == stack.size());
  return sums;
}

Values climb(Range leaves, const Values& values) {
  std::vector<TreeNode> nodes;
  for (std::int64_t leaf = leaves.begin; leaf < leaves.end; ++leaf) nodes.push_back({0, leaf});
  return climb(nodes, {values.begin() + leaves.begin, values.begin() + leaves.end});
}

/// The contract, written as the recursion that it is.
float root_of(const Values& values, std::size_t begin, std::size_t count) {
  if (count == 1) return values[begin];
  return root_of(values, begin, count / 2) + root_of(values, begin + count / 2, count / 2);
}

float sequential(const Values& values) {
  float sum = 0;
  for (const float value : values) sum += value;
  return sum;
}

/// Adds neighbours; a last one without a neighbour moves up unchanged.
float pairwise_with_odd_carry(Values values) {
  while (values.size() > 1) {
    Values sums;
    for (std::size_t i = 0; i + 1 < values.size(); i += 2)
      sums.push_back(values[i] + values[i + 1]);
    if (values.size() % 2 != 0) sums.push_back(values.back());
    values = std::move(sums);
  }
  return values.front();
}

/// A split of S leaves over ranks: consecutive ranges.
using Split = std::vector<Range>;

/// All 2^(S-1) ways to cut S leaves into consecutive parts.
void for_each_split(int leaves, const std::function<void(const Split&)>& visit) {
  for (std::uint32_t cuts = 0; cuts < 1U << (leaves - 1); ++cuts) {
    Split split;
    std::int64_t begin = 0;
    for (std::int64_t leaf = 1; leaf <= leaves; ++leaf) {
      if (leaf < leaves && (cuts >> (leaf - 1) & 1U) == 0) continue;
      split.push_back({begin, leaf});
      begin = leaf;
    }
    visit(split);
  }
}

Values wide_operands(int count, std::mt19937& random) {
  std::uniform_real_distribution<float> fraction(1, 2);
  std::uniform_int_distribution<int> exponent(-12, 12);
  Values values;
  for (int i = 0; i < count; ++i) {
    const float magnitude = std::ldexp(fraction(random), exponent(random));
    values.push_back(random() % 2 == 0 ? magnitude : -magnitude);
  }
  return values;
}

/// What a rank sends, and the receiver's end of it.
float split_sum(const Split& split, const Values& values) {
  std::vector<TreeNode> nodes;
  Values sums;
  for (const Range& leaves : split) {
    const std::vector<TreeNode> own = cover(leaves);
    const Values partial = climb(leaves, values);
    REQUIRE(partial.size() == own.size());
    nodes.insert(nodes.end(), own.begin(), own.end());
    sums.insert(sums.end(), partial.begin(), partial.end());
  }
  const Values root = climb(nodes, sums);
  REQUIRE(root.size() == 1);
  return root.front();
}

/// One sum per rank, each by `within`, then combined by `between`: not the contract.
template <class Within, class Between>
float rank_sums(const Split& split, const Values& values, Within within, Between between) {
  Values sums;
  for (const Range& leaves : split) {
    sums.push_back(within(Values(values.begin() + leaves.begin, values.begin() + leaves.end)));
  }
  return between(sums);
}

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

TEST_CASE("the tree gives the same bits however its leaves are spread", "[segments]") {
  std::mt19937 random(3);
  for (const int leaves : {1, 2, 4, 8, 16}) {
    for (int trial = 0; trial < (leaves == 16 ? 1 : 40); ++trial) {
      const Values values = wide_operands(leaves, random);
      const float root = root_of(values, 0, values.size());
      for_each_split(leaves, [&](const Split& split) {
        if (!same_bits(split_sum(split, values), root)) {
          FAIL(leaves << " leaves over " << split.size() << " ranks");
        }
      });
    }
  }
}

TEST_CASE("sums that only look deterministic are told apart", "[segments]") {
  std::mt19937 random(4);
  constexpr int leaves = 8;
  struct Mutant {
    const char* what;
    std::function<float(const Split&, const Values&)> sum;
    int wrong = 0;
  };
  std::vector<Mutant> mutants = {
      {"straight loop", [](const Split&, const Values& v) { return sequential(v); }},
      {"rank order",
       [](const Split& s, const Values& v) { return rank_sums(s, v, sequential, sequential); }},
      {"rank order of trees",
       [](const Split& s, const Values& v) {
         return rank_sums(s, v, pairwise_with_odd_carry, sequential);
       }},
      {"pairwise with odd carry",
       [](const Split& s, const Values& v) {
         return rank_sums(s, v, pairwise_with_odd_carry, pairwise_with_odd_carry);
       }},
      {"narrowed to bf16 by rank",
       [](const Split& s, const Values& v) {
         const auto narrow = [](const Values& own) {
           const auto bits = std::bit_cast<std::uint32_t>(pairwise_with_odd_carry(own));
           return std::bit_cast<float>(bits & 0xffff0000U);
         };
         return rank_sums(s, v, narrow, pairwise_with_odd_carry);
       }},
  };
  for (int trial = 0; trial < 20; ++trial) {
    const Values values = wide_operands(leaves, random);
    const float root = root_of(values, 0, values.size());
    for_each_split(leaves, [&](const Split& split) {
      for (Mutant& mutant : mutants) {
        if (!same_bits(mutant.sum(split, values), root)) ++mutant.wrong;
      }
    });
  }
  for (const Mutant& mutant : mutants) {
    CAPTURE(mutant.what, mutant.wrong);
    CHECK(mutant.wrong > 100);  // of 20 * 128
  }
}

}  // namespace
}  // namespace weft
