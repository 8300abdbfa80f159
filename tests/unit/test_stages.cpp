// The cut of a model into stages: balanced by work, with logits and without, then by memory.
#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "layout/stages.h"
#include "model/parallel/partition.h"

namespace weft {
namespace {

double dearest(const std::vector<Stage>& stages, const std::vector<double>& costs) {
  double most = 0;
  for (const Stage& stage : stages) {
    most = std::max(most, std::accumulate(costs.begin() + stage.sublayers.begin,
                                          costs.begin() + stage.sublayers.end, 0.0));
  }
  return most;
}

/// The least possible cost of the dearest of `stages` runs of costs[from, …), by trying everything.
double least(const std::vector<double>& costs, std::size_t from, int stages) {
  const auto sum = [&](std::size_t a, std::size_t b) {
    return std::accumulate(costs.begin() + static_cast<std::ptrdiff_t>(a),
                           costs.begin() + static_cast<std::ptrdiff_t>(b), 0.0);
  };
  if (stages == 1) return sum(from, costs.size());
  double best = 1e300;
  for (std::size_t to = from + 1; to + static_cast<std::size_t>(stages) - 1 <= costs.size(); ++to) {
    best = std::min(best, std::max(sum(from, to), least(costs, to, stages - 1)));
  }
  return best;
}

TEST_CASE("stages follow each other, none is empty, and the dearest is as cheap as can be",
          "[stages]") {
  const std::vector<std::vector<double>> models = {{1, 3, 1, 3},
                                                   {1, 3, 1, 3, 1, 3, 1, 3 + 9},    // a heavy head
                                                   {2, 2, 2, 2, 2, 2, 2, 2, 2, 2},  // all alike
                                                   {10, 1, 1, 1, 1, 1, 1, 1, 1, 10.5}};
  for (const std::vector<double>& costs : models) {
    for (int count = 1; count <= static_cast<int>(costs.size()); ++count) {
      const std::vector<Stage> stages = cut_stages({costs, costs, costs}, count);
      REQUIRE(stages.size() == static_cast<std::size_t>(count));
      std::int64_t at = 0;
      std::map<std::int64_t, int> attention;
      std::map<std::int64_t, int> ffn;
      for (const Stage& stage : stages) {
        CHECK(stage.sublayers.begin == at);
        CHECK_FALSE(stage.sublayers.empty());
        at = stage.sublayers.end;
        for (auto l = stage.attention_layers().begin; l < stage.attention_layers().end; ++l) {
          ++attention[l];
          CHECK(stage.layers().contains(l));
        }
        for (auto l = stage.ffn_layers().begin; l < stage.ffn_layers().end; ++l) {
          ++ffn[l];
          CHECK(stage.layers().contains(l));
        }
      }
      CHECK(at == static_cast<std::int64_t>(costs.size()));
      CHECK(stages.front().first());
      CHECK(stages.back().last());
      // Each layer's attention and ffn exactly once.
      for (std::int64_t l = 0; l < at / 2; ++l) {
        CHECK(attention[l] == 1);
        CHECK(ffn[l] == 1);
      }
      CHECK(dearest(stages, costs) == Approx(least(costs, 0, count)));
    }
  }
  CHECK_THROWS_AS(cut_stages({models[0], models[0], models[0]}, 5), Error);
  CHECK_THROWS_AS(cut_stages({models[0], models[0], models[1]}, 2), Error);
}

std::vector<std::int64_t> sizes_of(const std::vector<Stage>& stages) {
  std::vector<std::int64_t> sizes;
  for (const Stage& stage : stages) sizes.push_back(stage.sublayers.size());
  return sizes;
}

/// By how much the dearest stage exceeds an even share: 1 is perfect.
double excess(const std::vector<Stage>& stages, const std::vector<double>& costs) {
  return dearest(stages, costs) * static_cast<double>(stages.size()) /
         std::accumulate(costs.begin(), costs.end(), 0.0);
}

ModelConfig shape(std::int64_t hidden, std::int64_t query_heads, std::int64_t kv_heads,
                  std::int64_t ffn, std::int64_t vocab, std::int64_t layers) {
  ModelConfig config;
  config.hidden = hidden;
  config.layers = layers;
  config.query_heads = query_heads;
  config.kv_heads = kv_heads;
  config.head_dim = 128;
  config.ffn = ffn;
  config.vocab = vocab;
  return config;
}

ModelConfig shape_with_experts() {
  ModelConfig config = shape(2048, 32, 4, 0, 151936, 48);
  config.moe.experts = 128;
  config.moe.per_token = 8;
  config.moe.ffn = 768;
  config.moe.sparse.assign(48, true);
  return config;
}

TEST_CASE("models are cut so that neither prompts nor decodes overload a stage", "[stages]") {
  struct Case {
    const char* name;
    ModelConfig config;
    int stages;
    std::vector<std::int64_t> sizes;  ///< sub-layers of each stage
    double prefill;                   ///< excess of the dearest stage
    double decode;
    double memory;
  };
  const ModelConfig small = shape(1024, 16, 8, 3072, 151936, 28);
  const ModelConfig middle = shape(4096, 32, 8, 14336, 128256, 32);
  const ModelConfig large = shape(8192, 64, 8, 28672, 128256, 80);
  const std::vector<Case> cases = {
      {"0.6B", small, 2, {32, 24}, 1.143, 1.155, 1.084},
      {"0.6B", small, 4, {16, 18, 18, 4}, 1.286, 1.255, 1.498},
      // The head alone is more than twice an even share of a decode.
      {"0.6B", small, 8, {5, 9, 9, 8, 8, 8, 8, 1}, 1.314, 2.215, 2.058},
      {"8B", middle, 2, {33, 31}, 1.012, 1.059, 1.010},
      {"8B", middle, 4, {16, 17, 17, 14}, 1.101, 1.094, 1.131},
      {"8B", middle, 8, {8, 9, 9, 9, 9, 8, 8, 4}, 1.202, 1.118, 1.393},
      {"70B", large, 8, {20, 21, 21, 20, 20, 20, 20, 18}, 1.082, 1.066, 1.089},
      {"30B with experts", shape_with_experts(), 4, {26, 26, 26, 18}, 1.083, 1.082, 1.102},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name, c.stages);
    const SublayerCosts costs = sublayer_costs(c.config);
    const std::vector<Stage> stages = cut_stages(costs, c.stages);
    CHECK(sizes_of(stages) == c.sizes);
    CHECK(excess(stages, costs.prefill) == Approx(c.prefill).margin(0.0006));
    CHECK(excess(stages, costs.decode) == Approx(c.decode).margin(0.0006));
    CHECK(excess(stages, costs.memory) == Approx(c.memory).margin(0.0006));
  }
}

TEST_CASE("the head is work for decodes, embedding and head are memory", "[stages]") {
  const ModelConfig config = shape(8, 2, 1, 16, 1000, 3);
  const SublayerCosts costs = sublayer_costs(config, 2);
  const double attention = 8 * 2 * (256 + 128);
  const double ffn = 8 * 3 * 16;
  CHECK(costs.prefill == std::vector<double>{attention, ffn, attention, ffn});
  CHECK(costs.decode == std::vector<double>{attention, ffn, attention, ffn + 8000});
  CHECK(costs.memory == std::vector<double>{attention + 8000, ffn, attention, ffn + 8000});
  const SublayerCosts sparse = sublayer_costs(shape_with_experts());
  CHECK(sparse.prefill[1] == 2048.0 * (128 + 3 * 8 * 768));
  CHECK(sparse.memory[3] == 2048.0 * (128 + 3 * 128 * 768));
}

TEST_CASE("among cuts with equal work the most even one is taken", "[stages]") {
  const std::vector<double> alike(10, 1);
  std::vector<double> memory = alike;
  memory.front() += 2;
  memory.back() += 1;
  // Three each is the least that the dearest of four can have; one then has only one or two.
  CHECK(sizes_of(cut_stages({alike, alike, memory}, 4)) == std::vector<std::int64_t>{2, 3, 3, 2});
  // No stage can have less than the last sub-layer, and still the others are even.
  std::vector<double> head = alike;
  head.back() += 9;
  CHECK(sizes_of(cut_stages({alike, head, alike}, 4)) == std::vector<std::int64_t>{3, 3, 3, 1});
}

}  // namespace
}  // namespace weft
