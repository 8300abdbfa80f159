// Drafts change no bit, whether they are right, wrong, or right at first.
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "comm/mpi_group.h"
#include "proof/outcome.h"
#include "proof/proof_model.h"
#include "support/replica.h"
#include "support/skip.h"
#include "unit/catch.h"

namespace weft::test {
namespace {

/// Requests of every kind: greedy, sampled, with penalties and log-probabilities.
std::vector<Request> requests_of_every_kind(std::int64_t vocab) {
  std::vector<Request> requests = proof_requests(vocab);
  for (Request& request : requests) {
    if (request.index % 6 == 1) request.sampling.logprobs = 2;
    if (request.index % 6 == 2) request.sampling.presence_penalty = 0.7;
    if (request.index % 6 == 3) request.sampling.min_tokens = request.sampling.max_tokens / 2;
    if (request.index % 6 == 4) request.sampling.repetition_penalty = 1.2;
  }
  return requests;
}

/// Drafts the completions' own tokens; of every third draft one token is wrong, which one follows
/// from where it is.
class Oracle {
 public:
  explicit Oracle(const std::vector<Completion>& completions) {
    for (const Completion& c : completions) tokens_[{c.index, c.choice}] = c.tokens;
  }

  std::vector<TokenId> operator()(const Sequence& sequence, std::int64_t most) const {
    const std::vector<TokenId>& all = tokens_.at({sequence.request.index, sequence.request.choice});
    const auto at = static_cast<std::size_t>(sequence.generated());
    std::vector<TokenId> drafts;
    for (std::size_t i = at; i < all.size() && static_cast<std::int64_t>(i - at) < most; ++i) {
      drafts.push_back(all[i]);
    }
    if ((at + static_cast<std::size_t>(sequence.request.index)) % 3 == 0 && !drafts.empty()) {
      TokenId& wrong = drafts[at % drafts.size()];
      wrong = wrong == 0 ? 1 : wrong - 1;
    }
    return drafts;
  }

 private:
  std::map<std::pair<std::int64_t, std::int64_t>, std::vector<TokenId>> tokens_;
};

}  // namespace

TEST_CASE("drafts change no bit on any axis", "[layout][speculation]") {
  const auto world = make_world_group();
  const int ranks = world->size();
  WEFT_SKIP_IF(ranks > 4, "one to four ranks");
  std::vector<Layout> layouts = {{ranks, 1, 1, 1, 1}};
  if (ranks > 1 && ranks < 4) layouts.push_back({1, ranks, 1, 1, 1});
  if (ranks > 1 && ranks < 4) layouts.push_back({1, 1, ranks, 1, 1});
  if (ranks == 4) layouts = {{2, 2, 1, 1, 1}, {1, 2, 2, 1, 1}, {2, 1, 2, 1, 1}};
  for (const std::size_t number : {0U, 1U, 4U}) {
    ProofModel proof = proof_models()[number];
    const SyntheticModel model(proof.config, proof.dtype, 5);
    const std::vector<Request> requests =
        requests_of_every_kind(proof.config["vocab_size"].get<std::int64_t>());
    ReplicaOptions plain;
    plain.layout = layouts.front();
    plain.max_sequence_length = kProofLength;
    plain.kv_blocks = 640;
    const std::vector<Completion> expected =
        Replica(model.path(), plain, *world).complete(requests);
    for (const Layout& layout : layouts) {
      for (const bool tight : {false, true}) {
        INFO(proof.name << ", " << to_string(layout) << (tight ? ", tight cache" : ""));
        ReplicaOptions options = plain;
        options.layout = layout;
        options.max_draft = 8;
        options.drafter = Oracle(expected);
        if (tight) options.kv_blocks = ceil_div(kProofLength, options.block_tokens);
        EngineStats stats;
        Replica replica(model.path(), options, *world);
        CHECK(fault_of(outcomes_of(replica.complete(requests, &stats)), outcomes_of(expected)) ==
              "");
        CHECK(stats.accepted_tokens > 0);
        CHECK(stats.drafted_tokens > stats.accepted_tokens);
        if (tight) CHECK(stats.preemptions > 0);
      }
    }
  }
}

}  // namespace weft::test
