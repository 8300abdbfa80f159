#include "app/requests/line_reader.h"

#include <span>
#include <utility>

#include "base/cancelled.h"
#include "base/progress_counter.h"

namespace weft {
namespace {

constexpr Bytes kPiece = Bytes{1} << 20;

}  // namespace

LineReader::LineReader(const std::filesystem::path& path, Bytes cap, Stop stop)
    : LineReader(plain_stream(File::open_read(path)), cap, nullptr, std::move(stop)) {}

LineReader::LineReader(std::unique_ptr<ByteStream> stream, Bytes cap, Digester* digest, Stop stop)
    : stream_(std::move(stream)), cap_(cap), digest_(digest), stop_(std::move(stop)) {}

bool LineReader::refill() {
  piece_.resize(kPiece);
  count_progress();
  if (stop_ && stop_()) throw Cancelled();
  const std::size_t count = stream_->read(std::as_writable_bytes(std::span(piece_)));
  if (count == 0) return false;
  read_at_ += count;
  left_ = std::string_view(piece_.data(), count);
  if (digest_ != nullptr) digest_->add(left_);
  return true;
}

bool LineReader::next(Line& line) {
  if (left_.empty() && !refill()) return false;
  line = {};
  line.number = ++number_;
  line.offset = read_at_ - left_.size();
  carry_.clear();
  for (;;) {
    const std::size_t end = left_.find('\n');
    line.ended = end != std::string_view::npos;
    const std::string_view part = left_.substr(0, end);
    left_.remove_prefix(line.ended ? end + 1 : left_.size());
    if (line.ended && carry_.empty() && part.size() <= cap_) {
      line.text = part;  // the usual case: the whole line lies in one piece
      return true;
    }
    const std::size_t room = cap_ - carry_.size();
    line.too_long = line.too_long || part.size() > room;
    carry_ += part.substr(0, room);
    if (line.ended || !refill()) break;
  }
  line.text = carry_;
  return true;
}

}  // namespace weft
