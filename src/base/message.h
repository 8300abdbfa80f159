// What is printed for people: no byte of a file or of a command line reaches a terminal as it is.
#pragma once

#include <string>
#include <string_view>

namespace weft {

/// Text of any origin as a terminal may show it: control characters, bytes that are not UTF-8, and
/// marks that change the direction of writing become "\\n", "\\x1b", "\\u202e".
std::string escaped(std::string_view text);

/// The same for a message, which may go on in lines that begin with two spaces.
std::string escaped_message(std::string_view message);

/// Prints "weft: MESSAGE" to standard error, escaped. Every message about a mistake or a failure
/// goes this way.
void print_error(std::string_view message);

}  // namespace weft
