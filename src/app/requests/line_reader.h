// Lines of a large file, one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/types.h"
#include "io/byte_stream.h"

namespace weft {

/// Streams the lines of a text, with memory for the longest line only.
class LineReader {
 public:
  struct Line {
    std::string_view text;    ///< without its '\n'; valid until the next call
    std::int64_t number = 0;  ///< from 1
    Bytes offset = 0;         ///< of its first byte in the text
    bool ended = false;       ///< a '\n' followed
    bool too_long = false;    ///< longer than the cap; `text` is its first `cap` bytes
  };

  using Stop = std::function<bool()>;

  /// Reads a file as it is. Throws UserError when it cannot be opened. `stop` as below.
  LineReader(const std::filesystem::path& path, Bytes cap, Stop stop = nullptr);
  /// Reads a stream. `digest`, when given, is fed all bytes that are read and must outlive the
  /// reader. `stop`, when given, is asked with each MiB: Cancelled is thrown when it says so.
  LineReader(std::unique_ptr<ByteStream> stream, Bytes cap, Digester* digest = nullptr,
             Stop stop = nullptr);

  /// The next line; false at the end.
  bool next(Line& line);

 private:
  bool refill();

  std::unique_ptr<ByteStream> stream_;
  Bytes cap_;
  Digester* digest_;
  Stop stop_;
  std::vector<char> piece_;
  std::string_view left_;  ///< what is still unread of `piece_`
  Bytes read_at_ = 0;      ///< place in the text behind `piece_`
  std::string carry_;      ///< a line that spans pieces
  std::int64_t number_ = 0;
};

}  // namespace weft
