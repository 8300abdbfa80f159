// Completion scripts, from the outline of the commands and the table of the job's keys.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "app/commands/command_outline.h"
#include "app/job/job.h"

namespace weft {
namespace {

constexpr std::string_view kBashHead = R"(# Completes weft in bash. Made by: weft completion bash
_weft() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' key='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case ${COMP_WORDS[i]} in
)";

constexpr std::string_view kBashKeys = R"(
  # bash takes --set KEY=VALUE apart at the sign.
  if [[ $cur == '=' && ${COMP_WORDS[COMP_CWORD-2]} == --set ]]; then
    key=$prev cur=''
  elif [[ $prev == '=' && ${COMP_WORDS[COMP_CWORD-3]} == --set ]]; then
    key=${COMP_WORDS[COMP_CWORD-2]}
  fi
)";

constexpr std::string_view kZshKeys = R"(# KEY, then VALUE.
_weft_setting() {
  if ! compset -P '*='; then
    compadd -S = -- $_weft_keys
    return
  fi
  case ${IPREFIX%=} in
)";

/// Every value that can be listed: of "true|false" and the like.
std::vector<std::string> words_of(const ValueType& type) {
  std::vector<std::string> words(type.words().begin(), type.words().end());
  if (type.kind == ValueType::Kind::boolean) words = {"true", "false"};
  return words;
}

std::vector<std::string> key_names() {
  std::vector<std::string> names;
  for (const JobKey& key : job_keys()) names.push_back(key.path);
  return names;
}

/// "    engine.isa) PREFIX auto avx2 … ;;" for each key whose values can be listed.
std::string cases_of_keys(std::string_view before, std::string_view after) {
  std::string text;
  for (const JobKey& key : job_keys()) {
    const std::vector<std::string> words = words_of(key.type);
    if (words.empty()) continue;
    text += fmt::format("    {}) {}{}{} ;;\n", key.path, before, fmt::join(words, " "), after);
  }
  return text;
}

std::vector<std::string> command_names(std::span<const CommandOutline> commands) {
  std::vector<std::string> names;
  for (const CommandOutline& command : commands) names.push_back(command.name);
  return names;
}

/// "    'convert --dtype') words='bf16 f32' ;;".
std::string bash_values(const CommandOutline& command) {
  std::string text;
  for (const OptionOutline& option : command.options) {
    const std::vector<std::string> words = words_of(option);
    if (words.empty()) continue;
    for (const std::string& name : option.names) {
      text +=
          fmt::format("    '{} {}') words='{}' ;;\n", command.name, name, fmt::join(words, " "));
    }
  }
  return text;
}

std::string bash_flags(const CommandOutline& command) {
  std::vector<std::string> names;
  for (const OptionOutline& option : command.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return fmt::format("    {}) words='{}' ;;\n", command.name, fmt::join(names, " "));
}

/// Text inside '…[…]' of zsh's _arguments.
std::string zsh_text(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
      continue;
    }
    if (c == '[' || c == ']' || c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string zsh_action(const OptionOutline& option, const std::string& name) {
  if (option.value.empty()) return {};
  if (name == "--set") return ":setting:_weft_setting";
  const std::vector<std::string> words = words_of(option);
  if (words.empty()) return ":value:_files";
  return fmt::format(":value:({})", fmt::join(words, " "));
}

std::string zsh_arguments(const CommandOutline& command) {
  std::string text = fmt::format("    {})\n      _arguments", command.name);
  for (const OptionOutline& option : command.options) {
    for (const std::string& name : option.names) {
      text += fmt::format(" \\\n        '*{}[{}]{}'", name, zsh_text(option.help),
                          zsh_action(option, name));
    }
  }
  return text + " \\\n        '*:file:_files'\n      ;;\n";
}

}  // namespace

std::vector<std::string> words_of(const OptionOutline& option) {
  std::vector<std::string> words;
  std::string_view left = option.value;
  while (left.find('|') != std::string_view::npos) {
    words.emplace_back(left.substr(0, left.find('|')));
    left.remove_prefix(left.find('|') + 1);
  }
  if (!words.empty()) words.emplace_back(left);
  return words;
}

std::string bash_completion(std::span<const CommandOutline> commands) {
  std::string text(kBashHead);
  text += fmt::format("      {}) command=${{COMP_WORDS[i]}}; break ;;\n    esac\n  done\n",
                      fmt::join(command_names(commands), "|"));
  text += kBashKeys;
  text +=
      "  local words=''\n  case $key in\n    '') ;;\n" + cases_of_keys("words='", "'") + "  esac\n";
  text +=
      "  if [[ -n $key ]]; then\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
      "    return\n  fi\n";
  text +=
      "  if [[ $prev == --set ]]; then\n    compopt -o nospace\n    COMPREPLY=($(compgen -S = "
      "-W '" +
      fmt::format("{}", fmt::join(key_names(), " ")) + "' -- \"$cur\"))\n    return\n  fi\n";
  text += "  case \"$command $prev\" in\n    '') ;;\n";
  for (const CommandOutline& command : commands) text += bash_values(command);
  text += "  esac\n  if [[ -z $words && -z $command ]]; then\n    words='" +
          fmt::format("{}", fmt::join(command_names(commands), " ")) +
          " --help --version'\n  elif [[ -z $words && $cur == -* ]]; then\n    case $command in\n";
  for (const CommandOutline& command : commands) text += bash_flags(command);
  return text +
         "    esac\n  fi\n  [[ -n $words ]] && COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "}\ncomplete -o default -F _weft weft\n";
}

std::string zsh_completion(std::span<const CommandOutline> commands) {
  std::string text = "#compdef weft\n# Completes weft in zsh. Made by: weft completion zsh\n";
  text += fmt::format("_weft_keys=({})\n{}", fmt::join(key_names(), " "), kZshKeys);
  text += cases_of_keys("compadd -- ", "") + "  esac\n}\n\n_weft() {\n  local -a commands=(\n";
  for (const CommandOutline& command : commands) {
    text += fmt::format("    '{}:{}'\n", command.name, zsh_text(command.help));
  }
  text +=
      "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
      "  shift words\n  (( CURRENT-- ))\n  case $words[1] in\n";
  for (const CommandOutline& command : commands) text += zsh_arguments(command);
  return text + "  esac\n}\n\n_weft \"$@\"\n";
}

}  // namespace weft
