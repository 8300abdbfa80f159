// What the program's exit status says.
#pragma once

namespace weft {

// exit_status_text (app/commands/manual_page.cpp) tells people the same.
inline constexpr int kExitSuccess = 0;     ///< all requests succeeded
inline constexpr int kExitFailure = 1;     ///< anything that should not have happened
inline constexpr int kExitUserError = 2;   ///< the user's mistake; one message
inline constexpr int kExitSomeFailed = 3;  ///< finished, some requests have error rows
inline constexpr int kExitResumable = 75;  ///< stopped or hung before the end; run again to go on

}  // namespace weft
