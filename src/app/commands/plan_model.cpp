#include "app/commands/plan_model.h"

#include "app/deployment.h"
#include "app/model_text.h"
#include "io/json.h"
#include "model/config/generation_config.h"
#include "model/files/manifest.h"

namespace weft {

PlanModel plan_model(const std::filesystem::path& directory) {
  const std::filesystem::path config_json = directory / "config.json";
  if (std::filesystem::exists(directory / Manifest::kFileName) ||
      !std::filesystem::exists(config_json)) {
    const ModelReader reader(directory);
    check_text(reader);
    return {facts_of(reader), true};
  }
  const nlohmann::json config = read_json(config_json);
  const DType dtype = config_dtype(config) == DType::f32 ? DType::f32 : DType::bf16;
  const ModelConfig model = parse_config(config);
  check_generation_config(directory, model.vocab);
  check_text_of(directory);
  return {{model, {}, dtype}, false};
}

}  // namespace weft
