// The operators for CPUs.
#pragma once

#include <memory>

#include "ops/isa.h"
#include "ops/ops.h"

namespace weft {

/// The optimised operators for CPUs with `threads` OpenMP threads. Throws UserError when this
/// processor lacks `isa`.
std::unique_ptr<Ops> make_cpu_ops(int threads, Isa isa = Isa::automatic);

}  // namespace weft
