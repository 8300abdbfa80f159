// Lines of a large file, one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/types.h"
#include "io/file.h"

namespace weft {

/// Streams the lines of a file, with memory for the longest line only.
class LineReader {
 public:
  struct Line {
    std::string_view text;    ///< without its '\n'; valid until the next call
    std::int64_t number = 0;  ///< from 1
    Bytes offset = 0;         ///< of its first byte in the file
    bool ended = false;       ///< a '\n' followed
    bool too_long = false;    ///< longer than the cap; `text` is its first `cap` bytes
  };

  /// Throws UserError when the file cannot be opened. `digest`, when given, is fed all bytes that
  /// are read and must outlive the reader.
  LineReader(const std::filesystem::path& path, Bytes cap, Digester* digest = nullptr);

  /// The next line; false at the end of the file.
  bool next(Line& line);

 private:
  bool refill();

  File file_;
  Bytes cap_;
  Digester* digest_;
  std::vector<char> piece_;
  std::string_view left_;  ///< what is still unread of `piece_`
  Bytes size_;             ///< of the file when it was opened: later growth is not read
  Bytes read_at_ = 0;      ///< file offset behind `piece_`
  std::string carry_;      ///< a line that spans pieces
  std::int64_t number_ = 0;
};

}  // namespace weft
