// The settings in a SentencePiece model that its library does not tell.
#pragma once

#include <string_view>

namespace weft {

/// Fields of ModelProto (sentencepiece_model.proto), with that file's defaults.
struct SentencePieceSettings {
  bool is_bpe = false;           // trainer_spec.model_type
  bool space_is_suffix = false;  // trainer_spec.treat_whitespace_as_suffix
  bool rewrites = false;         // normalizer_spec.precompiled_charsmap is not empty
  bool dummy_prefix = true;      // normalizer_spec.add_dummy_prefix
  bool squeezes_spaces = true;   // normalizer_spec.remove_extra_whitespaces
  bool escapes_spaces = true;    // normalizer_spec.escape_whitespaces

  /// Reads them from a serialized ModelProto that the library has accepted. Stops where the
  /// message is not understood.
  static SentencePieceSettings from_model(std::string_view model);
};

/// Whether a model's compiled rules for rewriting text lead nowhere outside themselves: the library
/// follows them without a look. True where there are none. Works on anything.
bool has_sound_rewrites(std::string_view model);

/// The same model with `dummy_prefix` off. Rests on a property of the format: a serialized message
/// with another behind it is the two merged.
inline constexpr std::string_view without_dummy_prefix{"\x1A\x02\x18\x00", 4};

}  // namespace weft
