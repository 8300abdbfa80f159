// MPI's own all-reduce, as a yardstick: nothing that is computed comes from it, as the order of its
// additions is its own affair.
#pragma once

#include <span>

namespace weft {

/// out[i] becomes the sum of all ranks' in[i]; every rank of the job must call it, with as many
/// elements. Throws Error.
void mpi_sum(std::span<const float> in, std::span<float> out);

}  // namespace weft
