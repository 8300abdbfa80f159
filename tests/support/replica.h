// One replica of a small synthetic model, run in the test's own process.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/group.h"
#include "engine/engine.h"
#include "model/model.h"
#include "model/model_reader.h"
#include "unit/temp_dir.h"

namespace weft::test {

/// A directory with a synthetic model of the given config.json, removed at the end.
class SyntheticModel {
 public:
  SyntheticModel(const nlohmann::json& config, DType dtype, std::uint64_t seed, int tp = 1);

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  testing::TempDir directory_;
  std::filesystem::path path_;
};

/// How a replica runs: nothing of it may show in the results.
struct ReplicaOptions {
  int threads = 1;
  Isa isa = Isa::automatic;
  bool reference_ops = false;
  Transport transport = Transport::automatic;
  std::int64_t max_batch_tokens = 512;
  std::int64_t max_sequences = 64;
  std::int64_t prefill_chunk = 0;
  std::int64_t page_tokens = 32;
  std::int64_t pages = 256;
  std::int64_t max_sequence_length = 1024;
};

/// Model and operators of one rank of a replica.
class Replica {
 public:
  /// Opens the model for this rank of `group`, which must outlive the replica.
  Replica(const std::filesystem::path& model, const ReplicaOptions& options, Group& group);

  [[nodiscard]] Model& model() { return *model_; }
  [[nodiscard]] Ops& ops() { return *ops_; }

  /// Runs the requests to their ends; the completions in the order of their indices. `stats`
  /// receives the engine's figures.
  std::vector<Completion> complete(const std::vector<Request>& requests,
                                   EngineStats* stats = nullptr);

  /// Logits [rows.size(), own vocabulary] of one sequence, computed in one step.
  std::vector<float> logits(const std::vector<TokenId>& tokens,
                            const std::vector<std::int32_t>& rows);

 private:
  ReplicaOptions options_;
  ModelReader reader_;
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<Model> model_;
};

/// A config.json of the given family with the usual small sizes; override what matters.
nlohmann::json tiny_config(const std::string& family);

/// `count` requests of varied lengths, greedy and sampled in turn, the same for the same seed.
std::vector<Request> varied_requests(std::int64_t count, std::int64_t vocab, std::uint64_t seed,
                                     std::int64_t longest_prompt, std::int64_t most_tokens);

/// Digest over ids, ends and logits digests of completions, in order.
Digest digest_of_completions(const std::vector<Completion>& completions);

}  // namespace weft::test
