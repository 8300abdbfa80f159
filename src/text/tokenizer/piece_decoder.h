// From vocabulary entries to the bytes that they stand for.
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// The "decoder" of a tokenizer.json, as far as it works token by token, plus what it takes from
/// the start of the whole text.
class PieceDecoder {
 public:
  /// ByteLevel, ByteFallback, Metaspace, Replace, Strip, Fuse and Sequences of these, or null for
  /// spaces between tokens. UserError for any other, and for steps that need more than one token.
  static PieceDecoder from_json(const nlohmann::json& spec);

  /// ByteLevel alone.
  static PieceDecoder byte_level();

  /// The bytes of a piece. The name of an added token is not written in the byte alphabet, even if
  /// it looks so.
  [[nodiscard]] std::string bytes(std::string_view piece, bool is_added) const;

  /// How many of a token's bytes are dropped where it opens the whole text: 0 or 1.
  [[nodiscard]] std::size_t opening_trim(std::string_view token_bytes) const {
    return trims_opening_ && token_bytes.starts_with(opening_) ? 1 : 0;
  }

 private:
  enum class Kind { any, byte_level };
  struct Step {
    std::function<void(std::string&)> apply;
    Kind kind = Kind::any;
  };

  void add(const nlohmann::json& spec);
  void add_strip(const nlohmann::json& spec);
  void trim_opening(char byte);

  std::vector<Step> steps_;
  bool fused_ = false;  // what follows sees the whole text
  bool trims_opening_ = false;
  char opening_ = ' ';
};

}  // namespace weft
