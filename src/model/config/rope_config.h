// The rotary embedding's part of a Hugging Face config.json.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "model/config/config.h"
#include "model/config/json_fields.h"

namespace weft {

/// Largest number of positions that a config may state.
inline constexpr std::int64_t kPositionsCap = std::int64_t{1} << 30;

struct RopeConfig {
  double theta = 10000;
  RopeScaling scaling;
};

/// Reads `rope_theta` and `rope_scaling` (older files) or `rope_parameters` (newer ones) of the
/// config.json `object`, whose keys are `fields`. Values in the dictionary win over those beside
/// it, as in Transformers; without any theta it is `default_theta`. Throws UserError for kinds that
/// are not supported, by name.
RopeConfig parse_rope(const JsonFields& fields, const nlohmann::json& object,
                      std::int64_t max_positions, double default_theta);

}  // namespace weft
