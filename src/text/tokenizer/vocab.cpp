#include "text/tokenizer/vocab.h"

#include "text/json_file.h"

namespace weft {

Vocab Vocab::from_json(const nlohmann::json& object) {
  if (!object.is_object()) fail_user("the vocabulary is a {}, not an object", object.type_name());
  if (object.empty()) fail_user("the vocabulary is empty");
  Vocab vocab;
  vocab.ids_.reserve(object.size());
  for (const auto& [piece, id] : object.items()) vocab.add(piece, token_id_from(id));
  return vocab;
}

void Vocab::add(std::string_view piece, TokenId id) {
  if (contains(id)) {
    fail_user("token id {} is used twice: for \"{}\" and for \"{}\"", id, this->piece(id), piece);
  }
  const auto [it, is_new] = ids_.emplace(piece, id);
  if (!is_new) fail_user("token \"{}\" has two ids: {} and {}", piece, it->second, id);
  const auto i = static_cast<std::size_t>(id);
  if (i >= pieces_.size()) {
    pieces_.resize(i + 1);
    present_.resize(i + 1);
  }
  pieces_[i] = piece;
  present_[i] = true;
}

std::optional<TokenId> Vocab::find(std::string_view piece) const {
  const auto it = ids_.find(piece);
  return it == ids_.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace weft
