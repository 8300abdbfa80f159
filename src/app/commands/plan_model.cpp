#include "app/commands/plan_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "app/engine_settings.h"
#include "app/model_text.h"
#include "io/file.h"
#include "io/json.h"
#include "model/config/generation_config.h"
#include "model/files/manifest.h"

namespace weft {

namespace {

constexpr const char* kGeneration = "generation_config.json";

std::vector<TokenId> generation_ends(const std::filesystem::path& directory, std::int64_t vocab) {
  if (!is_there(directory / kGeneration)) return {};
  return parse_generation_config(read_json(directory / kGeneration), vocab);
}

std::string ends_source(const nlohmann::json& config, const std::vector<TokenId>& generation) {
  if (!generation.empty()) return kGeneration;
  return config.contains("eos_token_id") ? "config.json" : "the architecture's default";
}

bool has_tokenizer(const std::filesystem::path& directory) {
  const auto has = [&](const char* name) { return is_there(directory / name); };
  return has("tokenizer.json") || has("tokenizer.model") ||
         (has("vocab.json") && has("merges.txt"));
}

}  // namespace

PlanModel plan_model(const std::filesystem::path& directory) {
  const std::filesystem::path config_json = directory / "config.json";
  if (is_there(directory / Manifest::kFileName) || !is_there(config_json)) {
    const ModelReader reader(directory);
    check_text(reader);
    const auto& files = reader.manifest().tokenizer;
    const bool listed = std::any_of(files.begin(), files.end(),
                                    [](const TokenizerFile& f) { return f.name == kGeneration; });
    const auto ends =
        listed ? generation_ends(directory, reader.config().vocab) : std::vector<TokenId>();
    return {facts_of(reader), true, ends_source(reader.manifest().config, ends),
            tokenizer_of(reader)};
  }
  const nlohmann::json config = read_json(config_json);
  const DType dtype = config_dtype(config) == DType::f32 ? DType::f32 : DType::bf16;
  ModelFacts facts{parse_config(config), {}, dtype};
  check_generation_config(directory, facts.config.vocab);
  check_text_of(directory);
  const std::vector<TokenId> ends = generation_ends(directory, facts.config.vocab);
  if (!ends.empty()) facts.config.eos = ends;
  return {std::move(facts), false, ends_source(config, ends),
          has_tokenizer(directory) ? load_tokenizer(directory) : nullptr};
}

}  // namespace weft
