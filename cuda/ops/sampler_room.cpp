#include "cuda/ops/sampler_room.h"

#include <cstddef>

#include "cuda/kernels/sampling.h"
#include "ops/row_sampler.h"

namespace weft {

SamplerRoom SamplerRoom::of(std::int64_t max_rows, std::int64_t columns) {
  SamplerRoom room;
  const auto take = [&](std::int64_t count, std::size_t size) {
    const Bytes at = room.bytes;
    room.bytes += static_cast<Bytes>(round_up(count * static_cast<std::int64_t>(size), 16));
    return at;
  };
  const std::int64_t by_block = max_rows * ceil_div(columns, 256);
  room.rows = take(max_rows, sizeof(SamplingRequest));
  take(kMostEdits, sizeof(LogitEdit));
  take(kMostListed, sizeof(TokenId));
  room.raw = take(kMostEdits, sizeof(float));
  room.maxima = take(by_block, sizeof(float));
  room.columns = take(by_block, sizeof(std::int32_t));
  room.weight_sums = take(by_block, sizeof(float));
  room.states = take(max_rows, sizeof(SamplingRow));
  room.results = take(max_rows, sizeof(SamplingResult));
  take(max_rows * kMostTop, sizeof(ScoredToken));
  return room;
}

}  // namespace weft
