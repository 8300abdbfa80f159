#include "model/files/checkpoint_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "base/error.h"

namespace weft {
namespace {

using Shape = std::vector<std::int64_t>;

bool ignorable(std::string_view name, const ModelConfig& config) {
  if (config.tied_embeddings && name == config.family->tensors.head) return true;
  return std::ranges::any_of(
      std::array{".rotary_emb.inv_freq", ".rotary_emb.cos_cached", ".rotary_emb.sin_cached"},
      [&](std::string_view suffix) { return name.ends_with(suffix); });
}

/// Transformers' own name for the block of experts: a stacked checkpoint calls mixtral's so too.
std::string with_plain_block(std::string name) {
  constexpr std::string_view mixtral = ".block_sparse_moe.";
  const std::size_t at = name.find(mixtral);
  return at == std::string::npos ? name : name.replace(at, mixtral.size(), ".mlp.");
}

/// Looks tensors up and notes which of the checkpoint's were asked for.
class Finder {
 public:
  Finder(const Checkpoint& checkpoint, const ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {}

  std::vector<CheckpointPart> parts_of(const TensorSpec& tensor) {
    if (tensor.experts > 0) return expert_parts(tensor);
    const std::string plain = with_plain_block(tensor.name);
    const std::string& name = !has(tensor.name) && has(plain) ? plain : tensor.name;
    return {part(name, tensor.shape, 0, tensor.rows())};
  }

  /// UserError when the checkpoint has a tensor that the model has not.
  void refuse_leftovers() const {
    for (const auto& [name, found] : checkpoint_.tensors()) {
      if (used_.contains(name) || ignorable(name, config_)) continue;
      fail_user("tensor {} in {}: {} models with this config.json have no such tensor", name,
                found.file->path(), config_.family->name);
    }
  }

 private:
  [[nodiscard]] bool has(const std::string& name) const {
    return checkpoint_.tensors().contains(name);
  }

  CheckpointPart part(const std::string& name, const Shape& shape, std::int64_t first_element,
                      std::int64_t rows) {
    const Checkpoint::Found& found = checkpoint_.at(name);
    if (found.entry->shape != shape) {
      fail_user("tensor {}: config.json implies shape [{}], but the checkpoint has [{}]", name,
                fmt::join(shape, ", "), fmt::join(found.entry->shape, ", "));
    }
    used_.insert(name);
    return {found.file, found.entry, first_element, rows};
  }

  std::vector<CheckpointPart> expert_parts(const TensorSpec& tensor) {
    constexpr std::string_view experts = ".experts.";
    const std::string plain = with_plain_block(tensor.name);
    const std::string stem = plain.substr(0, plain.find(experts) + experts.size());
    const bool down = tensor.axis == Axis::expert_columns;
    const std::string stacked = stem + (down ? "down_proj" : "gate_up_proj");
    std::vector<CheckpointPart> parts;
    const std::int64_t height = tensor.rows_of_expert();
    if (!has(stacked)) {
      for (std::int64_t expert = 0; expert < tensor.experts; ++expert) {
        parts.push_back(
            part(name_in_checkpoint(tensor, expert), {height, tensor.columns()}, 0, height));
      }
      return parts;
    }
    // Of each expert: its down matrix; or its gates, then its ups.
    const std::int64_t stored = down ? height : 2 * height;
    const bool up = tensor.name.ends_with(config_.family->tensors.expert_up);
    for (std::int64_t expert = 0; expert < tensor.experts; ++expert) {
      const std::int64_t first_row = expert * stored + (up ? height : 0);
      parts.push_back(part(stacked, {tensor.experts, stored, tensor.columns()},
                           first_row * tensor.columns(), height));
    }
    return parts;
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  std::set<std::string, std::less<>> used_;
};

}  // namespace

CheckpointTensors::CheckpointTensors(const Checkpoint& checkpoint,
                                     const std::vector<TensorSpec>& tensors,
                                     const ModelConfig& config) {
  Finder finder(checkpoint, config);
  for (const TensorSpec& tensor : tensors) parts_[tensor.name] = finder.parts_of(tensor);
  finder.refuse_leftovers();
}

const std::vector<CheckpointPart>& CheckpointTensors::parts(std::string_view name) const {
  const auto found = parts_.find(name);
  require(found != parts_.end(), "the checkpoint was not searched for {}", name);
  return found->second;
}

}  // namespace weft
