// The instruction sets that the CPU operators are compiled for.
#pragma once

#include <string_view>

namespace weft {

/// Instruction set of the CPU operators; the bits do not depend on it.
enum class Isa { automatic, avx512_bf16, avx512, avx2, plain };

/// "auto", "avx512_bf16", "avx512", "avx2", "plain".
std::string_view name(Isa isa);
/// The reverse of `name`; throws UserError.
Isa isa_from_name(std::string_view name);

}  // namespace weft
