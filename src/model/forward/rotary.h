// Frequencies of the rotary position embedding.
#pragma once

#include <vector>

#include "model/config/config.h"

namespace weft {

/// Angles are f32(position) * inverse_frequencies[j]; cosines and sines are multiplied by `scale`.
struct Rotary {
  std::vector<float> inverse_frequencies;  ///< [head_dim / 2]
  float scale = 1;
};

/// The frequencies theta^(-2j/head_dim), stretched as the config says:
///   * linear: divided by the factor (kaiokendev, 2023);
///   * llama3: long wavelengths divided by the factor, short ones kept, a linear blend between
///     (Llama 3.1 model card);
///   * yarn: the same idea with a ramp between two numbers of rotations, and cosines and sines
///     scaled by 0.1 ln(factor) + 1 unless given (Peng et al., arXiv 2309.00071).
Rotary rotary_of(const ModelConfig& config);

}  // namespace weft
