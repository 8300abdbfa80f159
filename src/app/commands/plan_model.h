// The model of a plan, which need not be converted yet.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "plan/sizing.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {

struct PlanModel {
  ModelFacts facts;
  bool converted = true;
  std::string ends_source;                     ///< who names the configuration's end tokens
  std::unique_ptr<const Tokenizer> tokenizer;  ///< null where there is none
};

/// Of a model directory; where there is none but a Hugging Face one with a config.json, of what
/// `weft convert` and `weft synth` would make of it by default. Throws UserError where there is
/// neither, and where a run would refuse the tokenizer.
PlanModel plan_model(const std::filesystem::path& directory);

}  // namespace weft
