// Texts that must not come, against a plain search in the text with each token behind it.
#include "engine/bad_words.h"

#include <algorithm>
#include <random>
#include <set>

#include "catch.h"
#include "support/pieces.h"

namespace weft {
namespace {

using test::Pieces;

struct Words {
  Words(std::vector<std::string> pieces, std::vector<std::string> texts, std::int64_t vocab = 1000)
      : tokenizer(std::move(pieces)),
        words(std::move(texts), std::make_shared<TokenTexts>(tokenizer, vocab)) {}

  /// Tokens that may not come after others.
  [[nodiscard]] std::set<TokenId> after(const std::vector<TokenId>& tokens) const {
    std::string tail;
    for (const TokenId token : tokens) words.extend(tail, token);
    std::set<TokenId> forbidden(words.always().begin(), words.always().end());
    words.completing(tail, [&](TokenId token) { forbidden.insert(token); });
    return forbidden;
  }

  Pieces tokenizer;
  BadWords words;
};

TEST_CASE("a bad word does not come in any tokenization", "[bad_words]") {
  const Words london({"Lon", "don", " London", "L", "on", "o", "n", "d", " Lon", "done", "<end>"},
                     {"London"});
  CHECK(london.after({}) == std::set<TokenId>{2});
  CHECK(london.after({0}) == std::set<TokenId>{1, 2, 9});
  CHECK(london.after({8}) == std::set<TokenId>{1, 2, 9});
  CHECK(london.after({3, 5, 6}) == std::set<TokenId>{1, 2, 9});
  CHECK(london.after({0, 7}) == std::set<TokenId>{2, 4});  // "on" would end it, and "o" not
  CHECK(london.after({0, 7, 5}) == std::set<TokenId>{2, 6});
  CHECK(london.after({0, 6}) == std::set<TokenId>{2});
  CHECK(london.after({0, 10}) == std::set<TokenId>{1, 2, 9});  // special tokens are no text
  CHECK(london.words.follow_text());
  // Spaces count.
  CHECK(Words({" x", "x", " ", "\nx", "<end>"}, {" x"}).after({}) == std::set<TokenId>{0});
  CHECK(Words({" x", "x", " ", "\nx", "<end>"}, {" x"}).after({2}) == std::set<TokenId>{0, 1});
}

TEST_CASE("the name of a special token forbids it, and nothing less does", "[bad_words]") {
  CHECK(Words({"a", "end", "<end>"}, {"<end>"}).after({}) == std::set<TokenId>{2});
  CHECK(Words({"a", "end", "<end>"}, {"end"}).after({}) == std::set<TokenId>{1});
  CHECK(Words({"a", "end", "<end>"}, {"<end>"}, 2).after({}).empty());
  CHECK(Words({"a", "end", "<end>"}, {"end"}, 1).after({}).empty());
}

TEST_CASE("words of a byte do not depend on the text before", "[bad_words]") {
  const Words words({"a", "ab", "b", "<end>"}, {"b", "b"});
  CHECK(words.after({}) == std::set<TokenId>{1, 2});
  CHECK_FALSE(words.words.follow_text());
}

TEST_CASE("bad words are those of a plain search", "[bad_words]") {
  std::mt19937 random(7);
  const auto text = [&](std::size_t most) {
    std::string result;
    for (std::size_t n = 1 + random() % most; n > 0; --n) result += "ab\xC3"[random() % 3];
    return result;
  };
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<std::string> pieces;
    for (int i = 0; i < 12; ++i) pieces.push_back(text(4));
    pieces.emplace_back("<end>");
    std::vector<std::string> bad;
    for (std::size_t n = 1 + random() % 3; n > 0; --n) bad.push_back(text(6));
    const Words words(pieces, bad);
    const auto holds_word = [&](const std::string& s) {
      return std::any_of(bad.begin(), bad.end(), [&](const std::string& word) {
        return s.find(word) != std::string::npos;
      });
    };
    std::vector<TokenId> tokens;
    std::string so_far;
    for (int step = 0; step < 12; ++step) {
      std::set<TokenId> expected;
      std::vector<TokenId> allowed;
      for (TokenId id = 0; id < 12; ++id) {
        const std::string& piece = pieces[static_cast<std::size_t>(id)];
        if (holds_word(so_far + piece)) {
          expected.insert(id);
        } else {
          allowed.push_back(id);
        }
      }
      REQUIRE(words.after(tokens) == expected);
      if (allowed.empty()) break;
      tokens.push_back(allowed[random() % allowed.size()]);
      so_far += pieces[static_cast<std::size_t>(tokens.back())];
    }
  }
}

}  // namespace
}  // namespace weft
