// Experiments and measurements on a GPU; weft_cuda_lab runs them.
#pragma once

namespace weft::lab {

/// Prints which forms of the product agree to the bit.
void compare_variants();

/// Prints times of products for several numbers of segments.
void compare_segments();

/// Prints times and rates of the operators at the shapes of Qwen3-8B.
void measure_operators();

/// Prints times of choosing tokens, by the host and on the GPU.
void measure_sampling();

}  // namespace weft::lab
