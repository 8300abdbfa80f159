// What a model directory may hold: files that its manifest lists, weights that are finite numbers.
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "app/model_text.h"
#include "catch.h"
#include "model/files/add_file.h"
#include "model/files/convert.h"
#include "model/files/crash_guard.h"
#include "model/files/finite.h"
#include "model/files/synth.h"
#include "model/files/verify.h"
#include "model_files.h"

using namespace weft;
using namespace weft::testing;
namespace fs = std::filesystem;

namespace {

/// A model without tokenizer.
fs::path make_model(const TempDir& directory) {
  fs::create_directories(directory.path() / "source");
  write_file(directory.path() / "source/config.json", small_config().dump());
  synth(directory.path() / "source/config.json", directory.path() / "model", {});
  return directory.path() / "model";
}

/// The message of `check_finite` for one tensor of bf16 or f32.
template <class T>
std::string refusal(const TensorSpec& tensor, Range rows, Range columns, DType dtype,
                    const std::vector<T>& values) {
  return user_error(
      [&] { check_finite(tensor, rows, columns, dtype, std::as_bytes(std::span(values))); });
}

}  // namespace

TEST_CASE("files that a run would read must be listed", "[model][identity]") {
  const TempDir directory;
  const fs::path model = make_model(directory);
  const Digest before = ModelReader(model).manifest().digest;
  write_file(model / "notes.txt", "nobody reads this");
  CHECK(user_error([&] { ModelReader reader(model); }).empty());

  for (const std::string name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                                 "generation_config.json", "additional_chat_templates/rag.jinja"}) {
    INFO(name);
    fs::create_directories((model / name).parent_path());
    write_file(model / name, "{}");
    for (const std::string& text :
         {user_error([&] { ModelReader reader(model); }), user_error([&] { verify(model); })}) {
      CHECK(contains(text, (model / name).string() + ": would change results"));
      CHECK(contains(text, "weft convert --add-file " + model.string() + " "));
    }
    fs::remove(model / name);
  }
  // A link that leads nowhere now may lead somewhere later.
  fs::create_symlink("nowhere", model / "chat_template.jinja");
  CHECK_FALSE(user_error([&] { ModelReader reader(model); }).empty());
  fs::remove(model / "chat_template.jinja");
  CHECK(ModelReader(model).manifest().digest == before);
}

TEST_CASE("a file is added to a model, which is another model then", "[model][identity]") {
  const TempDir directory;
  const fs::path model = make_model(directory);
  const Digest before = ModelReader(model).manifest().digest;
  write_file(directory.path() / "generation_config.json", R"({"eos_token_id": 7})");
  const Digest added = add_file(model, directory.path() / "generation_config.json");
  CHECK_FALSE(added == before);
  CHECK(ModelReader(model).manifest().digest == added);
  CHECK(ModelReader(model).config().eos == std::vector<TokenId>{7});
  CHECK(user_error([&] { verify(model); }).empty());

  // In place already; the order in which files come does not show.
  fs::create_directories(model / kTemplateFolder);
  write_file(model / kTemplateFolder / "rag.jinja", "{{ messages }}");
  const Digest both = add_file(model, model / kTemplateFolder / "rag.jinja");
  const TempDir other_directory;
  const fs::path other = make_model(other_directory);
  write_file(other_directory.path() / "generation_config.json", R"({"eos_token_id": 7})");
  fs::create_directories(other / kTemplateFolder);
  write_file(other / kTemplateFolder / "rag.jinja", "{{ messages }}");
  add_file(other, other / kTemplateFolder / "rag.jinja");
  CHECK(add_file(other, other_directory.path() / "generation_config.json") == both);

  // Once more: the same model. With other contents: another one, and the old file is gone.
  CHECK(add_file(other, other_directory.path() / "generation_config.json") == both);
  write_file(other_directory.path() / "generation_config.json", R"({"eos_token_id": 8})");
  CHECK_FALSE(add_file(other, other_directory.path() / "generation_config.json") == both);
  CHECK(ModelReader(other).config().eos == std::vector<TokenId>{8});

  write_file(directory.path() / "notes.txt", "");
  CHECK(contains(user_error([&] { add_file(model, directory.path() / "notes.txt"); }),
                 "a run reads no such file"));
  CHECK(contains(user_error([&] { add_file(model, directory.path() / "tokenizer.json"); }),
                 "tokenizer.json"));
}

TEST_CASE("weights that are not finite are found, with their index", "[model][finite]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const TensorSpec matrix{.name = "w", .shape = {100, 7}};
  std::vector<float> values(21, -std::numeric_limits<float>::max());
  CHECK(refusal(matrix, {40, 43}, {0, 7}, DType::f32, values).empty());
  values[10] = nan;
  CHECK(contains(refusal(matrix, {40, 43}, {0, 7}, DType::f32, values),
                 "tensor w: element [41, 3] is NaN as f32"));
  CHECK(contains(refusal(matrix, {40, 47}, {4, 7}, DType::f32, values), "element [43, 5] is NaN"));
  values[10] = infinity;
  CHECK(contains(refusal(matrix, {40, 43}, {0, 7}, DType::f32, values), "is infinity"));
  values[0] = -infinity;
  CHECK(contains(refusal(matrix, {40, 43}, {0, 7}, DType::f32, values), "[40, 0] is -infinity"));
  const TensorSpec norm{.name = "n", .shape = {5}};
  std::vector<std::uint16_t> halves(5, 0x7f7f);
  CHECK(refusal(norm, {0, 5}, {0, 1}, DType::bf16, halves).empty());
  halves[4] = 0xff80;
  CHECK(contains(refusal(norm, {0, 5}, {0, 1}, DType::bf16, halves),
                 "tensor n: element [4] is -infinity as bf16"));
  const TensorSpec experts{
      .name = "model.layers.0.mlp.experts.up_proj.weight", .shape = {6, 4}, .experts = 3};
  std::vector<float> stacked(24, 1);
  stacked[3 * 4 + 2] = nan;
  CHECK(contains(refusal(experts, {0, 6}, {0, 4}, DType::f32, stacked), "element [1, 2] is NaN"));
}

TEST_CASE("tokenizers and templates that a run refuses are refused before", "[model][identity]") {
  const TempDir directory;
  CHECK(user_error([&] { check_text_of(directory.path()); }).empty());
  write_file(directory.path() / "tokenizer.json", R"({"model": {"type": "Unigram", "vocab": []}})");
  const std::string text = user_error([&] { check_text_of(directory.path()); });
  CHECK(contains(text, "tokenizer.json"));
  CHECK(text == user_error([&] { load_tokenizer(directory.path()); }));
}

TEST_CASE("a file that crashes its library costs a message", "[model][damage]") {
  const auto trying = [](const std::function<void()>& open) {
    return user_error([&] { try_apart("shard.h5", open); });
  };
  CHECK(contains(trying([] { std::raise(SIGSEGV); }), "shard.h5: the HDF5 library crashes on it"));
  CHECK(contains(trying([] { std::abort(); }), "Aborted"));
  CHECK(trying([] {}).empty());
  CHECK(trying([] { fail("which the caller finds, too"); }).empty());

  const TempDir directory;
  const fs::path model = make_model(directory);
  const Manifest manifest = read_manifest(model);
  CHECK(user_error([&] { try_shards_apart(model, manifest); }).empty());
  write_file(model / manifest.shards[0].name(), "");  // not the file that was written
  CHECK(user_error([&] { try_shards_apart(model, manifest); }).empty());
}
