#include "io/byte_stream.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::size_t kPacked = std::size_t{256} << 10;  ///< bytes of a compressed file at a time
constexpr std::string_view kGzipMagic("\x1f\x8b", 2);
constexpr std::string_view kZstdMagic("\x28\xb5\x2f\xfd", 4);
/// The first of 16 values that begin a frame to be skipped.
constexpr std::uint32_t kZstdSkippable = 0x184D2A50;

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(File file) : file_(std::move(file)), size_(file_.size()) {}

  std::size_t read(std::span<std::byte> out) override {
    const std::size_t count = std::min<Bytes>(out.size(), size_ - at_);
    file_.pread_all(out.first(count), at_);
    at_ += count;
    return count;
  }

  [[nodiscard]] const std::string& path() const { return file_.path(); }

 private:
  File file_;
  Bytes size_;
  Bytes at_ = 0;
};

/// A compressed file, piece by piece.
class PackedInput {
 public:
  explicit PackedInput(File file) : stream_(std::move(file)), piece_(kPacked) {}

  /// What is read and not yet used; reads on when that is nothing. Empty at the end of the file.
  std::span<std::byte> left() {
    if (left_.empty()) left_ = std::span(piece_).first(stream_.read(piece_));
    return left_;
  }
  void use(std::size_t count) { left_ = left_.subspan(count); }
  [[nodiscard]] const std::string& path() const { return stream_.path(); }

 private:
  PlainStream stream_;
  std::vector<std::byte> piece_;
  std::span<std::byte> left_;
};

class GzipStream final : public ByteStream {
 public:
  explicit GzipStream(File file) : input_(std::move(file)) {
    constexpr int kGzipOnly = 15 + 16;  // the largest window, with gzip's header and trailer
    require(inflateInit2(&state_, kGzipOnly) == Z_OK, "zlib cannot be started");
  }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;
  ~GzipStream() override { inflateEnd(&state_); }

  std::size_t read(std::span<std::byte> out) override {
    for (;;) {
      const std::span<std::byte> packed = input_.left();
      // At the end of the file the decoder may still hold bytes that there was no room for.
      if (packed.empty() && !in_member_) return 0;
      in_member_ = true;
      state_.next_in = reinterpret_cast<Bytef*>(packed.data());
      state_.avail_in = static_cast<uInt>(packed.size());
      state_.next_out = reinterpret_cast<Bytef*>(out.data());
      state_.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size(), 1U << 30));
      const uInt room = state_.avail_out;
      const int status = inflate(&state_, Z_NO_FLUSH);
      input_.use(packed.size() - state_.avail_in);
      if (status == Z_STREAM_END) {
        in_member_ = false;
        inflateReset(&state_);
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        fail_user("{}: the gzip file is damaged: {}", input_.path(),
                  state_.msg != nullptr ? state_.msg : "unknown error");
      }
      if (state_.avail_out < room) return room - state_.avail_out;
      if (packed.empty() && in_member_) {
        fail_user("{}: the gzip file ends early: it was cut off", input_.path());
      }
    }
  }

 private:
  PackedInput input_;
  z_stream state_{};
  bool in_member_ = false;
};

class ZstdStream final : public ByteStream {
 public:
  explicit ZstdStream(File file) : input_(std::move(file)), state_(ZSTD_createDStream()) {
    require(state_ != nullptr, "zstd cannot be started");
  }
  ZstdStream(const ZstdStream&) = delete;
  ZstdStream& operator=(const ZstdStream&) = delete;
  ~ZstdStream() override { ZSTD_freeDStream(state_); }

  std::size_t read(std::span<std::byte> out) override {
    for (;;) {
      const std::span<std::byte> packed = input_.left();
      // At the end of the file the decoder may still hold bytes that there was no room for.
      ZSTD_inBuffer in{packed.data(), packed.size(), 0};
      ZSTD_outBuffer to{out.data(), out.size(), 0};
      if (packed.empty() && !in_frame_) return 0;
      const std::size_t status = ZSTD_decompressStream(state_, &to, &in);
      if (ZSTD_isError(status) != 0) {
        fail_user("{}: the zstd file is damaged or uses what is not supported: {}", input_.path(),
                  ZSTD_getErrorName(status));
      }
      input_.use(in.pos);
      in_frame_ = status != 0;
      if (to.pos > 0) return to.pos;
      if (packed.empty()) fail_user("{}: the zstd file ends early: it was cut off", input_.path());
    }
  }

 private:
  PackedInput input_;
  ZSTD_DStream* state_;
  bool in_frame_ = false;
};

bool is_zstd(std::string_view start) {
  if (start.starts_with(kZstdMagic)) return true;
  if (start.size() < 4) return false;
  std::uint32_t magic = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    magic |= static_cast<std::uint32_t>(static_cast<unsigned char>(start[i])) << (8 * i);
  }
  return (magic & ~0xFU) == kZstdSkippable;
}

}  // namespace

std::unique_ptr<ByteStream> plain_stream(File file) {
  return std::make_unique<PlainStream>(std::move(file));
}

std::unique_ptr<ByteStream> open_stream(const std::filesystem::path& path) {
  File file = File::open_read(path);
  std::array<char, 4> bytes{};
  const std::size_t count = std::min<Bytes>(bytes.size(), file.size());
  file.pread_all(std::as_writable_bytes(std::span(bytes).first(count)), 0);
  const std::string_view start(bytes.data(), count);
  if (start.starts_with(kGzipMagic)) return std::make_unique<GzipStream>(std::move(file));
  if (is_zstd(start)) return std::make_unique<ZstdStream>(std::move(file));
  return plain_stream(std::move(file));
}

}  // namespace weft
