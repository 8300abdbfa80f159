#include "text/tokenizer/space_cuts.h"

namespace weft {

bool has_inner_space(std::string_view piece) {
  bool inside = false;  // behind a character that is no space
  while (!piece.empty()) {
    const std::size_t space = piece.starts_with(' ')             ? 1
                              : piece.starts_with(visible_space) ? visible_space.size()
                                                                 : 0;
    if (space > 0 && inside) return true;
    inside = inside || space == 0;
    piece.remove_prefix(space > 0 ? space : 1);
  }
  return false;
}

}  // namespace weft
