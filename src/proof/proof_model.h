// The small models on which weft proves that the layout never shows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "engine/request.h"

namespace weft {

/// A synthetic model that stresses something.
struct ProofModel {
  std::string name;       ///< what it stresses
  nlohmann::json config;  ///< as config.json has it
  DType dtype = DType::bf16;
};

/// Few KV heads, tied and untied embeddings, a vocabulary that is no multiple of a block, QK-norm,
/// biases, a sliding window, experts (top 2 and top 8, with dense layers between, with a shared
/// expert), both element types.
std::vector<ProofModel> proof_models();

/// 66 requests against a vocabulary of `vocab`: prompts of one token, of lengths around the key
/// block of 128 and of several blocks, many that reach the end of a block of 32 as they decode,
/// some with a common beginning, greedy and sampled in turn. The same for the same vocabulary.
std::vector<Request> proof_requests(std::int64_t vocab);

/// The requests shuffled by a seed; as they are for seed 0.
std::vector<Request> requests_in_order(std::vector<Request> requests, std::uint64_t seed);

/// Those of the requests that replica `replica` of `replicas` computes: about half of all fall to
/// one replica, half of the rest to the next, and so on; some may get none. `seed` varies which.
std::vector<Request> share_of(const std::vector<Request>& requests, int replica, int replicas,
                              std::uint64_t seed);

/// The longest sequence that these requests can become.
inline constexpr std::int64_t kProofLength = 320;

/// Writes the model's directory under `folder` and returns its path; `tp` is the number of shard
/// files, which must not matter either.
std::filesystem::path write_proof_model(const ProofModel& model,
                                        const std::filesystem::path& folder, int tp);

}  // namespace weft
