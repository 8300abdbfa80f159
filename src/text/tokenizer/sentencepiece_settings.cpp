#include "text/tokenizer/sentencepiece_settings.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace weft {
namespace {

constexpr std::uint64_t bpe_model_type = 2;

std::optional<std::uint64_t> varint(std::string_view& in) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(in.front());
    in.remove_prefix(1);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

// Calls visit(field, number, bytes) for each field of a message: `bytes` for wire type 2, `number`
// for wire type 0; fields of fixed width are passed over.
template <class Visit>
void fields(std::string_view message, Visit visit) {
  while (!message.empty()) {
    const auto tag = varint(message);
    if (!tag) return;
    std::size_t skip = 0;
    std::uint64_t number = 0;
    std::string_view bytes;
    switch (*tag & 7) {
      case 0: {
        const auto value = varint(message);
        if (!value) return;
        number = *value;
        break;
      }
      case 1:
        skip = 8;
        break;
      case 2: {
        const auto length = varint(message);
        if (!length || *length > message.size()) return;
        skip = static_cast<std::size_t>(*length);
        bytes = message.substr(0, skip);
        break;
      }
      case 5:
        skip = 4;
        break;
      default:
        return;
    }
    if (skip > message.size()) return;
    message.remove_prefix(skip);
    visit(*tag >> 3, number, bytes);
  }
}

// The little-endian number at a place of a text that is long enough.
std::uint32_t word_at(std::string_view bytes, std::size_t at) {
  std::uint32_t word = 0;
  for (std::size_t i = 4; i-- > 0;) word = word << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return word;
}

// precompiled_charsmap: the length of a trie, the trie (of the Darts-clone library, as units of 32
// bits), and texts, each with a NUL at its end, that its values point to. A unit with the highest
// bit holds a value, the others lead to one of 256 units, and bit 8 of them says that the first of
// these holds a value.
bool is_sound(std::string_view rules) {
  if (rules.empty()) return true;
  if (rules.size() < 4) return false;
  const std::size_t length = word_at(rules, 0);
  rules.remove_prefix(4);
  if (length >= rules.size() || length % 4 != 0 || length == 0 || rules.back() != '\0')
    return false;
  constexpr std::uint32_t is_value = 1U << 31;
  const std::size_t texts = rules.size() - length;
  const std::size_t units = length / 4;
  for (std::size_t i = 0; i < units; ++i) {
    const std::uint32_t unit = word_at(rules, 4 * i);
    if ((unit & is_value) != 0) {
      if ((unit & ~is_value) >= texts) return false;
      continue;
    }
    const std::size_t target = i ^ std::size_t{unit >> 10} << ((unit & 1U << 9) >> 6);
    if ((target | 0xFF) >= units) return false;
    if ((unit & 1U << 8) != 0 && (word_at(rules, 4 * target) & is_value) == 0) return false;
  }
  return true;
}

}  // namespace

bool has_sound_rewrites(std::string_view model) {
  bool sound = true;
  fields(model, [&](std::uint64_t outer, std::uint64_t, std::string_view spec) {
    if (outer != 3 && outer != 5) return;  // normalizer_spec, denormalizer_spec
    fields(spec, [&](std::uint64_t field, std::uint64_t, std::string_view bytes) {
      if (field == 2) sound = sound && is_sound(bytes);
    });
  });
  return sound;
}

SentencePieceSettings SentencePieceSettings::from_model(std::string_view model) {
  SentencePieceSettings s;
  const auto trainer = [&](std::uint64_t field, std::uint64_t number, std::string_view) {
    if (field == 3) s.is_bpe = number == bpe_model_type;
    if (field == 24) s.space_is_suffix = number != 0;
  };
  const auto normalizer = [&](std::uint64_t field, std::uint64_t number, std::string_view bytes) {
    if (field == 2) s.rewrites = !bytes.empty();
    if (field == 3) s.dummy_prefix = number != 0;
    if (field == 4) s.squeezes_spaces = number != 0;
    if (field == 5) s.escapes_spaces = number != 0;
  };
  fields(model, [&](std::uint64_t field, std::uint64_t, std::string_view bytes) {
    if (field == 2) fields(bytes, trainer);
    if (field == 3) fields(bytes, normalizer);
  });
  return s;
}

}  // namespace weft
