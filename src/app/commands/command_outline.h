// The commands and their options as data, for shell completion and the manual block.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

struct OptionOutline {
  std::vector<std::string> names;  ///< "-n", "--ranks"; none: given by its place
  std::string value;               ///< "N", "bf16|f32", "JOB_YAML"; empty: a flag
  std::string help;
};

struct CommandOutline {
  std::string name;
  std::string help;
  std::vector<OptionOutline> options;
};

/// The words that may be an option's value; none when it may be anything.
std::vector<std::string> words_of(const OptionOutline& option);

/// A script for bash: completes commands, options, their values, and keys and values of --set.
std::string bash_completion(std::span<const CommandOutline> commands);
/// The same for zsh.
std::string zsh_completion(std::span<const CommandOutline> commands);

/// The manual block, weft(1), in the format of man. `examples` is what ends the program's help.
std::string manual_block(std::string_view description, std::span<const CommandOutline> commands,
                         std::string_view examples);

/// What each exit status means, as a paragraph.
std::string exit_status_text();

}  // namespace weft
