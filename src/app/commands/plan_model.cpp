#include "app/commands/plan_model.h"

#include "app/deployment.h"
#include "io/file.h"
#include "io/json.h"
#include "model/files/manifest.h"

namespace weft {

PlanModel plan_model(const std::filesystem::path& directory) {
  const std::filesystem::path config_json = directory / "config.json";
  if (is_there(directory / Manifest::kFileName) || !is_there(config_json)) {
    return {facts_of(ModelReader(directory)), true};
  }
  const nlohmann::json config = read_json(config_json);
  const DType dtype = config_dtype(config) == DType::f32 ? DType::f32 : DType::bf16;
  return {{parse_config(config), {}, dtype}, false};
}

}  // namespace weft
