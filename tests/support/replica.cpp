#include "support/replica.h"

#include <algorithm>
#include <fstream>
#include <random>

#include "model/files/synth.h"
#include "proof/outcome.h"

namespace weft::test {

SyntheticModel::SyntheticModel(const nlohmann::json& config, DType dtype, std::uint64_t seed,
                               int tp, int ep)
    : path_(directory_.path() / "model") {
  const std::filesystem::path file = directory_.path() / "config.json";
  std::ofstream(file) << config.dump();
  ModelOptions options;
  options.dtype = dtype;
  options.seed = seed;
  options.tp = tp;
  options.ep = ep;
  synth(file, path_, options);
}

std::vector<float> logits_of(Replica& replica, const std::vector<TokenId>& tokens,
                             const std::vector<std::int32_t>& rows) {
  Batch batch;
  const auto count = static_cast<std::int32_t>(tokens.size());
  batch.tokens = tokens;
  for (std::int32_t i = 0; i < count; ++i) {
    batch.positions.push_back(i);
    batch.slots.push_back(i);
  }
  batch.query_begin = {0};
  if (count > 0) batch.query_begin.push_back(count);
  batch.table_width = ceil_div(count, replica.model().shape().block_tokens);
  for (std::int32_t kv_block = 0; kv_block < batch.table_width; ++kv_block)
    batch.block_table.push_back(kv_block);
  replica.model().decoder().forward(batch);
  const Tensor logits = replica.model().decoder().logits(rows);
  std::vector<float> values(static_cast<std::size_t>(logits.elements()));
  replica.ops().download(logits, std::as_writable_bytes(std::span(values)));
  return values;
}

nlohmann::json tiny_config(const std::string& family) {
  const nlohmann::json classes = {
      {"llama", "LlamaForCausalLM"},       {"mistral", "MistralForCausalLM"},
      {"qwen2", "Qwen2ForCausalLM"},       {"qwen3", "Qwen3ForCausalLM"},
      {"mixtral", "MixtralForCausalLM"},   {"qwen2_moe", "Qwen2MoeForCausalLM"},
      {"qwen3_moe", "Qwen3MoeForCausalLM"}};
  return {{"architectures", {classes.at(family)}},
          {"model_type", family},
          {"vocab_size", 515},
          {"hidden_size", 48},
          {"intermediate_size", 172},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 8},
          {"num_key_value_heads", 2},
          {"head_dim", 12},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 4096},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", false},
          {"eos_token_id", 7}};
}

std::vector<Request> varied_requests(std::int64_t count, std::int64_t vocab, std::uint64_t seed,
                                     std::int64_t longest_prompt, std::int64_t most_tokens) {
  std::mt19937_64 random(seed);
  const auto up_to = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most)) + 1;
  };
  std::vector<Request> requests;
  for (std::int64_t index = 0; index < count; ++index) {
    Request request;
    request.index = index;
    // The first is the longest, so that every run crosses the same block edges.
    const std::int64_t length = index == 0 ? longest_prompt : up_to(longest_prompt);
    for (std::int64_t i = 0; i < length; ++i) {
      request.prompt.push_back(static_cast<TokenId>(up_to(vocab) - 1));
    }
    request.sampling.max_tokens = up_to(most_tokens);
    request.sampling.seed = random();
    request.sampling.temperature = index % 2 == 0 ? 0.0 : 0.9;
    request.sampling.top_p = index % 4 == 1 ? 0.95 : 1.0;
    request.sampling.top_k = index % 8 == 3 ? 40 : 0;
    request.sampling.ignore_eos = index % 3 == 0;
    requests.push_back(std::move(request));
  }
  return requests;
}

Digest digest_of_completions(const std::vector<Completion>& completions) {
  Digester digester;
  for (const Outcome& outcome : outcomes_of(completions)) {
    digester.add(outcome.tokens.hex() + outcome.logits.hex());
  }
  return digester.result();
}

}  // namespace weft::test
