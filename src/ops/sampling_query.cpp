#include "ops/sampling_query.h"

#include <algorithm>

#include "base/error.h"

namespace weft {
namespace {

template <class T>
std::span<const T> piece(std::span<const T> all, std::int32_t begin, std::int32_t end) {
  require(begin >= 0 && begin <= end && static_cast<std::size_t>(end) <= all.size(),
          "choose: {}..{} of {} edits or tokens", begin, end, all.size());
  return all.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

}  // namespace

void RowSampler::choose(const Tensor& logits, const RowQuery& query, std::span<std::byte> room,
                        std::span<RowChoice> choices, std::span<ScoredToken> top) {
  check_choose(logits, query, limits(), choices.size(), top.size());
  if (choices.empty()) return;
  finish(start(logits, query, top.size() / choices.size(), room, {}), choices, top);
}

void check_choose(const Tensor& logits, const RowQuery& query, const SamplerLimits& limits,
                  std::size_t choices, std::size_t top) {
  const std::size_t count = query.rows.size();
  require(logits.dtype() == DType::f32 && logits.dims() == 2, "choose: logits are f32 matrices");
  require(choices == count, "choose: {} choices of {} rows", choices, count);
  if (count == 0) return;
  const std::int64_t columns = logits.row_elements();
  require(columns > 0 && columns <= limits.columns, "choose: {} columns, at most {}", columns,
          limits.columns);
  require(top % count == 0 && top / count >= widest_top(query), "choose: {} tokens of {} rows", top,
          count);
  require(query.edits.size() <= static_cast<std::size_t>(limits.edits) &&
              query.lists.size() <= static_cast<std::size_t>(limits.listed),
          "choose: {} edits and {} tokens of lists", query.edits.size(), query.lists.size());
  const auto within = [&](TokenId token) {
    require(token >= 0 && token < columns, "choose: token {} of {}", token, columns);
  };
  std::vector<bool> seen(static_cast<std::size_t>(logits.rows()), false);
  for (const RowAsked& asked : query.rows) {
    require(asked.row >= 0 && asked.row < logits.rows(), "choose: row {} of {}", asked.row,
            logits.rows());
    require(!seen[static_cast<std::size_t>(asked.row)], "choose: row {} twice", asked.row);
    seen[static_cast<std::size_t>(asked.row)] = true;
    require(asked.top <= limits.top, "choose: {} likeliest tokens, at most {}", asked.top,
            limits.top);
    for (const LogitEdit& edit : piece(query.edits, asked.edits, asked.edits_end)) {
      within(edit.token);
    }
    const auto list = piece(query.lists, asked.list, asked.list_end);
    for (const TokenId token : list) within(token);
    if (asked.kind == RowKind::known) within(asked.token);
    const bool few = asked.kind == RowKind::few;
    require(!few || (asked.top_k > 0 && asked.top_k <= limits.candidates), "choose: the first {}",
            asked.top_k);
    const auto most = static_cast<std::size_t>(limits.candidates);
    require(asked.kind != RowKind::listed || (!list.empty() && list.size() <= most),
            "choose: a list of {} tokens", list.size());
  }
}

void OwnedRowQuery::add(RowAsked asked, std::span<const LogitEdit> its_edits,
                        std::span<const TokenId> its_list) {
  asked.edits = static_cast<std::int32_t>(edits.size());
  edits.insert(edits.end(), its_edits.begin(), its_edits.end());
  asked.edits_end = static_cast<std::int32_t>(edits.size());
  asked.list = static_cast<std::int32_t>(lists.size());
  lists.insert(lists.end(), its_list.begin(), its_list.end());
  asked.list_end = static_cast<std::int32_t>(lists.size());
  rows.push_back(asked);
}

OwnedRowQuery part_of(const RowQuery& query, std::span<const std::size_t> which, Range columns) {
  OwnedRowQuery part;
  const auto first = static_cast<TokenId>(columns.begin);
  for (const std::size_t i : which) {
    RowAsked asked = query.rows[i];
    std::vector<LogitEdit> edits;
    for (LogitEdit edit : piece(query.edits, asked.edits, asked.edits_end)) {
      if (!columns.contains(edit.token)) continue;
      edit.token -= first;
      edits.push_back(edit);
    }
    std::vector<TokenId> list;
    for (const TokenId token : piece(query.lists, asked.list, asked.list_end)) {
      if (columns.contains(token)) list.push_back(token - first);
    }
    asked.token -= first;
    part.add(asked, edits, list);
  }
  return part;
}

std::size_t widest_top(const RowQuery& query) {
  std::size_t widest = 0;
  for (const RowAsked& asked : query.rows) {
    widest = std::max(widest, static_cast<std::size_t>(std::max(asked.top, 0)));
  }
  return widest;
}

}  // namespace weft
