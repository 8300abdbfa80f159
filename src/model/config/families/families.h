// The families that there are. A new one is declared here and listed in families.cpp.
#pragma once

#include "model/config/family.h"

namespace weft {

extern const Family kLlama;
extern const Family kMistral;
extern const Family kMixtral;
extern const Family kQwen2;
extern const Family kQwen2Moe;
extern const Family kQwen3;
extern const Family kQwen3Moe;

}  // namespace weft
