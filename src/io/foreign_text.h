// Files that are not what they should be, told by how they begin.
#pragma once

#include <string_view>

namespace weft {

/// Throws UserError when a text that should be UTF-8 begins as UTF-16, UTF-32 or a packed file
/// does: it names `where`, what it is, and what to do. `text` may be longer than what is looked at.
void refuse_foreign_text(std::string_view text, std::string_view where);

}  // namespace weft
