#include <nlohmann/json.hpp>
#include <string>

#include "catch.h"
#include "io/json_number.h"
#include "model/config/config.h"
#include "model/tensors.h"
#include "model_files.h"

using namespace weft;
using namespace weft::testing;
using nlohmann::json;

namespace {

json base(std::string_view type) {
  return {{"model_type", type},       {"hidden_size", 64},
          {"intermediate_size", 96},  {"num_hidden_layers", 4},
          {"num_attention_heads", 8}, {"num_key_value_heads", 4},
          {"vocab_size", 300},        {"max_position_embeddings", 1024}};
}

/// A base config with some keys changed.
json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

json without(json config, const char* key) {
  config.erase(key);
  return config;
}

using Windows = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("defaults for absent keys are those of each family", "[config]") {
  const ModelConfig llama = parse_config(base("llama"));
  CHECK(llama.family == find_family("llama"));
  CHECK(llama.head_dim == 8);
  CHECK(llama.norm_eps == 1e-6F);
  CHECK(llama.rope_theta == 10000);
  CHECK(llama.rope_scaling.type == RopeScaling::Type::none);
  CHECK_FALSE(llama.tied_embeddings);
  CHECK_FALSE(llama.qkv_bias);
  CHECK_FALSE(llama.output_bias);
  CHECK_FALSE(llama.qk_norm);
  CHECK(llama.windows == Windows(4, 0));
  CHECK(llama.bos == 1);
  CHECK(llama.eos == std::vector<TokenId>{2});

  const ModelConfig mistral = parse_config(base("mistral"));
  CHECK(mistral.head_dim == 8);
  CHECK(mistral.windows == Windows(4, 4096));
  CHECK(mistral.eos == std::vector<TokenId>{2});

  const ModelConfig qwen2 = parse_config(base("qwen2"));
  CHECK(qwen2.head_dim == 8);
  CHECK(qwen2.qkv_bias);
  CHECK_FALSE(qwen2.output_bias);
  CHECK(qwen2.windows == Windows(4, 0));
  CHECK_FALSE(qwen2.bos);
  CHECK(qwen2.eos.empty());

  const ModelConfig qwen3 = parse_config(base("qwen3"));
  CHECK(qwen3.head_dim == 128);
  CHECK(qwen3.qk_norm);
  CHECK_FALSE(qwen3.qkv_bias);
}

TEST_CASE("key/value heads: absent, null, given", "[config]") {
  const auto kv_heads = [](std::string_view type, const json& changes) {
    json config = with(base(type), {{"num_attention_heads", 64}, {"head_dim", 16}});
    config.erase("num_key_value_heads");
    return parse_config(with(config, changes)).kv_heads;
  };
  CHECK(kv_heads("llama", json::object()) == 64);
  CHECK(kv_heads("mistral", json::object()) == 8);
  CHECK(kv_heads("qwen2", json::object()) == 32);
  CHECK(kv_heads("qwen3", json::object()) == 32);
  for (const char* type : {"llama", "mistral", "qwen2", "qwen3"}) {
    CHECK(kv_heads(type, {{"num_key_value_heads", nullptr}}) == 64);
    CHECK(kv_heads(type, {{"num_key_value_heads", 16}}) == 16);
  }
}

TEST_CASE("biases by family", "[config]") {
  for (const char* type : {"llama", "qwen3"}) {
    const ModelConfig config = parse_config(with(base(type), {{"attention_bias", true}}));
    CHECK(config.qkv_bias);
    CHECK(config.output_bias);
  }
  CHECK(contains(user_error([] {
                   parse_config(with(base("mistral"), {{"attention_bias", true}}));
                 }),
                 "attention_bias"));
  CHECK_FALSE(parse_config(with(base("qwen2"), {{"attention_bias", true}})).output_bias);
  CHECK(contains(user_error([] {
                   parse_config(with(base("llama"), {{"mlp_bias", true}}));
                 }),
                 "mlp_bias = true"));
}

TEST_CASE("rotary parameters, older and newer form", "[config]") {
  const auto parse = [](const json& changes) { return parse_config(with(base("llama"), changes)); };
  CHECK(parse({{"rope_theta", 500000}}).rope_theta == 500000);
  CHECK(parse({{"rope_parameters", {{"rope_theta", 2e6}, {"rope_type", "default"}}}}).rope_theta ==
        2e6);
  CHECK(parse({{"rope_theta", 5}, {"rope_parameters", {{"rope_theta", 7}}}}).rope_theta == 7);
  CHECK(parse({{"rope_theta", 5}, {"rope_parameters", {{"rope_type", "default"}}}}).rope_theta ==
        5);
  CHECK(parse({{"rope_scaling", nullptr}}).rope_scaling.type == RopeScaling::Type::none);

  const ModelConfig linear = parse({{"rope_scaling", {{"type", "linear"}, {"factor", 4}}}});
  CHECK(linear.rope_scaling.type == RopeScaling::Type::linear);
  CHECK(linear.rope_scaling.factor == 4);

  const json llama3 = {{"rope_type", "llama3"},
                       {"factor", 8.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 256}};
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const RopeScaling scaling = parse({{key, llama3}}).rope_scaling;
    CHECK(scaling.type == RopeScaling::Type::llama3);
    CHECK(scaling.factor == 8);
    CHECK(scaling.low_freq_factor == 1);
    CHECK(scaling.high_freq_factor == 4);
    CHECK(scaling.original_max_positions == 256);
  }
  // A value beside the dictionary wins; without any it is the model's own length.
  CHECK(parse({{"rope_scaling", llama3}, {"original_max_position_embeddings", 512}})
            .rope_scaling.original_max_positions == 512);
  CHECK(parse({{"rope_scaling", without(llama3, "original_max_position_embeddings")}})
            .rope_scaling.original_max_positions == 1024);

  const RopeScaling yarn =
      parse({{"rope_scaling",
              {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 256}}}})
          .rope_scaling;
  CHECK(yarn.type == RopeScaling::Type::yarn);
  CHECK(yarn.beta_fast == 32);
  CHECK(yarn.beta_slow == 1);
  CHECK(yarn.truncate);
  CHECK_FALSE(yarn.attention_factor);
  const RopeScaling more = parse({{"rope_scaling",
                                   {{"rope_type", "yarn"},
                                    {"original_max_position_embeddings", 256},
                                    {"beta_fast", 16},
                                    {"beta_slow", 0},
                                    {"truncate", false},
                                    {"mscale", 0.7},
                                    {"mscale_all_dim", 0.5},
                                    {"attention_factor", 1.5}}}})
                               .rope_scaling;
  CHECK(more.factor == 4);  // 1024 / 256
  CHECK(more.beta_fast == 16);
  CHECK(more.beta_slow == 1);  // zero counts as absent
  CHECK_FALSE(more.truncate);
  CHECK(more.mscale == 0.7);
  CHECK(more.mscale_all_dim == 0.5);
  CHECK(more.attention_factor == 1.5);
}

TEST_CASE("rotary parameters that are refused", "[config]") {
  const auto refused = [](const json& changes, std::string_view why) {
    const std::string text = user_error([&] { parse_config(with(base("llama"), changes)); });
    INFO(changes.dump() << " -> " << text);
    CHECK(contains(text, why));
  };
  for (const char* type : {"dynamic", "longrope", "su", "mrope", "proportional"}) {
    refused({{"rope_scaling", {{"type", type}, {"factor", 2}}}}, type);
  }
  refused({{"rope_scaling", {{"type", "linear"}}}}, "factor is missing");
  refused({{"rope_scaling", {{"type", "linear"}, {"factor", 0.5}}}}, "factor = 0.5");
  refused({{"rope_scaling", {{"type", "linear"}, {"factor", "2"}}}}, "factor");
  refused({{"rope_scaling", {{"type", "llama3"}, {"factor", 8}}}}, "low_freq_factor is missing");
  refused({{"rope_scaling",
            {{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}}},
          "high_freq_factor");
  refused({{"rope_scaling", "linear"}}, "must be a JSON object");
  refused({{"rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}}},
          "by kind of layer");
  refused({{"rope_theta", 0}}, "rope_theta = 0");
  refused({{"rope_theta", "10000"}}, "rope_theta");
  refused({{"partial_rotary_factor", 0.5}}, "partial_rotary_factor = 0.5");
  refused({{"rope_parameters", {{"partial_rotary_factor", 0.25}}}}, "partial_rotary_factor");
}

TEST_CASE("sliding windows by family", "[config]") {
  const auto windows = [](std::string_view type, const json& changes) {
    return parse_config(with(base(type), changes)).windows;
  };
  CHECK(windows("mistral", {{"sliding_window", nullptr}}) == Windows(4, 0));
  CHECK(windows("mistral", {{"sliding_window", 32}}) == Windows(4, 32));
  CHECK(windows("llama", {{"sliding_window", 32}}) == Windows(4, 0));
  for (const char* type : {"qwen2", "qwen3"}) {
    CHECK(windows(type, {{"sliding_window", 32}}) == Windows(4, 0));
    CHECK(windows(type, {{"sliding_window", 32}, {"use_sliding_window", false}}) == Windows(4, 0));
    const json on = {{"sliding_window", 32}, {"use_sliding_window", true}};
    CHECK(windows(type, on) == Windows(4, 0));  // max_window_layers is 28 by default
    CHECK(windows(type, with(on, {{"max_window_layers", 0}})) == Windows(4, 32));
    CHECK(windows(type, with(on, {{"max_window_layers", 3}})) == Windows{0, 0, 0, 32});
    CHECK(windows(type, with(on, {{"layer_types",
                                   {"sliding_attention", "full_attention", "sliding_attention",
                                    "full_attention"}}})) == Windows{32, 0, 32, 0});
    CHECK(windows(type, {{"layer_types", std::vector<std::string>(4, "full_attention")}}) ==
          Windows(4, 0));
    CHECK(windows(type, {{"use_sliding_window", true}, {"max_window_layers", 2}}) ==
          Windows{0, 0, 4096, 4096});
  }
}

TEST_CASE("layer types that are refused", "[config]") {
  const auto refused = [](std::string_view type, const json& changes, std::string_view why) {
    const std::string text = user_error([&] { parse_config(with(base(type), changes)); });
    INFO(changes.dump() << " -> " << text);
    CHECK(contains(text, why));
  };
  const json full = std::vector<std::string>(4, "full_attention");
  const json sliding = std::vector<std::string>(4, "sliding_attention");
  refused("qwen3", {{"layer_types", {"full_attention"}}}, "4 entries");
  refused("qwen3", {{"layer_types", std::vector<std::string>(4, "linear_attention")}}, "supported");
  refused("qwen3", {{"layer_types", sliding}}, "no sliding window");
  refused("mistral", {{"layer_types", full}}, "same attention in all layers");
  refused("llama", {{"layer_types", sliding}}, "same attention in all layers");
  CHECK(parse_config(with(base("mistral"), {{"layer_types", sliding}})).windows ==
        Windows(4, 4096));
  CHECK(parse_config(with(base("llama"), {{"layer_types", full}})).windows == Windows(4, 0));
}

TEST_CASE("what is missing or out of range is named", "[config]") {
  const auto refused = [](const json& config, std::string_view why) {
    const std::string text = user_error([&] { parse_config(config); });
    INFO(config.dump() << " -> " << text);
    CHECK(contains(text, why));
  };
  for (const char* key : {"model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size", "max_position_embeddings"}) {
    refused(without(base("llama"), key), fmt::format("{} is missing", key));
    refused(with(base("llama"), {{key, nullptr}}), fmt::format("{} is missing", key));
  }
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (const json& value : {json(0), json(-1), json(1.5), json("8"), json(true),
                              json(std::uint64_t{1} << 63), json(std::int64_t{1} << 40)}) {
      refused(with(base("llama"), {{key, value}}), fmt::format("{} = {}", key, value.dump()));
    }
  }
  refused(json::array(), "must be a JSON object");
  refused(base("deepseek_v3"), "model_type = \"deepseek_v3\"");
  refused(base("gpt2"), "supported are llama");
  refused(with(base("llama"), {{"num_key_value_heads", 3}}), "not a multiple");
  refused(with(base("llama"), {{"hidden_size", 60}}), "hidden_size = 60 is not a multiple");
  refused(with(base("llama"), {{"head_dim", 7}}), "head_dim = 7");
  refused(with(base("llama"), {{"hidden_size", 72}}), "head_dim = 9");
  refused(with(base("llama"), {{"hidden_act", "gelu"}}), "hidden_act = \"gelu\"");
  refused(with(base("llama"), {{"rms_norm_eps", -1}}), "rms_norm_eps");
  refused(with(base("llama"), {{"tie_word_embeddings", 1}}), "tie_word_embeddings = 1");
  refused(with(base("llama"), {{"quantization_config", {{"quant_method", "awq"}}}}), "awq");
  refused(with(base("mistral"), {{"sliding_window", 0}}), "sliding_window = 0");
  refused(with(base("mistral"), {{"sliding_window", -1}}), "sliding_window = -1");
  refused(with(base("qwen3"), {{"use_sliding_window", "yes"}}), "use_sliding_window");
}

TEST_CASE("numbers without a fraction are integers, however written", "[config]") {
  const json config = with(base("llama"), {{"num_hidden_layers", 8.0}, {"eos_token_id", {7.0, 9}}});
  CHECK(parse_config(config).layers == 8);
  CHECK(parse_config(config).eos == std::vector<TokenId>{7, 9});
  CHECK(parse_config(with(base("llama"), {{"num_hidden_layers", 0.8e1}})).layers == 8);
  CHECK(contains(user_error([] {
                   parse_config(with(base("llama"), {{"num_hidden_layers", 8.5}}));
                 }),
                 "num_hidden_layers = 8.5: must be an integer"));
  CHECK_FALSE(whole_number(json(0x1p63)));
  CHECK_FALSE(whole_number(json(std::uint64_t{1} << 63)));
  CHECK(whole_number(json(-0x1p62)) == -(std::int64_t{1} << 62));
}

TEST_CASE("special tokens", "[config]") {
  const auto eos = [](const json& value) {
    return parse_config(with(base("llama"), {{"eos_token_id", value}})).eos;
  };
  CHECK(eos(7) == std::vector<TokenId>{7});
  CHECK(eos({7, 9}) == std::vector<TokenId>{7, 9});
  CHECK(eos(nullptr).empty());
  CHECK(contains(user_error([&] { eos(300); }), "eos_token_id = 300"));
  CHECK(contains(user_error([&] { eos({1, -1}); }), "eos_token_id = [1,-1]"));
  CHECK(contains(user_error([&] { eos("</s>"); }), "eos_token_id"));
  CHECK_FALSE(parse_config(with(base("llama"), {{"bos_token_id", nullptr}})).bos);

  CHECK(parse_generation_config({{"eos_token_id", {5, 6}}}, 10) == std::vector<TokenId>{5, 6});
  CHECK(parse_generation_config({{"eos_token_id", 5}}, 10) == std::vector<TokenId>{5});
  CHECK(parse_generation_config({{"temperature", 0.6}}, 10).empty());
  CHECK(contains(user_error([] {
                   parse_generation_config({{"eos_token_id", 10}}, 10);
                 }),
                 "generation_config.json: eos_token_id = 10"));
}

TEST_CASE("the element type that a config states", "[config]") {
  CHECK(config_dtype({{"torch_dtype", "bfloat16"}}) == DType::bf16);
  CHECK(config_dtype({{"torch_dtype", "float16"}}) == DType::f16);
  CHECK(config_dtype({{"dtype", "float32"}, {"torch_dtype", "bfloat16"}}) == DType::f32);
  CHECK_FALSE(config_dtype(json::object()));
  CHECK(contains(user_error([] { config_dtype({{"dtype", "float8_e4m3fn"}}); }), "float8_e4m3fn"));
}
