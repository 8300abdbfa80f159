// Where the tensors of a model lie in a Hugging Face checkpoint.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/safetensors.h"
#include "model/config/config.h"
#include "model/tensors.h"

namespace weft {

/// Consecutive rows of one tensor of a checkpoint.
struct CheckpointPart {
  const SafetensorsFile* file = nullptr;
  const SafetensorsEntry* entry = nullptr;
  std::int64_t first_element = 0;
  std::int64_t rows = 0;
};

/// For each tensor of a model the parts that it is made of: one, or for stacked experts one for
/// each. Experts may lie in the checkpoint one by one (…experts.3.up_proj.weight) or stacked, gates
/// and ups fused (…experts.gate_up_proj [E, 2F, H], …experts.down_proj [E, H, F], where mixtral's
/// block is called mlp too).
class CheckpointTensors {
 public:
  /// Throws UserError that names the tensor, and expected and found shapes, unless the checkpoint
  /// has exactly the model's tensors. Ignored are rotary tables that old checkpoints store, and
  /// `lm_head.weight` where config.json ties it to the embedding. `checkpoint` must outlive this.
  CheckpointTensors(const Checkpoint& checkpoint, const std::vector<TensorSpec>& tensors,
                    const ModelConfig& config);

  /// Parts of a tensor, by rows.
  [[nodiscard]] const std::vector<CheckpointPart>& parts(std::string_view name) const;

 private:
  std::unordered_map<std::string_view, std::vector<CheckpointPart>> parts_;
};

}  // namespace weft
