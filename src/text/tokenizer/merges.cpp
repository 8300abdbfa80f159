// Lists of merges, as the two kinds of files write them.
#include "text/json_file.h"
#include "text/tokenizer/bpe.h"

namespace weft {
namespace {

Merge merge_of(std::string_view left, std::string_view right, const Vocab& vocab) {
  const auto id = [&](std::string_view piece) {
    const auto found = vocab.find(piece);
    if (!found) {
      fail_user("merge \"{} {}\" needs \"{}\", which is not in the vocabulary", left, right, piece);
    }
    return *found;
  };
  return {id(left), id(right), id(std::string(left) + std::string(right))};
}

Merge merge_of(std::string_view line, const Vocab& vocab) {
  const std::size_t space = line.find(' ');
  if (space == line.npos || line.find(' ', space + 1) != line.npos) {
    fail_user("merge \"{}\" is not two pieces with a space between", line.substr(0, 200));
  }
  return merge_of(line.substr(0, space), line.substr(space + 1), vocab);
}

}  // namespace

std::vector<Merge> merges_from_json(const nlohmann::json& list, const Vocab& vocab) {
  if (!list.is_array()) fail_user("\"merges\" is a {}, not an array", list.type_name());
  std::vector<Merge> merges;
  merges.reserve(list.size());
  for (const nlohmann::json& item : list) {
    if (item.is_string()) {
      merges.push_back(merge_of(item.get_ref<const std::string&>(), vocab));
    } else if (item.is_array() && item.size() == 2) {
      merges.push_back(merge_of(item[0].get_ref<const std::string&>(),
                                item[1].get_ref<const std::string&>(), vocab));
    } else {
      fail_user("merge {} is neither a string nor a pair", merges.size());
    }
  }
  return merges;
}

std::vector<Merge> merges_from_text(std::string_view text, const Vocab& vocab) {
  std::vector<Merge> merges;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    merges.push_back(merge_of(line, vocab));
  }
  return merges;
}

}  // namespace weft
