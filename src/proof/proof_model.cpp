#include "proof/proof_model.h"

#include <algorithm>
#include <bit>

#include "base/philox.h"
#include "io/file.h"
#include "model/files/synth.h"

namespace weft {
namespace {

nlohmann::json small_config(const std::string& family, const std::string& architecture) {
  return {{"architectures", {architecture}},
          {"model_type", family},
          {"vocab_size", 515},
          {"hidden_size", 48},
          {"intermediate_size", 172},
          {"num_hidden_layers", 3},
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

/// Numbers below a bound, one after the other.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : philox_(seed) {}
  std::int64_t below(std::int64_t bound) {
    const Philox::Block words = philox_.at(count_++, 0);
    return static_cast<std::int64_t>(words[0]) % bound;
  }

 private:
  Philox philox_;
  std::uint64_t count_ = 0;
};

/// Sampling of request `index`: greedy, plain, and with each restriction.
SamplingParams sampling_of(std::int64_t index, std::int64_t max_tokens) {
  SamplingParams sampling;
  sampling.max_tokens = max_tokens;
  sampling.seed = static_cast<std::uint64_t>(index) * 7919;
  sampling.temperature = index % 2 == 0 ? 0.0 : 0.9;
  if (index % 8 == 3) sampling.top_p = 0.8;
  if (index % 8 == 5) sampling.top_k = 20;
  if (index % 8 == 7) sampling.min_p = 0.05;
  sampling.ignore_eos = index % 3 == 0;
  sampling.min_tokens = index % 5 == 0 ? 2 : 0;
  if (index % 7 == 2) sampling.frequency_penalty = 0.5;
  if (index % 7 == 4) sampling.repetition_penalty = 1.3;
  if (index % 9 == 8) sampling.logprobs = 3;
  return sampling;
}

}  // namespace

std::vector<ProofModel> proof_models() {
  std::vector<ProofModel> models;
  // Two KV heads for eight query heads: with tp > 2 ranks share them. Untied, odd vocabulary.
  models.push_back({"llama, grouped heads, untied", small_config("llama", "LlamaForCausalLM")});
  nlohmann::json qwen3 = small_config("qwen3", "Qwen3ForCausalLM");
  qwen3["tie_word_embeddings"] = true;
  qwen3["num_key_value_heads"] = 1;
  qwen3["vocab_size"] = 997;
  qwen3["intermediate_size"] = 200;
  models.push_back({"qwen3, QK-norm, one KV head, tied, f32", qwen3, DType::f32});
  nlohmann::json qwen2 = small_config("qwen2", "Qwen2ForCausalLM");
  qwen2["num_key_value_heads"] = 8;
  qwen2.erase("head_dim");
  qwen2["hidden_size"] = 80;
  qwen2["num_hidden_layers"] = 2;
  models.push_back({"qwen2, biases, no grouping", qwen2});
  nlohmann::json mistral = small_config("mistral", "MistralForCausalLM");
  mistral["sliding_window"] = 100;
  models.push_back({"mistral, window across key blocks", mistral});
  nlohmann::json two = small_config("qwen3_moe", "Qwen3MoeForCausalLM");
  two["num_hidden_layers"] = 2;
  two["num_experts"] = 8;
  two["num_experts_per_tok"] = 2;
  two["moe_intermediate_size"] = 84;
  two["norm_topk_prob"] = true;
  models.push_back({"qwen3_moe, 2 of 8 experts", two});
  nlohmann::json eight = small_config("qwen3_moe", "Qwen3MoeForCausalLM");
  eight["num_experts"] = 16;
  eight["num_experts_per_tok"] = 8;
  eight["moe_intermediate_size"] = 100;
  eight["mlp_only_layers"] = {1};
  eight["tie_word_embeddings"] = true;
  models.push_back(
      {"qwen3_moe, 8 of 16 experts, a dense layer between, tied, f32", eight, DType::f32});
  nlohmann::json mixtral = small_config("mixtral", "MixtralForCausalLM");
  mixtral["num_hidden_layers"] = 2;
  mixtral["num_local_experts"] = 9;
  mixtral["num_experts_per_tok"] = 2;
  mixtral["intermediate_size"] = 72;
  mixtral["sliding_window"] = 150;
  models.push_back({"mixtral, 2 of 9 experts, window", mixtral});
  nlohmann::json shared = small_config("qwen2_moe", "Qwen2MoeForCausalLM");
  shared.erase("head_dim");
  shared["hidden_size"] = 64;
  shared["num_hidden_layers"] = 4;
  shared["num_experts"] = 8;
  shared["num_experts_per_tok"] = 3;
  shared["moe_intermediate_size"] = 64;
  shared["shared_expert_intermediate_size"] = 132;
  shared["decoder_sparse_step"] = 2;
  models.push_back({"qwen2_moe, 3 of 8 experts and a shared one, every other layer dense", shared});
  return models;
}

std::vector<Request> proof_requests(std::int64_t vocab) {
  constexpr std::int64_t kRequests = 66;
  constexpr std::int64_t kMostTokens = 6;
  // The first ones cross the edges of key blocks; then come short ones.
  const std::vector<std::int64_t> lengths = {kProofLength - 2 * kMostTokens, 1, 127, 128, 129, 257};
  Numbers numbers(static_cast<std::uint64_t>(vocab));
  std::vector<TokenId> common;
  for (int i = 0; i < 70; ++i) common.push_back(static_cast<TokenId>(numbers.below(vocab)));
  std::vector<Request> requests;
  for (std::int64_t index = 0; index < kRequests; ++index) {
    Request request;
    request.index = index;
    const auto coordinates = static_cast<std::size_t>(index);
    // Most end where a block of 32 does: in a full cache they need another one as they decode.
    const bool grows = index % 3 != 0;
    const std::int64_t own = coordinates < lengths.size() ? lengths[coordinates]
                             : grows                      ? 32 - numbers.below(4)
                                                          : 1 + numbers.below(24);
    if (index % 10 == 9) request.prompt = common;
    for (std::int64_t i = 0; i < own; ++i) {
      request.prompt.push_back(static_cast<TokenId>(numbers.below(vocab)));
    }
    request.sampling = sampling_of(index, grows ? kMostTokens : 1 + numbers.below(kMostTokens));
    request.echo = index % 18 == 17;  // with log-probabilities: the prompt is scored
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<Request> requests_in_order(std::vector<Request> requests, std::uint64_t seed) {
  if (seed == 0) return requests;
  const Philox philox(seed);
  for (std::size_t i = requests.size() - 1; i > 0; --i) {
    std::swap(requests[i], requests[philox.at(i, 0)[0] % (i + 1)]);
  }
  return requests;
}

std::vector<Request> share_of(const std::vector<Request>& requests, int replica, int replicas,
                              std::uint64_t seed) {
  const Philox philox(seed);
  const auto first = static_cast<int>(philox.at(0, 1)[0] % static_cast<std::uint32_t>(replicas));
  std::vector<Request> share;
  for (const Request& request : requests) {
    const std::uint32_t word = philox.at(static_cast<std::uint64_t>(request.index))[0];
    const int turn = std::min(std::countl_zero(word), replicas - 1);
    if ((first + turn) % replicas == replica) share.push_back(request);
  }
  return share;
}

std::filesystem::path write_proof_model(const ProofModel& model,
                                        const std::filesystem::path& folder, int tp) {
  const std::filesystem::path config = folder / "config.json";
  std::filesystem::create_directories(folder);
  write_text(config, model.config.dump());
  ModelOptions options;
  options.dtype = model.dtype;
  options.seed = 3;
  options.tp = tp;
  synth(config, folder / "model", options);
  return folder / "model";
}

}  // namespace weft
