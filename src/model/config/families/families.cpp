#include "model/config/families/families.h"

#include <algorithm>
#include <array>

namespace weft {

std::span<const Family* const> families() {
  static constexpr std::array kFamilies = {&kLlama,    &kMistral, &kMixtral, &kQwen2,
                                           &kQwen2Moe, &kQwen3,   &kQwen3Moe};
  return kFamilies;
}

const Family* find_family(std::string_view name) {
  const auto all = families();
  const auto at = std::find_if(all.begin(), all.end(),
                               [name](const Family* family) { return family->name == name; });
  return at == all.end() ? nullptr : *at;
}

}  // namespace weft
