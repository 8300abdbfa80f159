#include "engine/sampling_requests.h"

#include <algorithm>

#include "engine/logit_edits.h"
#include "engine/row_draw.h"

namespace weft {
namespace {

/// What is asked about a row, but for its edits and its list.
RowAsked question(const LogitRow& row, std::int64_t vocab) {
  const SamplingParams& params = row.sampling();
  RowAsked asked;
  asked.top = params.logprobs ? static_cast<std::int32_t>(*params.logprobs) : -1;
  asked.kind = RowKind::known;
  if (row.known()) {
    asked.token = row.token();
    return asked;
  }
  asked.keep = row.keep;
  asked.penalties = penalties_of(params);
  asked.seed = params.seed;
  asked.position = row.position;
  asked.choice = static_cast<std::uint32_t>(row.sequence->request.choice);
  asked.top_p = params.top_p;
  asked.log_min_p = log_min_p(params.min_p);
  // 1 stands for what a greedy row has no use for.
  asked.scale = params.greedy() ? 1.0F : inverse_temperature(params.temperature);
  const auto top_k = static_cast<std::int32_t>(std::min(params.top_k, vocab));
  if (!params.allowed_token_ids.empty()) {
    asked.kind = RowKind::listed;
    asked.top_k = top_k;
    asked.first = params.greedy() ? 1 : 0;
    asked.token =
        *std::min_element(params.allowed_token_ids.begin(), params.allowed_token_ids.end());
  } else if (params.greedy()) {
    asked.kind = RowKind::greedy;
  } else if (params.top_k > 0 && params.top_k < vocab) {
    asked.kind = RowKind::few;
    asked.top_k = top_k;
  } else {
    asked.kind = RowKind::whole;
  }
  return asked;
}

}  // namespace

RowQuestions questions_about(std::span<const LogitRow> rows, std::span<const TokenId> eos,
                             std::int64_t vocab, const SamplerLimits& limits) {
  RowQuestions all;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const LogitRow& row = rows[i];
    RowAsked asked = question(row, vocab);
    if (row.known() && asked.top < 0) continue;
    asked.row = static_cast<std::int32_t>(i);
    std::vector<LogitEdit> edits;
    std::span<const TokenId> list;
    if (!row.known()) {
      edits = logit_edits(*row.sequence, eos);
      list = row.sampling().allowed_token_ids;
    }
    const auto fits = [](std::size_t there, std::size_t more, std::int64_t most) {
      return there + more <= static_cast<std::size_t>(most);
    };
    const bool taken = vocab <= limits.columns && asked.top <= limits.top &&
                       (asked.kind != RowKind::few || asked.top_k <= limits.candidates) &&
                       fits(0, list.size(), limits.candidates) &&
                       fits(all.query.edits.size(), edits.size(), limits.edits) &&
                       fits(all.query.lists.size(), list.size(), limits.listed);
    (taken ? all.rows : all.left).push_back(asked.row);
    if (taken) all.query.add(asked, edits, list);
  }
  return all;
}

}  // namespace weft
