#include "engine/sampling_requests.h"

#include <algorithm>

#include "engine/logit_edits.h"
#include "engine/row_draw.h"

namespace weft {
namespace {

/// What is asked about a row, but for its edits and its list.
SamplingRequest request_for(const LogitRow& row, std::int64_t vocab) {
  const SamplingParams& params = row.sampling();
  SamplingRequest request;
  request.top = params.logprobs ? static_cast<std::int32_t>(*params.logprobs) : -1;
  request.kind = RowKind::known;
  if (row.known()) {
    request.token = row.token();
    return request;
  }
  request.token_slot = row.token_slot;
  request.penalties = penalties_of(params);
  request.seed = params.seed;
  request.position = row.position;
  request.choice = static_cast<std::uint32_t>(row.sequence->request.choice);
  request.top_p = params.top_p;
  request.log_min_p = log_min_p(params.min_p);
  // 1 stands for what a greedy row has no use for.
  request.scale = params.greedy() ? 1.0F : inverse_temperature(params.temperature);
  const auto top_k = static_cast<std::int32_t>(std::min(params.top_k, vocab));
  if (!params.allowed_token_ids.empty()) {
    request.kind = RowKind::listed;
    request.top_k = top_k;
    request.first = params.greedy() ? 1 : 0;
    request.token =
        *std::min_element(params.allowed_token_ids.begin(), params.allowed_token_ids.end());
  } else if (params.greedy()) {
    request.kind = RowKind::greedy;
  } else if (params.top_k > 0 && params.top_k < vocab) {
    request.kind = RowKind::few;
    request.top_k = top_k;
  } else {
    request.kind = RowKind::whole;
  }
  return request;
}

}  // namespace

SplitRequests split_requests(std::span<const LogitRow> rows, std::span<const TokenId> eos,
                             std::int64_t vocab, const SamplerLimits& limits) {
  SplitRequests all;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const LogitRow& row = rows[i];
    SamplingRequest request = request_for(row, vocab);
    if (row.known() && request.top < 0) continue;
    request.row = static_cast<std::int32_t>(i);
    std::vector<LogitEdit> edits;
    std::span<const TokenId> list;
    if (!row.known()) {
      edits = logit_edits(*row.sequence, row.drafted(), eos);
      list = row.sampling().allowed_token_ids;
    }
    const auto fits = [](std::size_t there, std::size_t more, std::int64_t most) {
      return there + more <= static_cast<std::size_t>(most);
    };
    const bool taken = vocab <= limits.columns && request.top <= limits.top &&
                       (request.kind != RowKind::few || request.top_k <= limits.candidates) &&
                       fits(0, list.size(), limits.candidates) &&
                       fits(all.query.edits.size(), edits.size(), limits.edits) &&
                       fits(all.query.lists.size(), list.size(), limits.listed);
    (taken ? all.rows : all.left).push_back(request.row);
    if (taken) all.query.add(request, edits, list);
  }
  return all;
}

}  // namespace weft
