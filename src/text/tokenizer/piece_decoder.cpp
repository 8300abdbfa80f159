#include "text/tokenizer/piece_decoder.h"

#include <cctype>
#include <charconv>
#include <memory>

#include "text/json_file.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/tokenizer/pattern.h"
#include "text/utf8.h"

namespace weft {
namespace {

void alphabet_to_bytes(std::string& piece) {
  if (auto bytes = bytes_from_byte_level(piece)) piece = std::move(*bytes);
}

// <0x0A> is the byte 10.
void byte_token_to_byte(std::string& piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || !piece.ends_with('>')) return;
  unsigned value = 0;
  const char* end = piece.data() + 5;
  if (std::from_chars(piece.data() + 3, end, value, 16).ptr == end) {
    piece.assign(1, static_cast<char>(value));
  }
}

std::size_t count(const nlohmann::json& spec, const char* key) {
  const nlohmann::json& value = spec.at(key);
  if (!value.is_number_unsigned()) fail_user("\"{}\" of a decoder is not a count", key);
  return value.get<std::size_t>();
}

}  // namespace

PieceDecoder PieceDecoder::from_json(const nlohmann::json& spec) {
  PieceDecoder decoder;
  if (spec.is_null()) {
    decoder.steps_.push_back({[](std::string& piece) { piece.insert(0, 1, ' '); }});
    decoder.trim_opening(' ');
  } else {
    decoder.add(spec);
  }
  return decoder;
}

PieceDecoder PieceDecoder::byte_level() {
  PieceDecoder decoder;
  decoder.steps_.push_back({alphabet_to_bytes, Kind::byte_level});
  return decoder;
}

std::string PieceDecoder::bytes(std::string_view piece, bool is_added) const {
  std::string result(piece);
  std::string ignored;
  for (const Step& step : steps_) {
    if (is_added && step.kind == Kind::byte_level) continue;
    if (well_formed(result, ignored).data() != result.data()) break;  // bytes already
    step.apply(result);
  }
  return result;
}

void PieceDecoder::trim_opening(char byte) {
  trims_opening_ = true;
  opening_ = byte;
}

void PieceDecoder::add(const nlohmann::json& spec) {
  const std::string type = string_member(spec, "type", "");
  if (type == "Sequence") {
    for (const nlohmann::json& part : spec.at("decoders")) add(part);
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "Strip") {
    add_strip(spec);
  } else if (fused_) {
    fail_user("decoder \"{}\" after Fuse is not supported", type);
  } else if (type == "ByteLevel") {
    steps_.push_back({alphabet_to_bytes, Kind::byte_level});
  } else if (type == "ByteFallback") {
    steps_.push_back({byte_token_to_byte});
  } else if (type == "Replace") {
    auto pattern = std::make_shared<const Pattern>(Pattern::from_json(spec.at("pattern")));
    steps_.push_back({[pattern, by = spec.at("content").get<std::string>()](std::string& piece) {
      piece = pattern->replace_all(piece, by);
    }});
  } else if (type == "Metaspace") {
    const auto space = std::make_shared<const Pattern>(spec.at("replacement").get<std::string>());
    steps_.push_back({[space](std::string& piece) { piece = space->replace_all(piece, " "); }});
    const char* scheme = bool_member(spec, "add_prefix_space", true) ? "always" : "never";
    if (string_member(spec, "prepend_scheme", scheme) != "never") trim_opening(' ');
  } else {
    fail_user("decoder \"{}\" is not supported", type);
  }
}

// Before Fuse it works on each token, after it on the whole text.
void PieceDecoder::add_strip(const nlohmann::json& spec) {
  const std::string content = spec.at("content").get<std::string>();
  const std::size_t start = count(spec, "start");
  const std::size_t stop = count(spec, "stop");
  if (content.size() != 1) fail_user("decoder \"Strip\" of other than one ASCII character");
  if (fused_) {
    if (start > 1 || stop > 0) fail_user("decoder \"Strip\" of more than one leading character");
    if (start == 1) trim_opening(content.front());
    return;
  }
  steps_.push_back({[c = content.front(), start, stop](std::string& piece) {
    std::size_t left = 0;
    while (left < start && left < piece.size() && piece[left] == c) ++left;
    std::size_t right = 0;
    while (right < stop && right + left < piece.size() && piece[piece.size() - 1 - right] == c) {
      ++right;
    }
    piece = piece.substr(left, piece.size() - left - right);
  }});
}

}  // namespace weft
