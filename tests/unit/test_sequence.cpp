// Ends of sequences: stop strings, end tokens, limits; and what the completion says.
#include "engine/sequence.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "engine/stop_strings.h"
#include "support/pieces.h"
#include "text/tokenizer/tokenizer.h"

namespace weft {
namespace {

using test::Pieces;

/// Generates the pieces of a text, one token each.
struct Generation {
  std::vector<std::string> pieces;
  SamplingParams sampling;
  std::int64_t max_length = 1000;
};

struct End {
  std::int64_t tokens = 0;  ///< generated when the sequence ended; -1: it did not
  FinishReason reason = FinishReason::length;
  std::int64_t text_bytes = -1;
  bool operator==(const End&) const = default;
};
constexpr End never{-1, FinishReason::length, -1};

std::ostream& operator<<(std::ostream& out, const End& end) {
  return out << end.tokens << " tokens, " << name(end.reason) << ", " << end.text_bytes << " bytes";
}

SamplingParams stops(std::vector<std::string> texts, std::int64_t min_tokens = 0) {
  SamplingParams sampling;
  sampling.max_tokens = 1000;
  sampling.stop = std::move(texts);
  sampling.min_tokens = min_tokens;
  return sampling;
}

End run(const Generation& generation) {
  std::vector<std::string> pieces = generation.pieces;
  pieces.emplace_back("<special>");
  const Pieces tokenizer(pieces);
  Request request;
  request.prompt = {0, 0};  // a prompt's text takes no part
  request.sampling = generation.sampling;
  Sequence sequence(request, &tokenizer);
  for (std::size_t i = 0; i < generation.pieces.size(); ++i) {
    const auto reason = sequence.append(static_cast<TokenId>(i), {}, generation.max_length);
    if (reason) return {sequence.generated(), *reason, sequence.text_bytes};
  }
  CHECK(sequence.text_bytes == -1);
  return never;
}

constexpr FinishReason stop = FinishReason::stop;

TEST_CASE("stop strings end a sequence at the earliest place", "[sequence]") {
  struct Case {
    const char* what;
    std::vector<std::string> pieces;
    SamplingParams sampling;
    End end;
  };
  const std::vector<Case> cases = {
      {"no stop string in sight", {"a", "b", "c"}, stops({"x", "bcd"}), never},
      {"the whole first token", {"END", "a"}, stops({"END"}), {1, stop, 0}},
      {"inside the first token", {"aENDb", "c"}, stops({"END"}), {1, stop, 1}},
      {"one byte", {"ab", "c"}, stops({"c"}), {2, stop, 2}},
      {"across two tokens", {"xa", "by"}, stops({"ab"}), {2, stop, 1}},
      {"across many tokens", {"x", "a", "b", "c", "d"}, stops({"abc"}), {4, stop, 1}},
      {"a start that repeats", {"a", "a", "a", "b"}, stops({"aab"}), {4, stop, 1}},
      {"only its start", {"a", "b", "x"}, stops({"abc"}), never},
      {"two in one token, the second in the list", {"..x.y"}, stops({"y", "x"}), {1, stop, 2}},
      {"overlapping in one token", {"zabcd"}, stops({"bc", "abcd"}), {1, stop, 1}},
      {"one begins in an earlier token", {"a", "bc"}, stops({"c", "ab"}), {2, stop, 0}},
      {"the longer one is not needed", {"ab", "cd"}, stops({"abcd", "b"}), {1, stop, 1}},
      {"one is the other's start", {"a", "bc"}, stops({"abc", "ab"}), {2, stop, 0}},
      {"newlines", {"line", "\n", "\n"}, stops({"\n\n"}), {3, stop, 4}},
      {"a tokenless gap", {"a", "", "b"}, stops({"ab"}), {3, stop, 0}},
      {"bytes of one character", {"x\xC3", "\xA9!"}, stops({"\xC3\xA9"}), {2, stop, 1}},
      {"offsets are bytes", {"\xE2\x82\xAC", "a"}, stops({"a"}), {2, stop, 3}},
      {"a broken character is its replacement", {"\xE2\x82", "a"}, stops({"a"}), {2, stop, 3}},
      {"not while the character is open", {"\xE2", "\x82"}, stops({"\xE2"}), never},
      {"the opening space counts", {" a", "b"}, stops({" a", "ab"}), {1, stop, 0}},
      {"later spaces count", {" a", " b"}, stops({"a b"}), {2, stop, 1}},
      {"not before min_tokens", {"x", "x", "x"}, stops({"x"}, 3), {3, stop, 2}},
      {"what was complete too early is passed over",
       {"x", "a", "b", "x"},
       stops({"x"}, 2),
       {4, stop, 3}},
      {"whatever other stop strings there are",
       {"x", "a", "b", "x"},
       stops({"x", "long one"}, 2),
       {4, stop, 3}},
      {"begun too early, complete in time", {"x", "y", "z"}, stops({"yz"}, 3), {3, stop, 1}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    CHECK(run({c.pieces, c.sampling}) == c.end);
  }
}

TEST_CASE("special tokens yield no text to stop at", "[sequence]") {
  const Pieces tokenizer({"a", "b", "<end>"});
  StopStrings watch({"<end>", "ab"}, &tokenizer);
  CHECK_FALSE(watch.add(0));
  CHECK_FALSE(watch.add(2));
  CHECK(watch.add(1) == 0);
}

TEST_CASE("a stop string may stay in the text", "[sequence]") {
  const Pieces tokenizer({"za", "bcd", "<end>"});
  StopStrings watch({"bc", "abc"}, &tokenizer, true);
  CHECK_FALSE(watch.add(0));
  CHECK(watch.add(1) == 4);  // "abc" begins first: the text ends behind it
}

TEST_CASE("stop strings need a tokenizer and some text", "[sequence]") {
  const Pieces tokenizer({"a"});
  CHECK_THROWS_AS(StopStrings({"a"}, nullptr), Error);
  CHECK_THROWS_AS(StopStrings({"a", ""}, &tokenizer), Error);
  StopStrings none({}, nullptr);
  CHECK_FALSE(none.add(123));
}

/// Feeds tokens 10, 11, 12, … after a prompt of three.
std::pair<std::int64_t, std::optional<FinishReason>> count_to_end(const SamplingParams& sampling,
                                                                  const std::vector<TokenId>& eos,
                                                                  std::int64_t max_length) {
  Request request;
  request.prompt = {1, 2, 3};
  request.sampling = sampling;
  Sequence sequence(request, nullptr);
  for (TokenId token = 10; token < 30; ++token) {
    const auto reason = sequence.append(token, eos, max_length);
    if (reason) return {sequence.generated(), reason};
  }
  return {sequence.generated(), std::nullopt};
}

TEST_CASE("end tokens and limits", "[sequence]") {
  struct Case {
    const char* what;
    std::int64_t max_tokens;
    bool ignore_eos;
    std::vector<TokenId> stop_ids;
    std::vector<TokenId> eos;
    std::int64_t max_length;
    std::int64_t generated;
    std::optional<FinishReason> reason;
  };
  constexpr FinishReason length = FinishReason::length;
  const std::vector<Case> cases = {
      {"nothing ends it", 100, false, {}, {}, 100, 20, std::nullopt},
      {"eos", 100, false, {}, {12}, 100, 3, stop},
      {"any of several eos", 100, false, {}, {99, 13, 12}, 100, 3, stop},
      {"eos as the first token", 100, false, {}, {10}, 100, 1, stop},
      {"eos of the prompt does not count", 100, false, {}, {1, 2, 3}, 100, 20, std::nullopt},
      {"ignored eos", 100, true, {}, {12}, 100, 20, std::nullopt},
      {"stop id", 100, false, {14}, {}, 100, 5, stop},
      {"stop id though eos is ignored", 100, true, {14}, {12}, 100, 5, stop},
      {"stop id that is an ignored eos", 100, true, {12}, {12}, 100, 3, stop},
      {"max_tokens", 4, false, {}, {}, 100, 4, length},
      {"max_tokens 1", 1, false, {}, {}, 100, 1, length},
      {"max_length counts the prompt", 100, false, {}, {}, 8, 5, length},
      {"the smaller limit", 4, false, {}, {}, 6, 3, length},
      {"eos on the last token is a stop", 3, false, {}, {12}, 6, 3, stop},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    SamplingParams sampling;
    sampling.max_tokens = c.max_tokens;
    sampling.ignore_eos = c.ignore_eos;
    sampling.stop_token_ids = c.stop_ids;
    const auto [generated, reason] = count_to_end(sampling, c.eos, c.max_length);
    CHECK(generated == c.generated);
    CHECK((reason == c.reason));
  }
  CHECK(name(stop) == "stop");
  CHECK(name(length) == "length");
}

TEST_CASE("a stop string on the last token is a stop", "[sequence]") {
  SamplingParams sampling = stops({"b"});
  sampling.max_tokens = 2;
  CHECK(run({{"a", "b"}, sampling, 4}) == End{2, stop, 1});
  CHECK(run({{"a", "c"}, sampling, 4}) == End{2, FinishReason::length, -1});
}

TEST_CASE("draws depend on the seed and the prompt", "[sequence]") {
  const auto key = [](std::uint64_t seed, std::vector<TokenId> prompt) {
    Request request;
    request.prompt = std::move(prompt);
    request.sampling.seed = seed;
    return Sequence(request, nullptr).request.sampling.seed;
  };
  // XXH3-128 of the bytes, by another implementation of it.
  CHECK(key(7, {1, 2}) == 0x546d2bafcbb02345U);
  CHECK(key(7, {1, 2}) == key(7, {1, 2}));
  CHECK(key(7, {1, 2}) != key(8, {1, 2}));
  CHECK(key(7, {1, 2}) != key(7, {1, 3}));
  CHECK(key(7, {1, 2}) != key(7, {1, 2, 0}));
}

TEST_CASE("a completion says what its sequence became", "[sequence]") {
  const Pieces tokenizer({"a", "b", "c", "<end>"});
  const std::vector<TokenId> eos = {3};
  Request request;
  request.index = 42;
  request.prompt = {0, 1};
  request.sampling = stops({"ca"});
  const auto finish = [&](const std::vector<TokenId>& generated) {
    Sequence sequence(request, &tokenizer);
    sequence.queued_at = 1;
    sequence.first_token_at = 2;
    sequence.logits_digest.add("logits");
    std::optional<FinishReason> reason;
    for (const TokenId token : generated) reason = sequence.append(token, eos, 5);
    REQUIRE(reason);
    return sequence.completion(*reason, eos, 3);
  };
  using Tokens = std::vector<TokenId>;

  const Completion ended = finish({1, 3});
  CHECK(ended.index == 42);
  CHECK(ended.tokens == Tokens{1});  // without the end token
  CHECK(ended.reason == stop);
  CHECK(ended.text_bytes == -1);
  CHECK(ended.prompt_tokens == 2);
  CHECK(ended.completion_tokens == 2);  // with it
  CHECK(ended.queued_at == 1);
  CHECK(ended.first_token_at == 2);
  CHECK(ended.finished_at == 3);
  CHECK(ended.logits_digest == digest_of("logits"));

  CHECK(finish({3}).tokens.empty());

  const Completion cut = finish({2, 0});
  CHECK(cut.tokens == Tokens{2, 0});  // all of them: the text is what is cut
  CHECK(cut.reason == stop);
  CHECK(cut.text_bytes == 0);
  CHECK(cut.completion_tokens == 2);

  const Completion full = finish({0, 1, 2});
  CHECK(full.tokens == Tokens{0, 1, 2});
  CHECK(full.reason == FinishReason::length);
  CHECK(full.text_bytes == -1);
}

}  // namespace
}  // namespace weft
