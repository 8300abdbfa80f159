// Models with experts: config, tensors, shard sets, checkpoints one by one and stacked, loading.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "catch.h"
#include "comm/group.h"
#include "model/files/convert.h"
#include "model/files/synth.h"
#include "model/forward/weights.h"
#include "model_files.h"
#include "ops/make_cpu_ops.h"
#include "ops_testing.h"

using namespace weft;
using namespace weft::testing;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

json moe_config(std::string_view type) {
  json config = {
      {"model_type", type},      {"hidden_size", 48},        {"intermediate_size", 100},
      {"num_hidden_layers", 4},  {"num_attention_heads", 6}, {"num_key_value_heads", 2},
      {"head_dim", 8},           {"vocab_size", 300},        {"max_position_embeddings", 64},
      {"num_experts_per_tok", 2}};
  if (type == "mixtral") {
    config["num_local_experts"] = 5;
  } else {
    config.update({{"num_experts", 5}, {"moe_intermediate_size", 70}, {"mlp_only_layers", {1}}});
  }
  if (type == "qwen2_moe") config["shared_expert_intermediate_size"] = 40;
  return config;
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

/// What `weft synth` makes, as a Hugging Face checkpoint: experts one by one, or stacked and fused.
RawTensors checkpoint_of(const Contents& contents, const json& config, bool stacked) {
  RawTensors tensors;
  for (const TensorSpec& tensor : tensors_of(parse_config(config))) {
    const std::string& bytes = contents.at(tensor.name);
    if (tensor.experts == 0) {
      std::string name = tensor.name;
      const std::size_t at = name.find("block_sparse_moe.gate");
      if (stacked && at != std::string::npos) name.replace(at, 16, "mlp");
      tensors[name] = {"F32", tensor.shape, bytes};
      continue;
    }
    const std::size_t piece = bytes.size() / static_cast<std::size_t>(tensor.experts);
    const std::int64_t rows = tensor.rows_of_expert();
    if (!stacked) {
      for (std::int64_t e = 0; e < tensor.experts; ++e) {
        tensors[name_in_checkpoint(tensor, e)] = {
            "F32",
            {rows, tensor.columns()},
            bytes.substr(static_cast<std::size_t>(e) * piece, piece)};
      }
      continue;
    }
    const std::string stem = fmt::format("model.layers.{}.mlp.experts.", tensor.layer);
    if (tensor.axis == Axis::expert_columns) {
      tensors[stem + "down_proj"] = {"F32", {tensor.experts, rows, tensor.columns()}, bytes};
      continue;
    }
    // Gates come before ups in the order of tensors.
    RawTensor& fused = tensors[stem + "gate_up_proj"];
    if (fused.bytes.empty()) {
      fused = {"F32", {tensor.experts, 2 * rows, tensor.columns()}, bytes};
      continue;
    }
    std::string both;
    for (std::int64_t e = 0; e < tensor.experts; ++e) {
      both += fused.bytes.substr(static_cast<std::size_t>(e) * piece, piece);
      both += bytes.substr(static_cast<std::size_t>(e) * piece, piece);
    }
    fused.bytes = both;
  }
  return tensors;
}

void write_checkpoint(const fs::path& directory, const json& config, const RawTensors& tensors) {
  fs::create_directories(directory);
  write_file(directory / "config.json", config.dump());
  write_file(directory / "model.safetensors", safetensors(tensors));
}

Contents synthetic(const TempDir& directory, const json& config, const std::string& name, int tp,
                   int pp, int ep) {
  write_file(directory.path() / "config.json", config.dump());
  ModelOptions options = grid(tp, pp);
  options.dtype = DType::f32;
  options.ep = ep;
  options.seed = 7;
  synth(directory.path() / "config.json", directory.path() / name, options);
  return read_all(directory.path() / name);
}

}  // namespace

TEST_CASE("experts by family", "[config][experts]") {
  const ModelConfig mixtral = parse_config(moe_config("mixtral"));
  CHECK(mixtral.moe.experts == 5);
  CHECK(mixtral.moe.per_token == 2);
  CHECK(mixtral.moe.ffn == 100);
  CHECK(mixtral.moe.shared_ffn == 0);
  CHECK(mixtral.moe.normalise);
  CHECK(mixtral.moe.sparse == std::vector<bool>(4, true));
  CHECK_FALSE(mixtral.has_dense_layers());
  CHECK(mixtral.windows == std::vector<std::int64_t>(4, 0));
  CHECK(mixtral.norm_eps == 1e-5F);
  CHECK(mixtral.rope_theta == 1e6);
  CHECK_FALSE(mixtral.qk_norm);

  const ModelConfig qwen3 = parse_config(moe_config("qwen3_moe"));
  CHECK(qwen3.moe.ffn == 70);
  CHECK_FALSE(qwen3.moe.normalise);
  CHECK(qwen3.moe.sparse == std::vector<bool>{true, false, true, true});
  CHECK(qwen3.has_dense_layers());
  CHECK(qwen3.qk_norm);
  CHECK(parse_config(with(moe_config("qwen3_moe"), {{"decoder_sparse_step", 2}})).moe.sparse ==
        std::vector<bool>{false, false, false, true});
  CHECK(parse_config(with(moe_config("qwen3_moe"), {{"norm_topk_prob", true}})).moe.normalise);

  const ModelConfig qwen2 = parse_config(moe_config("qwen2_moe"));
  CHECK(qwen2.moe.shared_ffn == 40);
  CHECK(qwen2.qkv_bias);
  CHECK_FALSE(parse_config(with(moe_config("qwen2_moe"), {{"qkv_bias", false}})).qkv_bias);
  const json window = {
      {"use_sliding_window", true}, {"sliding_window", 9}, {"max_window_layers", 3}};
  CHECK(parse_config(with(moe_config("qwen2_moe"), window)).windows ==
        std::vector<std::int64_t>{9, 0, 9, 0});
  CHECK(parse_config(with(moe_config("qwen3_moe"), window)).windows ==
        std::vector<std::int64_t>(4, 9));

  // Both names of the number of experts; a model of dense layers only.
  json renamed = moe_config("qwen3_moe");
  renamed.erase("num_experts");
  renamed["num_local_experts"] = 6;
  CHECK(parse_config(renamed).moe.experts == 6);
  const ModelConfig dense =
      parse_config(with(moe_config("qwen3_moe"), {{"mlp_only_layers", {0, 1, 2, 3, 9}}}));
  CHECK_FALSE(dense.has_experts());
  CHECK(parse_config(small_config()).moe.experts == 0);
}

TEST_CASE("experts that are refused", "[config][experts]") {
  const auto complaint = [](const char* type, const json& changes) {
    return user_error([&] { parse_config(with(moe_config(type), changes)); });
  };
  CHECK(contains(complaint("qwen3_moe", {{"num_experts", 0}}), "num_experts = 0"));
  CHECK(contains(complaint("mixtral", {{"num_experts_per_tok", 6}}), "num_experts_per_tok = 6"));
  CHECK(contains(complaint("qwen3_moe", {{"num_local_experts", 4}}), "num_local_experts is 4"));
  CHECK(contains(complaint("qwen3_moe", {{"mlp_only_layers", 3}}), "must be a list of layers"));
  CHECK(contains(complaint("qwen3_moe", {{"decoder_sparse_step", 0}}), "decoder_sparse_step"));
  CHECK(contains(complaint("mixtral", {{"attention_bias", true}}), "mixtral has no biases"));
  CHECK(contains(complaint("mixtral", {{"intermediate_size", 1 << 20}}), "intermediate_size"));
}

TEST_CASE("every shard set of a model with experts gives the same bytes", "[model][experts]") {
  for (const char* const type : {"mixtral", "qwen2_moe", "qwen3_moe"}) {
    INFO(type);
    const TempDir directory;
    const json config = moe_config(type);
    const Contents whole = synthetic(directory, config, "one", 1, 1, 1);
    int number = 0;
    for (const auto& [tp, pp, ep] :
         {std::tuple{2, 1, 1}, {1, 1, 2}, {1, 2, 5}, {2, 1, 2}, {3, 2, 4}}) {
      INFO("tp " << tp << " pp " << pp << " ep " << ep);
      CHECK(synthetic(directory, config, fmt::format("cut{}", number++), tp, pp, ep) == whole);
    }
    CHECK(fs::exists(directory.path() / "cut1" / "shard-pp00-tp00-ep01.h5"));
  }
  const TempDir directory;
  CHECK(contains(user_error([&] { synthetic(directory, small_config(), "dense", 1, 1, 2); }),
                 "the model has no experts"));
}

TEST_CASE("checkpoints with experts one by one and stacked", "[model][experts]") {
  for (const char* const type : {"mixtral", "qwen2_moe", "qwen3_moe"}) {
    const TempDir directory;
    const json config = moe_config(type);
    const Contents whole = synthetic(directory, config, "synth", 1, 1, 1);
    for (const bool stacked : {false, true}) {
      INFO(type << (stacked ? " stacked" : " one by one"));
      const fs::path hf = directory.path() / (stacked ? "stacked" : "plain");
      const RawTensors tensors = checkpoint_of(whole, config, stacked);
      write_checkpoint(hf, config, tensors);
      ModelOptions options = grid(2, 1);
      options.ep = 2;
      convert(hf, directory.path() / (stacked ? "from-stacked" : "from-plain"), options);
      CHECK(read_all(directory.path() / (stacked ? "from-stacked" : "from-plain")) == whole);
    }
    RawTensors damaged = checkpoint_of(whole, config, false);
    const std::string name = type == std::string("mixtral")
                                 ? "model.layers.2.block_sparse_moe.experts.3.w2.weight"
                                 : "model.layers.2.mlp.experts.3.down_proj.weight";
    REQUIRE(damaged.erase(name) == 1);
    write_checkpoint(directory.path() / "missing", config, damaged);
    CHECK(contains(
        user_error([&] { convert(directory.path() / "missing", directory.path() / "x", {}); }),
        name));
  }
}

TEST_CASE("loading reads only the experts of the rank", "[model][experts]") {
  const TempDir directory;
  json config = moe_config("qwen3_moe");
  config.update({{"hidden_size", 256},
                 {"moe_intermediate_size", 512},
                 {"num_hidden_layers", 1},
                 {"mlp_only_layers", json::array()},
                 {"num_experts", 32}});
  synthetic(directory, config, "model", 1, 1,
            1);  // an expert's matrix has half a MiB, a segment 128 KiB
  constexpr Bytes kExperts = Bytes{3} * 32 * 256 * 512 * 4;
  const auto load = [&](int ep, int rank, int tp) {
    ModelReader reader(directory.path() / "model");
    const auto ops = make_cpu_ops(1);
    const Partition part = Partition::of(reader.config(), reader.caps(), reader.dtype(), rank % tp,
                                         tp, 0, ExpertCoordinates{rank, std::max(tp, ep), ep, tp});
    const Weights weights = load_weights(reader, part, *ops);
    CHECK(ops->memory().in_use() == weight_bytes(part, *ops));
    return reader.bytes_read();
  };
  const Bytes whole = load(1, 0, 1);
  const Bytes rest = whole - kExperts;
  for (const int ep : {2, 4}) {
    for (int rank = 0; rank < ep; ++rank) {
      CHECK(load(ep, rank, 1) == rest + kExperts / static_cast<Bytes>(ep));
    }
  }
}

TEST_CASE("experts of ranks", "[layout][experts]") {
  Layout layout;
  layout.tp = 2;
  layout.sp = 6;
  layout.ep = 4;
  CHECK(expert_coordinates(layout, {0, 0, 3, 1}).rank == 3);
  CHECK(expert_coordinates(layout, {0, 0, 3, 1}).domains() == 2);
  CHECK(expert_group_of(layout, {0, 0, 3, 1}) == 1);
  layout.ep = 1;
  const ExpertCoordinates shared = expert_coordinates(layout, {0, 0, 5, 1});
  CHECK(shared.rank == 1);
  CHECK(shared.sharers() == 2);
  CHECK(shared.domains() == 1);
  CHECK(expert_group_of(layout, {0, 0, 5, 1}) == 5);
  CHECK(experts_of(7, 1, 3) == Range{2, 4});
}
