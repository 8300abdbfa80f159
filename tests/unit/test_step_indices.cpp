// The index arrays of a step: where they lie, what they hold, and what padding is.
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "comm/traffic.h"
#include "model/forward/step_indices.h"

namespace weft {
namespace {

using Numbers = std::vector<std::int32_t>;

Batch three_decodes() {
  Batch batch;
  batch.tokens = {5, 12, 7};
  batch.positions = {40, 3, 17};
  batch.slots = {72, 35, 17};
  batch.query_begin = {0, 1, 2, 3};
  batch.block_table = {9, 2, 1, 0, 0, 0};
  batch.table_width = 2;
  return batch;
}

TEST_CASE("rows of the embedding table by rank", "[step]") {
  const std::vector<TokenId> tokens = {5, 12, 7, 12, 0};
  const std::vector<Range> ranks = {{0, 6}, {6, 8}, {8, 20}};
  const TableLookup lookup = TableLookup::of(tokens, ranks, 2);
  CHECK(lookup.rows_of == std::vector<std::int64_t>{2, 1, 2});
  CHECK(lookup.table_rows == Numbers{4, 4});
  CHECK(lookup.order == Numbers{0, 3, 2, 4, 1});
  CHECK(TableLookup::of(tokens, ranks, 0).table_rows == Numbers{5, 0});
  CHECK(lookup.device_tokens == 0);
  CHECK(lookup.holders == Numbers{6, 8, 20, 0, 2, 3});
  const std::vector<TokenId> outside = {20};
  CHECK_THROWS_AS(TableLookup::of(outside, ranks, 0), Error);
}

TEST_CASE("rows of tokens on the device", "[step][async]") {
  const std::vector<TokenId> tokens = {5, device_token(0), 7, device_token(3)};
  const TableLookup lookup = TableLookup::of(tokens, std::vector<Range>{{0, 20}}, 0);
  CHECK(lookup.device_tokens == 2);
  CHECK(lookup.holders.empty());
  CHECK(lookup.rows_of == std::vector<std::int64_t>{4});
  CHECK(lookup.table_rows == Numbers{5, -1, 7, -4});
  CHECK(lookup.order == Numbers{0, 1, 2, 3});
}

TEST_CASE("tokens on the device are looked up by all ranks that hold anything", "[step][async]") {
  const std::vector<TokenId> tokens = {5, device_token(4), 7, 6, device_token(0), 11};
  const std::vector<Range> ranks = {{0, 6}, {6, 6}, {6, 20}};
  const TableLookup last = TableLookup::of(tokens, ranks, 2);
  CHECK(last.device_tokens == 2);
  CHECK(last.rows_of == std::vector<std::int64_t>{3, 0, 5});
  CHECK(last.table_rows == Numbers{-5, -1, 1, 0, 5});
  // Known tokens stand behind the kept ones of their rank.
  CHECK(last.order == Numbers{2, -1, 5, 6, -2, 7});
  CHECK(last.holders == Numbers{6, 6, 20, 0, 3, 3});
  CHECK(TableLookup::of(tokens, ranks, 0).table_rows == Numbers{-5, -1, 5});
  CHECK(TableLookup::of(tokens, ranks, 1).table_rows == Numbers{-5, -1});
  CHECK(TableLookup::of(tokens, ranks, 1).order == last.order);
}

TEST_CASE("index arrays lie where their shape says", "[step]") {
  const Batch batch = three_decodes();
  const TableLookup lookup = TableLookup::of(batch.tokens, std::vector<Range>{{0, 20}}, 0);
  const IndexShape shape{3, 3, 2};
  Numbers all = index_arrays(batch, lookup, shape);
  REQUIRE(static_cast<std::int64_t>(all.size()) == index_count(shape));
  const StepIndices indices = StepIndices::in(
      Tensor(all.data(), DType::i32, {static_cast<std::int64_t>(all.size()), 1}), shape);
  const auto numbers = [](const Tensor& array) {
    const auto span = array.span<std::int32_t>();
    return Numbers(span.begin(), span.end());
  };
  CHECK(numbers(indices.batch.positions) == batch.positions);
  CHECK(numbers(indices.batch.slots) == batch.slots);
  CHECK(numbers(indices.batch.query_begin) == batch.query_begin);
  CHECK(numbers(indices.batch.block_table) == batch.block_table);
  CHECK(indices.batch.block_table.row_stride() == 2);
  CHECK(numbers(indices.order) == lookup.order);
  CHECK(numbers(indices.table_rows) == lookup.table_rows);
  CHECK_FALSE(indices.holders.defined());
}

TEST_CASE("where each rank's rows are lies behind the rows", "[step]") {
  const Batch batch = three_decodes();
  const TableLookup lookup = TableLookup::of(batch.tokens, std::vector<Range>{{0, 6}, {6, 20}}, 1);
  const IndexShape shape{4, 3, 2, 2};
  Numbers all = index_arrays(batch, lookup, shape);
  REQUIRE(static_cast<std::int64_t>(all.size()) == index_count(shape));
  const StepIndices indices = StepIndices::in(
      Tensor(all.data(), DType::i32, {static_cast<std::int64_t>(all.size()), 1}), shape);
  const auto holders = indices.holders.span<std::int32_t>();
  CHECK(Numbers(holders.begin(), holders.end()) == Numbers{6, 20, 0, 1});
  const auto begin = indices.batch.query_begin.span<std::int32_t>();
  CHECK(Numbers(begin.begin(), begin.end()) == batch.query_begin);
}

TEST_CASE("padding is rows of no sequence", "[step]") {
  const Batch batch = three_decodes();
  const TableLookup lookup{{1, 2}, {7}, {0, 2, 1}, {}};
  const Numbers all = index_arrays(batch, lookup, {4, 5, 3});
  const Numbers expected = {40, 3,  17, 0,                   // positions
                            72, 35, 17, -1,                  // slots
                            0,  2,  1,  0,                   // order
                            7,  -1, -1, -1,                  // rows of the table
                            0,  1,  2,  3,  3, 3,            // query_begin
                            9,  2,  0,  1,  0, 0, 0, 0, 0};  // tables of the batch's sequences
  CHECK(all == expected);
  CHECK_THROWS_AS(index_arrays(batch, lookup, {2, 3, 2}), Error);
  CHECK_THROWS_AS(index_arrays(batch, lookup, {3, 3, 1}), Error);
  // A rank without rows.
  CHECK(index_arrays(Batch{}, {}, {}) == Numbers{0});
}

TEST_CASE("traffic since an earlier count", "[step][traffic]") {
  Traffic traffic;
  const std::vector<Bytes> counts = {8, 4};
  traffic.all_gather(Primitive::tp, 0, counts);
  const Traffic before = traffic;
  traffic.send(Primitive::pp, 100);
  traffic.all_gather(Primitive::tp, 0, counts);
  Traffic since = traffic;
  since -= before;
  CHECK(since.total(Primitive::pp) == Transfer{1, 100, 0});
  CHECK(since.total(Primitive::tp) == Transfer{1, 8, 4});
  Traffic sum = before;
  sum += since;
  CHECK(sum == traffic);
}

}  // namespace
}  // namespace weft
