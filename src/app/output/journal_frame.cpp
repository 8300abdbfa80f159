#include "app/output/journal_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>

#include "app/output/output_directory.h"
#include "app/requests/line_reader.h"
#include "base/cancelled.h"
#include "base/digest.h"
#include "base/error.h"

namespace weft {
namespace {

constexpr std::size_t kHexDigits = 32;

std::string digest_text(const JournalRow& row) {
  Digester digest;
  digest.add(fmt::format("{} {} ", row.index, row.succeeded));
  digest.add(row.text);
  return digest.result().hex();
}

/// Takes `prefix` off the front; false when it is not there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool take_index(std::string_view& text, std::int64_t& index) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (status != std::errc() || index < 0) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

/// The number behind the last `key` in `text`; 0 when there is none. Texts that a model wrote stand
/// before it, and their quotes are escaped.
std::int64_t last_number(std::string_view text, std::string_view key) {
  const std::size_t at = text.rfind(key);
  std::int64_t number = 0;
  if (at != std::string_view::npos) {
    std::from_chars(text.data() + at + key.size(), text.data() + text.size(), number);
  }
  return number;
}

}  // namespace

void write_journal_line(const JournalRow& row, std::string& line) {
  line.clear();
  fmt::format_to(std::back_inserter(line), R"({{"index":{},"ok":{},"digest":"{}","row":)",
                 row.index, row.succeeded, digest_text(row));
  line += row.text;
  line += '}';
}

std::optional<JournalRow> read_journal_line(std::string_view line) {
  JournalRow row;
  if (!take(line, R"({"index":)") || !take_index(line, row.index)) return std::nullopt;
  if (!take(line, R"(,"ok":)")) return std::nullopt;
  row.succeeded = take(line, "true");
  if (!row.succeeded && !take(line, "false")) return std::nullopt;
  if (!take(line, R"(,"digest":")")) return std::nullopt;
  const std::string_view digest = line.substr(0, kHexDigits);
  line.remove_prefix(digest.size());
  if (!take(line, R"(","row":)") || !line.ends_with('}')) return std::nullopt;
  line.remove_suffix(1);
  row.text = line;
  if (digest != digest_text(row)) return std::nullopt;
  return row;
}

RowTokens tokens_of_row(std::string_view row) {
  return {.prompt = last_number(row, R"("prompt_tokens":)"),
          .completion = last_number(row, R"("completion_tokens":)")};
}

std::filesystem::path journal_part_path(const std::filesystem::path& journal, int replica) {
  return journal / fmt::format("part-{:04}.jsonl", replica);
}

std::vector<std::filesystem::path> journal_parts(const std::filesystem::path& journal) {
  std::vector<std::filesystem::path> parts;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(journal, failed)) {
    if (is_numbered_name(entry.path().filename().string(), "part", ".jsonl")) {
      parts.push_back(entry.path());
    }
  }
  if (failed) fail_user("{}: cannot be read: {}", journal.string(), failed.message());
  std::sort(parts.begin(), parts.end());
  return parts;
}

std::int64_t scan_journal(const std::vector<std::filesystem::path>& parts,
                          const std::function<void(const JournalRow&, const RowPlace&)>& visit,
                          const std::function<bool()>& stop) {
  std::int64_t damaged = 0;
  for (std::size_t part = 0; part < parts.size(); ++part) {
    LineReader reader(parts[part], kJournalLineCap, stop);
    LineReader::Line line;
    while (reader.next(line)) {
      if (stop && stop()) throw Cancelled();
      // A line without '\n' is cut off when its part is opened again, so it does not count.
      const bool whole = line.ended && !line.too_long;
      const auto row = whole ? read_journal_line(line.text) : std::nullopt;
      if (!row) {
        ++damaged;
        continue;
      }
      const auto start = static_cast<Bytes>(row->text.data() - line.text.data());
      visit(*row, {.part = static_cast<std::uint32_t>(part),
                   .length = static_cast<std::uint32_t>(row->text.size()),
                   .offset = line.offset + start});
    }
  }
  return damaged;
}

}  // namespace weft
