// generation_config.json: the end tokens beside a model's config.json.
#pragma once

#include <cstdint>
#include <filesystem>

namespace weft {

/// Refuses a `directory`/generation_config.json, where there is one, as parse_generation_config
/// (model/config/config.h) does. Throws UserError.
void check_generation_config(const std::filesystem::path& directory, std::int64_t vocab);

}  // namespace weft
