// weft(1), from the outline of the commands and the table of the job's keys.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utf8proc.h>

#include "app/commands/command_outline.h"
#include "app/job/job.h"
#include "base/error.h"
#include "base/exit_status.h"
#include "base/version.h"

namespace weft {
namespace {

/// Text that man takes as it stands.
std::string literal(std::string_view text) {
  std::string result;
  bool starts_line = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (starts_line && (c == '.' || c == '\'')) result += "\\&";
    if (static_cast<unsigned char>(c) >= 0x80) {
      utf8proc_int32_t letter = 0;
      const auto bytes = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(&text[i]),
                                          static_cast<utf8proc_ssize_t>(text.size() - i), &letter);
      require(bytes > 0, "the manual page has a text that is not UTF-8");
      result += fmt::format("\\[u{:04X}]", letter);
      i += static_cast<std::size_t>(bytes) - 1;
    } else if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
    starts_line = c == '\n';
  }
  return result;
}

/// A term in bold, with what it means.
std::string entry(std::string_view term, std::string_view text) {
  return fmt::format(".TP\n.B {}\n{}\n", literal(term), literal(text));
}

std::string command_text(const CommandOutline& command) {
  std::string usage = "weft " + command.name;
  std::string options;
  for (const OptionOutline& option : command.options) {
    if (option.names.empty()) usage += ' ' + option.value;
    const std::string term = option.names.empty()
                                 ? option.value
                                 : fmt::format("{}{}{}", fmt::join(option.names, ", "),
                                               option.value.empty() ? "" : " ", option.value);
    options += entry(term, option.help);
  }
  return fmt::format(".SS {}\n{}\n{}", literal(usage), literal(command.help), options);
}

std::string keys_text() {
  std::string text;
  for (const JobKey& key : job_keys()) {
    const std::string standard =
        key.required ? "required" : fmt::format("default {}", key.write({}));
    text += entry(key.path, fmt::format("{} ({}; {})", plain_text(key.meaning),
                                        plain_text(in_words(key.type)), standard));
  }
  return text;
}

}  // namespace

std::string exit_status_text() {
  return fmt::format(
      "Exit status: {} all requests succeeded, {} a mistake of the user's, {} finished but some\n"
      "requests failed (their rows say why), {} stopped before the end and resumable, {} anything "
      "else.",
      kExitSuccess, kExitUserError, kExitSomeFailed, kExitResumable, kExitFailure);
}

std::string manual_block(std::string_view description, std::span<const CommandOutline> commands,
                         std::string_view examples) {
  std::string text = fmt::format(
      ".TH WEFT 1 \"\" \"weft {}\" \"User Commands\"\n"
      ".SH NAME\nweft \\- offline batch jobs of large language models, under MPI\n"
      ".SH SYNOPSIS\n.B weft\n.I COMMAND\n[options]\n.SH DESCRIPTION\n{}\n.SH COMMANDS\n",
      kVersion, literal(description));
  for (const CommandOutline& command : commands) text += command_text(command);
  text +=
      ".SH KEYS OF A JOB\nIn the job file they stand in sections; "
      "with \\-\\-set, as written here.\n" +
      keys_text();
  return text + fmt::format(".SH EXAMPLES\n.nf\n{}\n.fi\n", literal(examples));
}

}  // namespace weft
