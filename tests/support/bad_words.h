// Bad words that are given as tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/bad_words.h"
#include "support/pieces.h"

namespace weft::test {

/// Words of tokens below 4224, in a vocabulary in which a text has one tokenization only: the first
/// 128 tokens are a byte each, the others two bytes that no other token has at those places.
inline std::shared_ptr<const BadWords> bad_words(const std::vector<std::vector<TokenId>>& words) {
  static const auto text_of = [](int i) {
    if (i < 128) return std::string(1, static_cast<char>(i));
    return std::string{static_cast<char>(0x80 + (i - 128) / 64),
                       static_cast<char>(0xC0 + (i - 128) % 64)};
  };
  static const Pieces pieces = [] {
    std::vector<std::string> all;
    for (int i = 0; i < 128 + 64 * 64; ++i) all.push_back(text_of(i));
    all.emplace_back("<end>");
    return Pieces(std::move(all));
  }();
  static const auto texts = std::make_shared<const TokenTexts>(pieces, 128 + 64 * 64);
  std::vector<std::string> list;
  for (const std::vector<TokenId>& word : words) {
    std::string& text = list.emplace_back();
    for (const TokenId token : word) text += text_of(token);
  }
  return std::make_shared<const BadWords>(std::move(list), texts);
}

}  // namespace weft::test
