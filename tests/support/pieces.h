// A tokenizer of a few given pieces.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/tokenizer/tokenizer.h"

namespace weft::test {

/// Token i is piece i; the last token is special. An opening space is dropped, as SentencePiece has
/// it.
class Pieces final : public Tokenizer {
 public:
  explicit Pieces(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}

  [[nodiscard]] std::vector<TokenId> encode(std::string_view /*text*/,
                                            EncodeOptions /*options*/) const override {
    fail("these tests encode nothing");
  }
  [[nodiscard]] bool names_special(std::string_view text) const override {
    return text.find(pieces_.back()) != std::string_view::npos;
  }
  [[nodiscard]] std::size_t vocab_size() const override { return pieces_.size(); }
  [[nodiscard]] std::string_view token_bytes(TokenId id) const override {
    return pieces_[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] OpeningTrim opening_trim(TokenId id) const override {
    return {token_bytes(id).substr(0, 1) == " " ? 1U : 0U, false};
  }
  [[nodiscard]] bool is_special(TokenId id) const override {
    return static_cast<std::size_t>(id) + 1 == pieces_.size();
  }
  [[nodiscard]] std::optional<TokenId> token_id(std::string_view content) const override {
    const auto found = std::find(pieces_.begin(), pieces_.end(), content);
    if (found == pieces_.end()) return std::nullopt;
    return static_cast<TokenId>(found - pieces_.begin());
  }
  [[nodiscard]] std::optional<TokenId> bos() const override { return std::nullopt; }
  [[nodiscard]] std::optional<TokenId> eos() const override { return std::nullopt; }

 private:
  std::vector<std::string> pieces_;
};

}  // namespace weft::test
