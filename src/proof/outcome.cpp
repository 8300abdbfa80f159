#include "proof/outcome.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "base/error.h"

namespace weft {
namespace {

Digest tokens_of(const Completion& completion) {
  Digester digester;
  digester.add(std::to_string(completion.index) + std::string(name(completion.reason)));
  digester.add(std::as_bytes(std::span(completion.tokens)));
  return digester.result();
}

Digest logits_of(const Completion& completion) {
  Digester digester;
  digester.add(completion.logits_digest.hex());
  for (const auto* scores : {&completion.logprobs, &completion.prompt_logprobs}) {
    for (const PositionLogprobs& position : *scores) {
      digester.add(std::as_bytes(std::span(&position.logprob, 1)));
      for (const TokenLogprob& top : position.top) digester.add(std::to_string(top.token));
      for (const TokenLogprob& top : position.top) {
        digester.add(std::as_bytes(std::span(&top.logprob, 1)));
      }
    }
  }
  return digester.result();
}

/// "request 7 (20 prompt tokens) is missing, and 2 more"; nothing when there are none.
std::string of_requests(const std::vector<const Outcome*>& some, const std::string& what) {
  if (some.empty()) return {};
  return fmt::format("request {} ({} prompt tokens) {}, and {} more", some.front()->index,
                     some.front()->prompt_tokens, what, some.size() - 1);
}

}  // namespace

std::vector<Outcome> outcomes_of(const std::vector<Completion>& completions) {
  std::vector<Outcome> outcomes;
  for (const Completion& completion : completions) {
    outcomes.push_back(
        {completion.index, completion.prompt_tokens, tokens_of(completion), logits_of(completion)});
  }
  return outcomes;
}

Merged merge(const std::vector<std::vector<Outcome>>& of_ranks, int replica_size) {
  Merged merged;
  for (std::size_t rank = 0; rank < of_ranks.size(); ++rank) {
    const auto in_replica = rank % static_cast<std::size_t>(replica_size);
    if (in_replica == 0) {
      merged.outcomes.insert(merged.outcomes.end(), of_ranks[rank].begin(), of_ranks[rank].end());
    } else if (of_ranks[rank] != of_ranks[rank - in_replica] && merged.fault.empty()) {
      merged.fault =
          fmt::format("ranks {} and {} of one replica have other results", rank - in_replica, rank);
    }
  }
  std::stable_sort(merged.outcomes.begin(), merged.outcomes.end(),
                   [](const Outcome& a, const Outcome& b) { return a.index < b.index; });
  return merged;
}

std::string fault_of(const std::vector<Outcome>& found, const std::vector<Outcome>& expected) {
  std::vector<std::int64_t> times(expected.size(), 0);
  std::vector<const Outcome*> other;
  std::int64_t other_tokens = 0;
  std::int64_t other_logits = 0;
  for (const Outcome& outcome : found) {
    const auto at = static_cast<std::size_t>(outcome.index);
    require(outcome.index >= 0 && at < expected.size(), "nobody asked for request {}",
            outcome.index);
    ++times[at];
    if (outcome == expected[at]) continue;
    other.push_back(&outcome);
    other_tokens += outcome.tokens == expected[at].tokens ? 0 : 1;
    other_logits += outcome.logits == expected[at].logits ? 0 : 1;
  }
  std::vector<const Outcome*> missing;
  std::vector<const Outcome*> again;
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (times[i] == 0) missing.push_back(&expected[i]);
    if (times[i] > 1) again.push_back(&expected[i]);
  }
  std::vector<std::string> faults = {of_requests(missing, "is missing"),
                                     of_requests(again, "came more than once"),
                                     of_requests(other, "differs")};
  if (!other.empty()) {
    faults.back() += fmt::format(" (tokens of {}, logits of {})", other_tokens, other_logits);
  }
  faults.erase(std::remove(faults.begin(), faults.end(), std::string()), faults.end());
  return fmt::format("{}", fmt::join(faults, "; "));
}

}  // namespace weft
