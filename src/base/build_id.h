// Which build of the program this is.
#pragma once

#include <string>

namespace weft {

/// The build id that the linker has put into the running program, a digest of all its contents, as
/// hexadecimal digits. "unknown" where there is none.
std::string build_id();

}  // namespace weft
