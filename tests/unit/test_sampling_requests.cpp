// Rows of logits as queries, and parts of queries.
#include "engine/sampling_requests.h"

#include <vector>

#include "catch.h"
#include "support/row_sampling.h"

namespace weft {
namespace {

using test::sequence_of;

SamplingParams params_of(double temperature) {
  SamplingParams params;
  params.temperature = temperature;
  params.max_tokens = 100;
  return params;
}

constexpr SamplerLimits kLimits{
    .candidates = 4, .top = 5, .edits = 3, .listed = 6, .columns = 1000};

SplitRequests ask(const std::vector<Sequence>& sequences, std::int64_t position = 3,
                  std::int64_t vocab = 900) {
  std::vector<LogitRow> rows;
  for (const Sequence& sequence : sequences) rows.push_back({&sequence, position});
  return split_requests(rows, {}, vocab, kLimits);
}

using Rows = std::vector<std::int32_t>;

TEST_CASE("rows that pass a sampler's limits are left", "[questions]") {
  std::vector<Sequence> sequences;
  const auto add = [&](const SamplingParams& params) {
    sequences.push_back(sequence_of({1, 2, 3}, params));
  };
  add(params_of(0));
  SamplingParams params = params_of(1);
  params.top_k = 5;
  add(params);  // 1: too many candidates
  params.top_k = 4;
  add(params);
  params.top_k = 900;  // all of them: no limit at all
  add(params);
  params = params_of(1);
  params.logprobs = 6;
  add(params);  // 4: too many likeliest tokens
  params.logprobs = 5;
  add(params);
  params = params_of(1);
  params.allowed_token_ids = {9, 8, 7, 6, 5};
  add(params);  // 6: too long a list
  const SplitRequests asked = ask(sequences);
  CHECK(asked.left == Rows{1, 4, 6});
  CHECK(asked.rows == Rows{0, 2, 3, 5});
  CHECK(asked.query.rows[0].kind == RowKind::greedy);
  CHECK(asked.query.rows[1].kind == RowKind::few);
  CHECK(asked.query.rows[2].kind == RowKind::whole);
  CHECK(asked.query.rows[3].top == 5);
  CHECK(ask(sequences, 3, 1001).rows.empty());
}

TEST_CASE("edits and lists that find no room are left", "[questions]") {
  std::vector<Sequence> sequences;
  SamplingParams biased = params_of(0);
  biased.logit_bias = {{4, 1}, {5, 1}};
  SamplingParams once = params_of(0);
  once.logit_bias = {{6, 1}};
  SamplingParams listed = params_of(1);
  listed.allowed_token_ids = {7, 8, 9, 10};
  for (const SamplingParams& params : {biased, biased, once, listed, listed}) {
    sequences.push_back(sequence_of({1, 2, 3}, params));
  }
  const SplitRequests asked = ask(sequences);
  CHECK(asked.rows == Rows{0, 2, 3});
  CHECK(asked.left == Rows{1, 4});
  REQUIRE(asked.query.edits.size() == 3);
  CHECK(asked.query.rows[1].edits == 2);
  CHECK(asked.query.rows[1].edits_end == 3);
  CHECK(asked.query.rows[2].list_end == 4);
  CHECK(asked.query.rows[2].token == 7);
}

TEST_CASE("known tokens are asked about for their log-probabilities only", "[questions]") {
  std::vector<Sequence> sequences;
  SamplingParams params = params_of(1);
  params.logit_bias = {{4, 1}};
  sequences.push_back(sequence_of({1, 2, 3}, params));
  params.logprobs = 0;
  sequences.push_back(sequence_of({1, 2, 3}, params));
  const SplitRequests asked = ask(sequences, 2);
  CHECK(asked.left.empty());
  REQUIRE(asked.rows == Rows{1});
  CHECK(asked.query.rows[0].kind == RowKind::known);
  CHECK(asked.query.rows[0].token == 3);
  CHECK(asked.query.edits.empty());
}

TEST_CASE("a rank's part of a query", "[questions]") {
  OwnedSamplingRequests query;
  SamplingRequest asked;
  for (std::int32_t row = 0; row < 3; ++row) {
    std::vector<LogitEdit> edits(3);
    for (std::int32_t i = 0; i < 3; ++i) edits[static_cast<std::size_t>(i)].token = 100 * i + row;
    asked.row = row;
    asked.top = row;
    const std::vector<TokenId> list = {row, 100 + row};
    query.add(asked, edits, list);
  }
  CHECK(widest_top(query.view()) == 2);
  const std::vector<std::size_t> which = {2, 0};
  const OwnedSamplingRequests part = part_of(query.view(), which, {100, 201});
  REQUIRE(part.rows.size() == 2);
  CHECK(part.rows[0].row == 2);
  REQUIRE(part.edits.size() == 3);  // 102 of row 2, 100 and 200 of row 0
  CHECK(part.edits[0].token == 2);
  CHECK(part.edits[2].token == 100);
  CHECK(part.rows[0].edits_end == 1);
  CHECK(part.rows[1].edits == 1);
  CHECK(part.lists == std::vector<TokenId>{2, 0});
}

}  // namespace
}  // namespace weft
