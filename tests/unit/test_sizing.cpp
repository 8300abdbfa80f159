// The sizes of engines: what MPI cannot carry in one message is refused before anything is loaded.
#include <string>

#include "base/error.h"
#include "catch.h"
#include "ops/make_cpu_ops.h"
#include "plan/sizing.h"

namespace weft {
namespace {

using Catch::Matchers::Contains;

ModelFacts facts(std::int64_t hidden, std::int64_t kv_heads) {
  ModelFacts model;
  model.config.hidden = hidden;
  model.config.layers = 2;
  model.config.query_heads = kv_heads;
  model.config.kv_heads = kv_heads;
  model.config.head_dim = 128;
  model.config.ffn = 1024;
  model.config.vocab = 1000;
  model.config.max_positions = 4096;
  model.config.windows = {0, 0};
  return model;
}

EngineSizes size(const ModelFacts& model, const Layout& layout, std::int64_t rows) {
  EngineConfig engine_config;
  engine_config.max_batch_tokens = rows;
  const auto ops = make_cpu_ops(1);
  return size_engine(engine_config, layout, partitions_of(model, layout, 0), Bytes{1} << 50U, *ops);
}

TEST_CASE("messages of 2 GiB and more are refused", "[sizing]") {
  struct Case {
    Layout layout;
    std::int64_t hidden;
    std::int64_t kv_heads;
    std::int64_t rows;  ///< the most that goes
    std::string message;
  };
  const std::vector<Case> cases = {
      // [rows, 2048] f32 to the next stage: 8 KiB a row
      {{1, 2, 1, 1, 1},
       2048,
       1,
       (1 << 18) - 1,
       "engine.max_batch_tokens is 262144: sending activations to the next stage would move 2.00 "
       "GiB, and 2 GiB is the most; lower it"},
      // 2 * 8 heads * 128 of bf16 from each of four ranks: 16 KiB for a row of each
      {{1, 1, 4, 1, 1},
       128,
       8,
       (1 << 17) - 1,
       "engine.max_batch_tokens is 131072: an exchange of keys and values between 4 ranks would "
       "move 2.00 GiB"},
  };
  for (const Case& c : cases) {
    CAPTURE(to_string(c.layout));
    const ModelFacts model = facts(c.hidden, c.kv_heads);
    CHECK(size(model, c.layout, c.rows).shape.step.max_rows == c.rows);
    CHECK_THROWS_WITH(size(model, c.layout, c.rows + 1), Contains(c.message));
    Layout one;
    CHECK(size(model, one, c.rows + 1).limits.max_batch_tokens == c.rows + 1);
  }
}

}  // namespace
}  // namespace weft
