// What to say when a key of the job stands on the command line without --set.
#pragma once

#include <functional>
#include <span>
#include <string>

namespace weft {

/// A message for the first word of a command line such as "--tp", "--parallel.tp=2" or a bare
/// "parallel.tp=2", which is a key of the job and no option of the command: it shows the setting
/// that was meant. Empty when there is none. `is_option`: whether the command has such an option.
std::string key_advice(std::span<const char* const> words,
                       const std::function<bool(const std::string&)>& is_option);

}  // namespace weft
