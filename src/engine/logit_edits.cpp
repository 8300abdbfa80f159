#include "engine/logit_edits.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "ops/draw_inline.h"

namespace weft {
namespace {

void forbid(std::vector<LogitEdit>& edits, TokenId token) {
  LogitEdit edit;
  edit.token = token;
  edit.forbidden = true;
  edits.push_back(edit);
}

/// One edit for each token, from edits that are sorted by token.
void merge_equal(std::vector<LogitEdit>& edits) {
  std::size_t device_tokens = 0;
  for (const LogitEdit& edit : edits) {
    if (device_tokens == 0 || edits[device_tokens - 1].token != edit.token) {
      edits[device_tokens++] = edit;
      continue;
    }
    LogitEdit& into = edits[device_tokens - 1];
    into.forbidden = into.forbidden || edit.forbidden;
    into.bias += edit.bias;  // of at most one of them
    into.occurred = into.occurred || edit.occurred;
    into.occurrences += edit.occurrences;
  }
  edits.resize(device_tokens);
}

}  // namespace

std::vector<LogitEdit> logit_edits(const Sequence& sequence, std::span<const TokenId> drafted,
                                   std::span<const TokenId> eos) {
  const SamplingParams& params = sequence.request.sampling;
  std::vector<LogitEdit> edits;
  const std::int64_t generated =
      sequence.generated() + sequence.unseen + static_cast<std::int64_t>(drafted.size());
  if (generated < params.min_tokens) {
    if (!params.ignore_eos) {
      for (const TokenId token : eos) forbid(edits, token);
    }
    for (const TokenId token : params.stop_token_ids) forbid(edits, token);
  }
  if (const auto& words = sequence.request.bad_words) {
    for (const TokenId token : words->always()) forbid(edits, token);
    std::string tail = sequence.text_tail;
    for (const TokenId token : drafted) words->extend(tail, token);
    words->completing(tail, [&](TokenId token) { forbid(edits, token); });
  }
  for (const LogitBias& bias : params.logit_bias) {
    LogitEdit edit;
    edit.token = bias.token;
    edit.bias = bias.bias;
    edits.push_back(edit);
  }
  if (params.penalises()) {
    for (const Occurrence& seen : sequence.occurrences) {
      LogitEdit edit;
      edit.token = seen.token;
      edit.occurred = true;
      edit.occurrences = static_cast<std::int32_t>(seen.in_output);
      edits.push_back(edit);
    }
    for (const TokenId token : drafted) {
      LogitEdit edit;
      edit.token = token;
      edit.occurred = true;
      edit.occurrences = 1;
      edits.push_back(edit);
    }
  }
  std::stable_sort(edits.begin(), edits.end(),
                   [](const LogitEdit& a, const LogitEdit& b) { return a.token < b.token; });
  merge_equal(edits);
  return edits;
}

bool edits_follow_tokens(const Request& request) {
  return request.sampling.penalises() || (request.bad_words && request.bad_words->follow_text());
}

Penalties penalties_of(const SamplingParams& params) {
  return {static_cast<float>(params.repetition_penalty),
          static_cast<float>(params.frequency_penalty),
          static_cast<float>(params.presence_penalty)};
}

float edited(float logit, const LogitEdit& edit, const SamplingParams& params) {
  return hostdevice::edited(logit, edit, penalties_of(params));
}

}  // namespace weft
