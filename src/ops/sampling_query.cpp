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

void RowSampler::sample(const Tensor& logits, const SamplingRequests& query,
                        std::span<std::byte> room, std::span<SamplingResult> results,
                        std::span<ScoredToken> top) {
  check_sampling_requests(logits, query, limits(), results.size(), top.size());
  if (results.empty()) return;
  finish(start(logits, query, top.size() / results.size(), room, {}), results, top);
}

void check_sampling_requests(const Tensor& logits, const SamplingRequests& query,
                             const SamplerLimits& limits, std::size_t results, std::size_t top) {
  const std::size_t count = query.rows.size();
  require(logits.dtype() == DType::f32 && logits.dims() == 2, "choose: logits are f32 matrices");
  require(results == count, "choose: {} choices of {} rows", results, count);
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
  for (const SamplingRequest& request : query.rows) {
    require(request.row >= 0 && request.row < logits.rows(), "choose: row {} of {}", request.row,
            logits.rows());
    require(!seen[static_cast<std::size_t>(request.row)], "choose: row {} twice", request.row);
    seen[static_cast<std::size_t>(request.row)] = true;
    require(request.top <= limits.top, "choose: {} likeliest tokens, at most {}", request.top,
            limits.top);
    for (const LogitEdit& edit : piece(query.edits, request.edits, request.edits_end)) {
      within(edit.token);
    }
    const auto list = piece(query.lists, request.list, request.list_end);
    for (const TokenId token : list) within(token);
    if (request.kind == RowKind::known) within(request.token);
    const bool few = request.kind == RowKind::few;
    require(!few || (request.top_k > 0 && request.top_k <= limits.candidates),
            "choose: the first {}", request.top_k);
    const auto most = static_cast<std::size_t>(limits.candidates);
    require(request.kind != RowKind::listed || (!list.empty() && list.size() <= most),
            "choose: a list of {} tokens", list.size());
  }
}

void OwnedSamplingRequests::add(SamplingRequest request, std::span<const LogitEdit> its_edits,
                                std::span<const TokenId> its_list) {
  request.edits = static_cast<std::int32_t>(edits.size());
  edits.insert(edits.end(), its_edits.begin(), its_edits.end());
  request.edits_end = static_cast<std::int32_t>(edits.size());
  request.list = static_cast<std::int32_t>(lists.size());
  lists.insert(lists.end(), its_list.begin(), its_list.end());
  request.list_end = static_cast<std::int32_t>(lists.size());
  rows.push_back(request);
}

OwnedSamplingRequests part_of(const SamplingRequests& query, std::span<const std::size_t> which,
                              Range columns) {
  OwnedSamplingRequests part;
  const auto first = static_cast<TokenId>(columns.begin);
  for (const std::size_t i : which) {
    SamplingRequest request = query.rows[i];
    std::vector<LogitEdit> edits;
    for (LogitEdit edit : piece(query.edits, request.edits, request.edits_end)) {
      if (!columns.contains(edit.token)) continue;
      edit.token -= first;
      edits.push_back(edit);
    }
    std::vector<TokenId> list;
    for (const TokenId token : piece(query.lists, request.list, request.list_end)) {
      if (columns.contains(token)) list.push_back(token - first);
    }
    request.token -= first;
    part.add(request, edits, list);
  }
  return part;
}

std::size_t widest_top(const SamplingRequests& query) {
  std::size_t widest = 0;
  for (const SamplingRequest& request : query.rows) {
    widest = std::max(widest, static_cast<std::size_t>(std::max(request.top, 0)));
  }
  return widest;
}

}  // namespace weft
