// One replica of a small synthetic model, run in the test's own process.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "proof/replica.h"
#include "unit/temp_dir.h"

namespace weft::test {

/// A directory with a synthetic model of the given config.json, removed at the end.
class SyntheticModel {
 public:
  SyntheticModel(const nlohmann::json& config, DType dtype, std::uint64_t seed, int tp = 1,
                 int ep = 1);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  testing::TempDir directory_;
  std::filesystem::path path_;
};

/// Logits [rows.size(), own vocabulary] of one sequence, computed in one step.
std::vector<float> logits_of(Replica& replica, const std::vector<TokenId>& tokens,
                             const std::vector<std::int32_t>& rows);

/// A config.json of the given family with the usual small sizes; override what matters.
nlohmann::json tiny_config(const std::string& family);

/// `count` requests of varied lengths, greedy and sampled in turn, the same for the same seed.
std::vector<Request> varied_requests(std::int64_t count, std::int64_t vocab, std::uint64_t seed,
                                     std::int64_t longest_prompt, std::int64_t most_tokens);

/// Digest over ids, ends and logits digests of completions, in order.
Digest digest_of_completions(const std::vector<Completion>& completions);

}  // namespace weft::test
