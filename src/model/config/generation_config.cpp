#include "model/config/generation_config.h"

#include "io/json.h"
#include "model/config/config.h"

namespace weft {

void check_generation_config(const std::filesystem::path& directory, std::int64_t vocab) {
  const std::filesystem::path file = directory / "generation_config.json";
  if (std::error_code ignored;
      std::filesystem::exists(std::filesystem::symlink_status(file, ignored))) {
    parse_generation_config(read_json(file), vocab);
  }
}

}  // namespace weft
