#include "engine/sampled_token.h"

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/error.h"

namespace weft {
namespace {

template <class T>
void put(std::string& bytes, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T take(std::string_view& bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  require(bytes.size() >= sizeof value, "a choice of {} bytes ends early", bytes.size());
  std::memcpy(&value, bytes.data(), sizeof value);
  bytes.remove_prefix(sizeof value);
  return value;
}

/// Stands for the number of likeliest tokens where there are no log-probabilities.
constexpr std::uint8_t kNone = 255;

}  // namespace

void SampledToken::append_to(std::string& bytes) const {
  put(bytes, token);
  put(bytes, row_digest);
  put(bytes, static_cast<std::uint8_t>(non_finite ? 1 : 0));
  if (!logprobs) {
    put(bytes, kNone);
    return;
  }
  require(logprobs->top.size() < kNone, "{} log-probabilities of one token", logprobs->top.size());
  put(bytes, static_cast<std::uint8_t>(logprobs->top.size()));
  put(bytes, logprobs->logprob);
  for (const TokenLogprob& one : logprobs->top) put(bytes, one);
}

SampledToken SampledToken::read_from(std::string_view& bytes) {
  SampledToken choice;
  choice.token = take<TokenId>(bytes);
  choice.row_digest = take<Digest>(bytes);
  choice.non_finite = take<std::uint8_t>(bytes) != 0;
  const auto top = take<std::uint8_t>(bytes);
  if (top == kNone) return choice;
  PositionLogprobs& logprobs = choice.logprobs.emplace();
  logprobs.logprob = take<float>(bytes);
  for (int i = 0; i < top; ++i) logprobs.top.push_back(take<TokenLogprob>(bytes));
  return choice;
}

}  // namespace weft
