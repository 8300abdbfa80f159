// One line of a journal part: a row, whose it is, and a digest that tells whether it is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace weft {

/// Longest line that a journal holds.
inline constexpr Bytes kJournalLineCap = Bytes{256} << 20;
/// Longest row in it.
inline constexpr Bytes kJournalRowCap = kJournalLineCap - 256;

/// A row of the results in the journal.
struct JournalRow {
  std::int64_t index = 0;
  bool succeeded = false;
  std::string_view text;
};

/// The line for a row, without '\n':
/// {"index":N,"ok":true|false,"digest":"<32 hex digits>","row":ROW}
/// where the digest is XXH3-128 of the text "N true ROW" or "N false ROW".
void write_journal_line(const JournalRow& row, std::string& line);

/// The row on a line; nothing when the line is torn or damaged anywhere. `text` points into `line`.
std::optional<JournalRow> read_journal_line(std::string_view line);

/// Tokens of a row's `usage`; 0 in a row without one.
struct RowTokens {
  std::int64_t prompt = 0;
  std::int64_t completion = 0;
};
RowTokens tokens_of_row(std::string_view row);

/// Where a row stands on disk.
struct RowPlace {
  std::uint32_t part = 0;    ///< number of the file in `journal_parts`
  std::uint32_t length = 0;  ///< of the row in bytes
  Bytes offset = 0;          ///< of the row in the file
};

/// OUT/journal/part-NNNN.jsonl: the part of a replica.
std::filesystem::path journal_part_path(const std::filesystem::path& journal, int replica);

/// All parts in a journal directory, in order of their names.
std::vector<std::filesystem::path> journal_parts(const std::filesystem::path& journal);

/// Calls `visit` for every whole row of all `parts`; returns how many lines were passed over as
/// torn or damaged. `stop`, when given, is asked with each line: Cancelled is thrown when it says
/// so.
std::int64_t scan_journal(const std::vector<std::filesystem::path>& parts,
                          const std::function<void(const JournalRow&, const RowPlace&)>& visit,
                          const std::function<bool()>& stop = {});

}  // namespace weft
