// The table of tokens: id to piece and piece to id.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/types.h"

namespace weft {

/// Pieces by id and ids by piece. Ids may have gaps; a piece has one id.
class Vocab {
 public:
  /// The object {"piece": id, ...} of tokenizer.json or vocab.json. UserError for ids that are
  /// negative, too large, or used twice.
  static Vocab from_json(const nlohmann::json& object);

  /// UserError if the id is taken or the piece has another id.
  void add(std::string_view piece, TokenId id);

  /// One more than the largest id.
  [[nodiscard]] std::size_t size() const { return pieces_.size(); }

  [[nodiscard]] std::optional<TokenId> find(std::string_view piece) const;

  /// Is there a piece with this id? Any id may be asked for.
  [[nodiscard]] bool contains(TokenId id) const {
    return id >= 0 && static_cast<std::size_t>(id) < present_.size() &&
           present_[static_cast<std::size_t>(id)];
  }

  /// Empty if there is none.
  [[nodiscard]] std::string_view piece(TokenId id) const {
    return contains(id) ? std::string_view(pieces_[static_cast<std::size_t>(id)])
                        : std::string_view();
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  std::vector<std::string> pieces_;
  std::vector<bool> present_;
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
};

}  // namespace weft
