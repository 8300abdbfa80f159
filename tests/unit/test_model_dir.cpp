// Model directories: written from checkpoints and seeds, read back in any part, never wrong bytes.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/philox.h"
#include "catch.h"
#include "io/hdf5.h"
#include "model/files/convert.h"
#include "model/files/model_reader.h"
#include "model/files/synth.h"
#include "model/files/verify.h"
#include "model_files.h"

using namespace weft;
using namespace weft::testing;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::span<std::byte> bytes_of(std::string& text) {
  return std::as_writable_bytes(std::span(text.data(), text.size()));
}

template <class T>
std::string packed(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

/// A checkpoint of random numbers, and what must come out in bf16 and in f32.
struct Sample {
  RawTensors tensors;
  Contents bf16;
  Contents f32;
};

std::string raw_dtype(DType dtype) {
  return dtype == DType::bf16 ? "BF16" : dtype == DType::f16 ? "F16" : "F32";
}

/// Random bit patterns of finite numbers in `dtype`, or for each tensor one of bf16 and f32.
Sample make_sample(const json& config, std::optional<DType> dtype, unsigned seed) {
  Sample sample;
  std::mt19937 random(seed);
  for (const TensorSpec& tensor : tensors_of(parse_config(config))) {
    const DType type = dtype.value_or((random() & 1U) != 0 ? DType::bf16 : DType::f32);
    const auto count = static_cast<std::size_t>(tensor.rows() * tensor.columns());
    std::vector<std::uint16_t> halves;
    std::vector<float> floats;
    for (std::size_t i = 0; i < count; ++i) {
      if (type == DType::f32) {
        const auto bits = static_cast<std::uint32_t>(random()) & 0xbfffffffU;
        floats.push_back(std::bit_cast<float>(bits));
      } else {
        halves.push_back(static_cast<std::uint16_t>(random() & 0xbfffU));
        floats.push_back(type == DType::bf16 ? f32_from_bf16(halves.back())
                                             : f32_from_f16(halves.back()));
      }
    }
    std::vector<std::uint16_t> rounded;
    for (const float value : floats) rounded.push_back(bf16_from_f32(value));
    sample.tensors[tensor.name] = {raw_dtype(type), tensor.shape,
                                   type == DType::f32 ? packed(floats) : packed(halves)};
    sample.bf16[tensor.name] = packed(rounded);
    sample.f32[tensor.name] = packed(floats);
  }
  return sample;
}

void write_single(const fs::path& directory, const json& config, const RawTensors& tensors) {
  fs::create_directories(directory);
  write_file(directory / "config.json", config.dump());
  write_file(directory / "model.safetensors", safetensors(tensors));
}

/// Tensors dealt to three files with an index.
void write_sharded(const fs::path& directory, const json& config, const RawTensors& tensors) {
  fs::create_directories(directory);
  write_file(directory / "config.json", config.dump());
  std::array<RawTensors, 3> parts;
  json map;
  std::size_t next = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t part = next++ % 3;
    parts[part][name] = tensor;
    map[name] = fmt::format("model-{}-of-3.safetensors", part + 1);
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    write_file(directory / fmt::format("model-{}-of-3.safetensors", i + 1), safetensors(parts[i]));
  }
  write_file(directory / "model.safetensors.index.json", json{{"weight_map", map}}.dump());
}

}  // namespace

TEST_CASE("every shard set of a checkpoint gives the same bytes", "[model]") {
  const TempDir directory;
  const json config = small_config();
  const Sample sample = make_sample(config, DType::f32, 1);
  write_single(directory.path() / "one", config, sample.tensors);
  write_sharded(directory.path() / "three", config, sample.tensors);
  std::mt19937 random(2);
  for (const auto& [tp, pp] : {std::pair{1, 1}, {2, 1}, {3, 1}, {1, 2}, {2, 2}, {3, 2}, {8, 3}}) {
    const fs::path model = directory.path() / fmt::format("model-{}-{}", tp, pp);
    convert(directory.path() / (tp == 2 ? "three" : "one"), model, grid(tp, pp));
    INFO("tp " << tp << ", pp " << pp);
    CHECK(read_all(model) == sample.f32);
    CHECK(verify(model).tensors == sample.tensors.size());
    ModelReader reader(model);
    CHECK(reader.dtype() == DType::f32);
    CHECK(reader.bytes_read() == 0);
    for (const TensorSpec& tensor : reader.tensors()) {
      if (tensor.cut_by_columns()) continue;
      std::int64_t begin = static_cast<std::int64_t>(random()) % (tensor.rows() + 1);
      std::int64_t end = static_cast<std::int64_t>(random()) % (tensor.rows() + 1);
      if (begin > end) std::swap(begin, end);
      const Bytes row_bytes = static_cast<Bytes>(tensor.columns()) * 4;
      CHECK(read_rows(reader, tensor, {begin, end}) ==
            sample.f32.at(tensor.name)
                .substr(static_cast<Bytes>(begin) * row_bytes,
                        static_cast<Bytes>(end - begin) * row_bytes));
    }
    CHECK(reader.bytes_read() > 0);
  }
}

TEST_CASE("element types are converted exactly or rounded to nearest even", "[model]") {
  const TempDir directory;
  json config = small_config();
  const auto converted = [&](const Sample& sample, std::optional<DType> dtype) {
    const fs::path hf = directory.path() / "hf";
    const fs::path model = directory.path() / "model";
    fs::remove_all(hf);
    fs::remove_all(model);
    write_single(hf, config, sample.tensors);
    ModelOptions options = grid(2, 1);
    options.dtype = dtype;
    convert(hf, model, options);
    return read_all(model);
  };
  const Sample wide = make_sample(config, DType::f32, 3);
  CHECK(converted(wide, {}) == wide.f32);
  CHECK(converted(wide, DType::bf16) == wide.bf16);
  const Sample narrow = make_sample(config, DType::bf16, 4);
  CHECK(converted(narrow, {}) == narrow.bf16);
  CHECK(converted(narrow, DType::f32) == narrow.f32);
  const Sample half = make_sample(config, DType::f16, 5);
  CHECK(contains(user_error([&] { converted(half, {}); }), "F16"));
  CHECK(contains(user_error([&] { converted(half, DType::f16); }), "bf16 or f32"));
  CHECK(converted(half, DType::bf16) == half.bf16);
  CHECK(converted(half, DType::f32) == half.f32);
  const Sample mixed = make_sample(config, {}, 6);
  CHECK(contains(user_error([&] { converted(mixed, {}); }), "--dtype"));
  config["torch_dtype"] = "bfloat16";
  CHECK(converted(mixed, {}) == mixed.bf16);
  config["dtype"] = "float32";
  CHECK(converted(mixed, {}) == mixed.f32);
}

TEST_CASE("checkpoints that do not fit their config are refused by tensor", "[model]") {
  const TempDir directory;
  const json config = small_config();
  const Sample sample = make_sample(config, DType::bf16, 7);
  const auto complaint = [&](const json& given, const RawTensors& tensors) {
    const fs::path hf = directory.path() / "hf";
    fs::remove_all(hf);
    write_single(hf, given, tensors);
    const std::string text =
        user_error([&] { convert(hf, directory.path() / "model", ModelOptions()); });
    fs::remove_all(directory.path() / "model");
    return text;
  };
  CHECK(complaint(config, sample.tensors).empty());

  RawTensors tensors = sample.tensors;
  tensors.erase("model.layers.1.self_attn.k_norm.weight");
  CHECK(contains(complaint(config, tensors), "model.layers.1.self_attn.k_norm.weight is missing"));

  tensors = sample.tensors;
  tensors["model.layers.9.mlp.up_proj.weight"] = {"BF16", {1}, "xx"};
  CHECK(contains(complaint(config, tensors), "model.layers.9.mlp.up_proj.weight"));

  tensors = sample.tensors;
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F32", {1}, "0123"};
  CHECK(complaint(config, tensors).empty());

  tensors = sample.tensors;
  tensors["model.norm.weight"].shape = {2, 24};
  CHECK(contains(
      complaint(config, tensors),
      "model.norm.weight: config.json implies shape [48], but the checkpoint has [2, 24]"));

  tensors = sample.tensors;
  tensors["model.norm.weight"].dtype = "I16";
  CHECK(contains(complaint(config, tensors), "model.norm.weight: element type I16"));

  json tied = config;
  tied["tie_word_embeddings"] = true;
  CHECK(complaint(tied, sample.tensors).empty());  // lm_head.weight is ignored
  tensors = sample.tensors;
  tensors.erase("lm_head.weight");
  CHECK(complaint(tied, tensors).empty());
  CHECK(contains(complaint(config, tensors), "lm_head.weight is missing"));
}

TEST_CASE("options out of range and targets in the way are refused", "[model]") {
  const TempDir directory;
  const fs::path config = directory.path() / "config.json";
  write_file(config, small_config().dump());
  const fs::path model = directory.path() / "model";
  const auto complaint = [&](const ModelOptions& options) {
    return user_error([&] { synth(config, model, options); });
  };
  CHECK(contains(complaint(grid(0, 1)), "tp = 0"));
  CHECK(contains(complaint(grid(65, 1)), "tp = 65"));
  CHECK(contains(complaint(grid(1, 4)), "pp = 4"));
  ModelOptions options;
  options.caps.split = 6;
  CHECK(contains(complaint(options), "power of two"));
  CHECK_FALSE(fs::exists(model));
  CHECK_FALSE(fs::exists(directory.path() / "model.partial"));

  fs::create_directories(model);
  CHECK(complaint(ModelOptions()).empty());  // an empty directory is no obstacle
  CHECK(contains(complaint(ModelOptions()), "exists already"));
  fs::remove_all(model);

  fs::create_directories(directory.path() / "model.partial");
  write_file(directory.path() / "model.partial" / "shard-pp00-tp00.h5", "of a killed run");
  CHECK(complaint(ModelOptions()).empty());
  verify(model);
  fs::remove_all(model);

  fs::create_directories(directory.path() / "model.partial");
  write_file(directory.path() / "model.partial" / "thesis.tex", "precious");
  CHECK(contains(complaint(ModelOptions()), "thesis.tex"));
  CHECK(contents_of(directory.path() / "model.partial" / "thesis.tex") == "precious");
}

TEST_CASE("synthetic weights follow the written formula", "[model]") {
  const TempDir directory;
  write_file(directory.path() / "config.json", small_config().dump());
  const auto model_of = [&](DType dtype, const ModelOptions& given, const std::string& name) {
    ModelOptions options = given;
    options.dtype = dtype;
    options.seed = 12345;
    synth(directory.path() / "config.json", directory.path() / name, options);
    return read_all(directory.path() / name);
  };
  const Contents wide = model_of(DType::f32, grid(1, 1), "wide");
  const Contents narrow = model_of(DType::bf16, grid(3, 2), "narrow");
  CHECK(model_of(DType::f32, grid(3, 2), "cut") == wide);
  CHECK(model_of(DType::f32, grid(1, 1), "again") == wide);
  CHECK(contents_of(directory.path() / "again" / "weft.json") ==
        contents_of(directory.path() / "wide" / "weft.json"));
  CHECK(contents_of(directory.path() / "again" / "shard-pp00-tp00.h5") ==
        contents_of(directory.path() / "wide" / "shard-pp00-tp00.h5"));

  for (const TensorSpec& tensor : tensors_of(parse_config(small_config()))) {
    const Philox philox(synth_key(12345, tensor.name));
    const auto count = static_cast<std::size_t>(tensor.rows() * tensor.columns());
    std::vector<float> expected;
    std::vector<std::uint16_t> rounded;
    const auto scale =
        static_cast<float>(std::sqrt(3.0) / std::sqrt(static_cast<double>(tensor.columns())));
    for (std::size_t i = 0; i < count; ++i) {
      const float v = 2.0F * unit_float(philox.at(i / 4)[i % 4]) - 1.0F;
      volatile float value = v;  // no fused operations
      if (tensor.name.ends_with("norm.weight")) {
        value = 0.1F * v;
        value = 1.0F + value;
      } else if (tensor.name.ends_with(".bias")) {
        value = 0.1F * v;
      } else if (tensor.name != "model.embed_tokens.weight") {
        value = scale * v;
      }
      const float last = value;
      expected.push_back(last);
      rounded.push_back(bf16_from_f32(last));
    }
    INFO(tensor.name);
    CHECK(wide.at(tensor.name) == packed(expected));
    CHECK(narrow.at(tensor.name) == packed(rounded));
  }
  CHECK(synth_key(0, "a") == 0xaf63dc4c8601ec8cU);  // a published FNV-1a value
  CHECK(synth_key(1, "a") == 0xaf63dc4c8601ec8cU + 0x9E3779B97F4A7C15U);
}

TEST_CASE("rows across many digest blocks", "[model]") {
  const TempDir directory;
  json config = small_config();
  config["hidden_size"] = 100;  // rows of 400 bytes straddle the blocks of 1 MiB
  config["vocab_size"] = 26000;
  config["num_hidden_layers"] = 1;
  config["torch_dtype"] = "float32";
  write_file(directory.path() / "config.json", config.dump());
  const fs::path model = directory.path() / "model";
  synth(directory.path() / "config.json", model, grid(2, 1));
  ModelReader reader(model);
  const TensorSpec& tensor = reader.tensor("model.embed_tokens.weight");
  std::string whole(26000 * 400, '\0');
  synth_rows(tensor, 0, {0, 26000}, DType::f32, bytes_of(whole));
  CHECK(read_rows(reader, tensor, {0, 26000}) == whole);
  for (const Range rows : {Range{0, 1},
                           {2621, 2623},
                           {10485, 10487},
                           {12799, 12801},
                           {25999, 26000},
                           {1, 25999},
                           {5000, 20000},
                           {7, 7}}) {
    CHECK(read_rows(reader, tensor, rows) == whole.substr(static_cast<Bytes>(rows.begin) * 400,
                                                          static_cast<Bytes>(rows.size()) * 400));
  }
  const Bytes before = reader.bytes_read();
  read_rows(reader, tensor, {0, 1});
  CHECK(reader.bytes_read() - before == Bytes{1} << 20);
  CHECK_THROWS_AS(read_rows(reader, tensor, {0, 26001}), Error);
  CHECK_THROWS_AS(reader.read_rows(reader.tensor("model.layers.0.mlp.down_proj.weight"), {0, 1},
                                   [](auto, auto, auto) {}),
                  Error);

  for (const hdf5::Dataset& dataset : hdf5::list(model / "shard-pp00-tp00.h5")) {
    if (dataset.bytes >= 4096) CHECK(dataset.offset % 4096 == 0);
  }
}

TEST_CASE("tokenizer files are copied and generation_config.json is obeyed", "[model]") {
  const TempDir directory;
  const fs::path model = directory.path() / "model";
  write_file(directory.path() / "config.json", small_config().dump());
  write_file(directory.path() / "tokenizer.json", "{}");
  write_file(directory.path() / "merges.txt", "a b\n");
  write_file(directory.path() / "README.md", "not a tokenizer");
  write_file(directory.path() / "generation_config.json", R"({"eos_token_id": [5, 7]})");
  synth(directory.path() / "config.json", model, ModelOptions());
  CHECK(contents_of(model / "merges.txt") == "a b\n");
  CHECK_FALSE(fs::exists(model / "README.md"));
  CHECK(ModelReader(model).config().eos == std::vector<TokenId>{5, 7});
  CHECK(verify(model).tokenizer_files == 3);
  write_file(model / "merges.txt", "a c\n");
  CHECK(contains(user_error([&] { verify(model); }), "merges.txt: damaged"));
  fs::remove(model / "merges.txt");
  CHECK(contains(user_error([&] { verify(model); }), "merges.txt"));
  write_file(model / "generation_config.json", R"({"eos_token_id": [5, 8]})");
  CHECK(
      contains(user_error([&] { ModelReader reader(model); }), "generation_config.json: damaged"));

  ModelOptions none;
  none.copy_tokenizer = false;
  synth(directory.path() / "config.json", directory.path() / "bare", none);
  CHECK(verify(directory.path() / "bare").tokenizer_files == 0);
}

TEST_CASE("several threads read one model", "[model]") {
  const TempDir directory;
  write_file(directory.path() / "config.json", small_config().dump());
  const fs::path model = directory.path() / "model";
  synth(directory.path() / "config.json", model, grid(2, 2));
  const Contents expected = read_all(model);
  ModelReader reader(model);
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (const TensorSpec& tensor : reader.tensors()) {
        if (tensor.cut_by_columns()) continue;
        std::string found;
        reader.read_rows(tensor, {0, tensor.rows()}, [&](auto, auto bytes, auto) {
          found.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        });
        if (found != expected.at(tensor.name)) ++wrong;
      }
    });
  }
  threads.clear();
  CHECK(wrong == 0);
}

TEST_CASE("digests of a dataset of many GiB fit its attribute", "[model]") {
  const TempDir directory;
  const fs::path path = directory.path() / "large.h5";  // sparse: no data are written
  std::vector<hdf5::Dataset> datasets(2);
  for (hdf5::Dataset& dataset : datasets) dataset.global_offset = {0, 0};
  datasets[0].name = "large";
  datasets[0].shape = datasets[0].global_shape = {1200000, 2048};
  datasets[1].name = "small";
  datasets[1].shape = datasets[1].global_shape = {3, 5};
  hdf5::create(path, datasets);
  REQUIRE(datasets[0].digests.size() == 9375);
  for (std::size_t i = 0; i < datasets[0].digests.size(); ++i) datasets[0].digests[i] = {i, ~i};
  datasets[1].digests[0] = {7, 8};
  hdf5::write_digests(path, datasets);
  const std::vector<hdf5::Dataset> found = hdf5::list(path);
  REQUIRE(found.size() == 2);
  for (const hdf5::Dataset& dataset : found) {
    const hdf5::Dataset& expected = datasets[dataset.name == "large" ? 0 : 1];
    CHECK(dataset.offset == expected.offset);
    CHECK(dataset.bytes == expected.bytes);
    CHECK(dataset.digests == expected.digests);
    CHECK(dataset.shape == expected.shape);
  }
}
