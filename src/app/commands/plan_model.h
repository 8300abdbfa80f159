// The model of a plan, which need not be converted yet.
#pragma once

#include <filesystem>

#include "plan/sizing.h"

namespace weft {

struct PlanModel {
  ModelFacts facts;
  bool converted = true;
};

/// Of a model directory; where there is none but a Hugging Face one with a config.json, of what
/// `weft convert` and `weft synth` would make of it by default. Throws UserError where there is
/// neither.
PlanModel plan_model(const std::filesystem::path& directory);

}  // namespace weft
