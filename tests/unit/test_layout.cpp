// Places of ranks, legality of layouts, and what each tensor-parallel rank holds.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "layout/grid.h"
#include "layout/legality.h"
#include "model/parallel/partition.h"
#include "model/tensors.h"

namespace weft {
namespace {

Layout layout(int tp, int dp = 1, int pp = 1, int sp = 1, int ep = 1) {
  Layout made;
  made.tp = tp;
  made.dp = dp;
  made.pp = pp;
  made.sp = sp;
  made.ep = ep;
  return made;
}

TEST_CASE("ranks and places are one to one, tp varying fastest", "[grid]") {
  for (int shape = 0; shape < 81; ++shape) {
    const Layout grid =
        layout(shape % 3 + 1, shape / 3 % 3 + 1, shape / 9 % 3 + 1, shape / 27 % 3 + 1);
    CAPTURE(to_string(grid));
    CHECK(grid.world_size() == grid.tp * grid.pp * grid.sp * grid.dp);
    int rank = 0;
    for (int dp = 0; dp < grid.dp; ++dp) {
      for (int pp = 0; pp < grid.pp; ++pp) {
        for (int sp = 0; sp < grid.sp; ++sp) {
          for (int tp = 0; tp < grid.tp; ++tp, ++rank) {
            const RankCoordinates coordinates{dp, pp, sp, tp};
            REQUIRE(coordinates_of(grid, rank) == coordinates);
            REQUIRE(rank_of(grid, coordinates) == rank);
          }
        }
      }
    }
    CHECK_THROWS_AS(coordinates_of(grid, rank), Error);
    CHECK_THROWS_AS(coordinates_of(grid, -1), Error);
  }
  CHECK(to_string(layout(2, 4)) == "tp=2 pp=1 sp=1 ep=1 dp=4");
}

TEST_CASE("an illegal layout is refused with rule and numbers", "[legality]") {
  struct Case {
    Layout layout;
    LayoutLimits limits;
    int ranks;
    std::vector<std::string> violations;
  };
  const LayoutLimits eight{8, 8, 6};
  const std::vector<Case> cases = {
      {layout(1), eight, 1, {}},
      {layout(8), eight, 8, {}},
      {layout(3, 2), eight, 6, {}},
      {layout(7), eight, 7, {}},
      {layout(9),
       eight,
       9,
       {"tp=9: the attention output projection has 8 segments, and every rank needs at least one",
        "tp=9: the ffn down projection has 8 segments, and every rank needs at least one"}},
      {layout(6),
       {4, 8, 6},
       6,
       {"tp=6: the attention output projection has 4 segments, and every rank needs at least one"}},
      {layout(3),
       {4, 2, 6},
       3,
       {"tp=3: the ffn down projection has 2 segments, and every rank needs at least one"}},
      {layout(2, 2),
       eight,
       6,
       {"tp=2 pp=1 sp=1 ep=1 dp=2 needs 4 ranks (2 for each replica), the job has 6"}},
      {layout(0, -1),
       eight,
       1,
       {"tp=0: every axis has at least 1 rank", "dp=-1: every axis has at least 1 rank"}},
      {layout(1, 1, 0, 0, 0),
       eight,
       1,
       {"pp=0: every axis has at least 1 rank", "sp=0: every axis has at least 1 rank",
        "ep=0: every axis has at least 1 rank"}},
      {layout(1, 1, 6, 5), eight, 30, {}},
      {layout(1, 1, 7),
       eight,
       7,
       {"pp=7: the model has 6 sub-layers (the attention and the ffn of each layer), and every "
        "stage "
        "needs at least one"}},
      {layout(1, 1, 2, 3, 3),
       eight,
       4,
       {"ep=3 does not apply to prefill (ffn): ep divides experts only, and the model has none",
        "tp=1 pp=2 sp=3 ep=3 dp=1 needs 6 ranks (6 for each replica), the job has 4"}},
  };
  for (const Case& c : cases) {
    CAPTURE(to_string(c.layout), c.ranks);
    CHECK(violations(c.layout, c.limits, c.ranks) == c.violations);
  }
}

TEST_CASE("layouts of experts are refused with rule and numbers", "[legality][experts]") {
  LayoutLimits limits;
  limits.o_segments = 16;
  limits.experts = 6;
  limits.expert_segments = 4;
  const auto check = [&](int tp, int sp, int ep, const std::vector<std::string>& expected) {
    Layout asked;
    asked.tp = tp;
    asked.sp = sp;
    asked.ep = ep;
    std::vector<std::string> found =
        violations(asked, limits, static_cast<int>(asked.world_size()));
    std::erase_if(found, [](const std::string& text) { return text.starts_with("sp="); });
    CHECK(found == expected);
  };
  check(1, 1, 1, {});
  check(4, 1, 1, {});
  check(4, 1, 4, {});
  check(16, 1, 4, {});
  check(1, 4, 2, {});
  check(2, 6, 6, {});
  check(8, 1, 1,
        {"tp=8 ep=1: each expert is shared by tp/ep = 8 ranks, but its down projection has 4 "
         "segments, and every rank needs at least one"});
  check(4, 1, 3,
        {"ep=3 with tp=4: one must be a multiple of the other, so that every rank has the same "
         "place among the experts of its stage"});
  check(2, 1, 4,
        {"ep=4: must divide the 2 ranks of a stage (sp=1 times tp=2), which share the experts"});
  check(8, 1, 8, {"ep=8: a layer has 6 experts, and every part needs at least one"});
  limits.shared_segments = 2;
  check(4, 1, 2,
        {"tp=4: the shared expert's down projection has 2 segments, and every rank needs at least "
         "one"});
  limits = LayoutLimits{8, 8};
  check(2, 1, 2,
        {"ep=2 does not apply to prefill (ffn): ep divides experts only, and the model has none"});
  for (const Layout& found : layouts_of(8, true)) {
    CHECK(found.world_size() == 8);
    // Those that cannot be are listed too, for the rule that they break.
    limits.experts = 8;
    limits.expert_segments = 8;
    limits.sublayers = 8;
    const bool divides = found.sp * found.tp % found.ep == 0;
    CHECK(violations(found, limits, 8).empty() == divides);
  }
  CHECK(layouts_of(8, true).size() == 4 * layouts_of(8).size());
}

TEST_CASE("layouts_of lists every way to divide the ranks, once", "[legality]") {
  CHECK(layouts_of(1) == std::vector<Layout>{layout(1)});
  CHECK(layouts_of(3) ==
        std::vector<Layout>{layout(1, 3), layout(1, 1, 1, 3), layout(1, 1, 3), layout(3)});
  CHECK(layouts_of(12).size() == 40);  // ordered factorisations of 2 * 2 * 3 into four factors
  for (int ranks = 1; ranks <= 64; ++ranks) {
    for (const Layout& found : layouts_of(ranks)) CHECK(found.world_size() == ranks);
  }
}

ModelConfig shape(std::int64_t query_heads, std::int64_t kv_heads, std::int64_t ffn,
                  std::int64_t vocab) {
  ModelConfig config;
  config.hidden = 80;
  config.layers = 2;
  config.query_heads = query_heads;
  config.kv_heads = kv_heads;
  config.head_dim = 12;
  config.ffn = ffn;
  config.vocab = vocab;
  config.qkv_bias = true;
  config.qk_norm = true;
  return config;
}

std::vector<ModelConfig> shapes() {
  std::vector<ModelConfig> all;
  const std::vector<std::pair<std::int64_t, std::int64_t>> heads = {
      {1, 1}, {2, 1}, {4, 2},  {5, 1},  {5, 5},  {6, 1},  {6, 2},  {6, 3},  {6, 6},
      {8, 2}, {8, 8}, {12, 4}, {14, 2}, {16, 1}, {28, 4}, {32, 8}, {40, 8}, {64, 8}};
  const std::vector<std::int64_t> ffns = {16, 40, 172, 176, 256, 1000};
  const std::vector<std::int64_t> vocabs = {1, 255, 256, 257, 1000, 2048, 50257};
  for (std::size_t i = 0; i < heads.size(); ++i) {
    for (const std::int64_t ffn : ffns) {
      all.push_back(shape(heads[i].first, heads[i].second, ffn, vocabs[(all.size() + i) % 7]));
    }
  }
  return all;
}

/// Ends of consecutive parts must meet: the parts are disjoint and cover [0, end).
class Chain {
 public:
  void add(Range part) {
    REQUIRE(part.begin == end_);
    REQUIRE(part.end >= part.begin);
    end_ = part.end;
  }
  [[nodiscard]] std::int64_t end() const { return end_; }

 private:
  std::int64_t end_ = 0;
};

std::string describe(const ModelConfig& config, int tp) {
  return "query heads " + std::to_string(config.query_heads) + ", kv heads " +
         std::to_string(config.kv_heads) + ", ffn " + std::to_string(config.ffn) + ", vocab " +
         std::to_string(config.vocab) + ", tp " + std::to_string(tp);
}

TEST_CASE("shards are disjoint, cover the model and begin where segments do", "[shard]") {
  for (const ModelConfig& config : shapes()) {
    const ModelSegments segments = segments_of(config, {});
    for (int tp = 1; tp <= 8; ++tp) {
      CAPTURE(describe(config, tp));
      Chain heads, ffn, vocab, o, down;
      for (int rank = 0; rank < tp; ++rank) {
        const Shard shard = shard_of(config, segments, rank, tp);
        heads.add(shard.query_heads);
        ffn.add(shard.ffn);
        vocab.add(shard.vocab);
        o.add(shard.o_segments);
        down.add(shard.down_segments);
        CHECK((shard.vocab.begin % kVocabBlock == 0 || shard.vocab.begin == config.vocab));
        const Range columns = segments.o.columns_of(shard.o_segments);
        CHECK(columns.begin == shard.query_heads.begin * config.head_dim);
        CHECK(columns.end == shard.query_heads.end * config.head_dim);
        CHECK(shard.query_heads.empty() == (shard.o_segments.empty()));
        // Legality promises work to every rank.
        const LayoutLimits limits{segments.o.count(), segments.down.count()};
        if (violations(layout(tp), limits, tp).empty()) {
          CHECK_FALSE(shard.query_heads.empty());
          CHECK_FALSE(shard.ffn.empty());
        }
      }
      CHECK(heads.end() == config.query_heads);
      CHECK(ffn.end() == config.ffn);
      CHECK(vocab.end() == config.vocab);
      CHECK(o.end() == segments.o.count());
      CHECK(down.end() == segments.down.count());
    }
  }
}

TEST_CASE("vocabulary blocks are shared out whole, to some ranks none", "[shard]") {
  const auto rows = [](std::int64_t vocab, int tp) {
    std::vector<std::int64_t> sizes;
    const ModelConfig config = shape(8, 2, 256, vocab);
    for (int rank = 0; rank < tp; ++rank) {
      sizes.push_back(shard_of(config, segments_of(config, {}), rank, tp).vocab.size());
    }
    return sizes;
  };
  using Sizes = std::vector<std::int64_t>;
  CHECK(rows(1, 2) == Sizes{0, 1});
  CHECK(rows(257, 2) == Sizes{256, 1});
  CHECK(rows(257, 4) == Sizes{0, 256, 0, 1});
  CHECK(rows(1000, 3) == Sizes{256, 256, 488});
  CHECK(rows(2048, 6) == Sizes{256, 256, 512, 256, 256, 512});
  CHECK(rows(50257, 5) == Sizes{9984, 9984, 10240, 9984, 10065});
}

TEST_CASE("every query head meets its own key/value head", "[shard]") {
  for (const ModelConfig& config : shapes()) {
    // What repeating each KV head for its group of query heads gives.
    std::vector<std::int64_t> kv_of;
    for (std::int64_t kv = 0; kv < config.kv_heads; ++kv) {
      kv_of.insert(kv_of.end(), static_cast<std::size_t>(config.query_heads / config.kv_heads), kv);
    }
    for (int tp = 1; tp <= 8; ++tp) {
      for (int rank = 0; rank < tp; ++rank) {
        CAPTURE(describe(config, tp), rank);
        const Partition part = Partition::of(config, {}, DType::bf16, rank, tp);
        const Shard& shard = part.shard;
        REQUIRE(part.heads.query_heads == shard.query_heads.size());
        REQUIRE(part.heads.kv_heads == shard.kv_heads.size());
        REQUIRE(part.heads.kv_head_of.size() == static_cast<std::size_t>(shard.query_heads.size()));
        std::vector<bool> used(static_cast<std::size_t>(shard.kv_heads.size()), false);
        for (std::size_t i = 0; i < part.heads.kv_head_of.size(); ++i) {
          const std::int64_t local = part.heads.kv_head_of[i];
          REQUIRE(local >= 0);
          REQUIRE(local < shard.kv_heads.size());
          const auto head = static_cast<std::size_t>(shard.query_heads.begin) + i;
          REQUIRE(shard.kv_heads.begin + local == kv_of[head]);
          used[static_cast<std::size_t>(local)] = true;
        }
        // No KV head is kept that nobody asks for.
        REQUIRE(std::count(used.begin(), used.end(), false) == 0);
      }
    }
  }
}

TEST_CASE("a partition's matrices have the shapes of its shard", "[partition]") {
  for (const ModelConfig& config : shapes()) {
    for (int tp = 1; tp <= 8; ++tp) {
      CAPTURE(describe(config, tp));
      std::vector<TreeNode> o_nodes;
      for (int rank = 0; rank < tp; ++rank) {
        const Partition part = Partition::of(config, {}, DType::f32, rank, tp, 1);
        REQUIRE(part.layers == 1);
        REQUIRE(Partition::of(config, {}, DType::f32, rank, tp).layers == config.layers);
        REQUIRE(part.qkv().rows ==
                (part.shard.query_heads.size() + 2 * part.shard.kv_heads.size()) * 12);
        REQUIRE(part.qkv().columns() == config.hidden);
        REQUIRE(part.o().rows == config.hidden);
        REQUIRE(part.o().columns() == part.query_columns());
        REQUIRE(part.gate_up().rows == 2 * part.shard.ffn.size());
        REQUIRE(part.down().columns() == part.shard.ffn.size());
        REQUIRE(part.vocabulary().rows == part.shard.vocab.size());
        // Products yield exactly the nodes that the ranks' common tree expects of them.
        const auto r = static_cast<std::size_t>(rank);
        REQUIRE(part.o_tree.nodes_of[r] == part.o().cut.nodes);
        REQUIRE(part.down_tree.nodes_of[r] == part.down().cut.nodes);
        const std::vector<TreeNode> own = part.o().cut.nodes;
        o_nodes.insert(o_nodes.end(), own.begin(), own.end());
      }
      const ProductTree tree = Partition::of(config, {}, DType::f32, 0, tp).o_tree;
      REQUIRE(tree.nodes == o_nodes);
      TreeStack stack;
      for (const TreeNode& node : tree.nodes) stack.push(node);
      REQUIRE(stack.size() == 1);
    }
  }
}

TEST_CASE("shard files store every row once", "[shard]") {
  for (const ModelConfig& config : shapes()) {
    const ModelSegments segments = segments_of(config, {});
    for (const TensorSpec& tensor : tensors_of(config)) {
      CAPTURE(tensor.name);
      if (tensor.axis == Axis::whole || tensor.cut_by_columns()) {
        REQUIRE_THROWS_AS(stored_rows(tensor, config, segments, 0, 2), Error);
      } else {
        for (int tp = 1; tp <= 8; ++tp) {
          Chain rows;
          for (int rank = 0; rank < tp; ++rank) {
            rows.add(stored_rows(tensor, config, segments, rank, tp));
          }
          REQUIRE(rows.end() == tensor.rows());
        }
      }
      if (tensor.cut_by_columns()) {
        REQUIRE(column_segments(tensor, segments).columns() == tensor.columns());
      } else {
        REQUIRE_THROWS_AS(column_segments(tensor, segments), Error);
      }
    }
  }
}

}  // namespace
}  // namespace weft
