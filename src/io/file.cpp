#include "io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "base/error.h"
#include "base/out_of_memory.h"

namespace weft {
namespace {

constexpr std::size_t kCopyPiece = std::size_t{4} << 20;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A system call, made again when a signal came meanwhile.
template <class Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

struct stat status_of(const File& file) {
  struct stat status {};
  if (uninterrupted([&] { return ::fstat(file.fd(), &status); }) != 0) {
    fail("{}: {}", file.path(), errno_text());
  }
  return status;
}

void require_regular(const File& file) {
  if (!S_ISREG(status_of(file).st_mode)) fail_user("{}: not a regular file", file.path());
}

[[noreturn]] void refuse_link(const std::string& path) {
  fail_user("{}: a symbolic link, through which nothing is written: remove it", path);
}

/// Where a symbolic link leads; empty when the path is none.
std::string link_target(const std::string& path) {
  std::error_code none;
  return std::filesystem::read_symlink(path, none).string();
}

/// Throws UserError that the file could not be opened, for the reason that errno has.
[[noreturn]] void refuse_open(const std::string& path, std::string_view verb) {
  const int code = errno;
  const std::string target = link_target(path);
  if (code == ENOENT && !target.empty()) {
    fail_user("{}: a symbolic link to {}, which is not there", path, target);
  }
  errno = code;
  fail_user("{}: cannot be {}: {}", path, verb, errno_text());
}

/// The length of the file up to and with its last '\n'.
Bytes end_of_last_line(const File& file) {
  std::array<std::byte, 4096> piece;
  Bytes end = file.size();
  while (end > 0) {
    const Bytes length = std::min<Bytes>(end, piece.size());
    const std::span<std::byte> part(piece.data(), length);
    file.pread_all(part, end - length);
    const auto found = std::find(part.rbegin(), part.rend(), std::byte{'\n'});
    if (found != part.rend()) return end - static_cast<Bytes>(found - part.rbegin());
    end -= length;
  }
  return 0;
}

}  // namespace

File::File(const std::filesystem::path& path, int flags, std::string_view verb)
    : path_(path.string()) {
  // Without O_NONBLOCK a FIFO would hang the open.
  fd_ = uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0666); });
  if (fd_ >= 0) return;
  if (errno == ELOOP && (flags & O_NOFOLLOW) != 0) refuse_link(path_);
  refuse_open(path_, verb);
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

File File::open_read(const std::filesystem::path& path) {
  File file(path, O_RDONLY, "opened");
  require_regular(file);
  return file;
}

File File::open_update(const std::filesystem::path& path) {
  File file(path, O_RDWR | O_NOFOLLOW, "opened for writing");
  require_regular(file);
  return file;
}

File File::create(const std::filesystem::path& path) {
  make_way(path);
  return {path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, "created"};
}

File File::open_append(const std::filesystem::path& path) {
  File file(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, "opened for appending");
  require_regular(file);
  return file;
}

Bytes File::size() const { return static_cast<Bytes>(status_of(*this).st_size); }

void File::pread_all(std::span<std::byte> out, Bytes offset) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      fail_user("{}: reading at byte {}: {}", path_, offset, errno_text());
    }
    if (got == 0) fail_user("{}: ends at byte {}, but more was expected", path_, offset);
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<Bytes>(got);
  }
}

void File::expect(Bytes offset, Bytes bytes) const {
  (void)::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes),
                        POSIX_FADV_WILLNEED);
}

void File::pwrite_all(std::span<const std::byte> bytes, Bytes offset) const {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0) {
      if (errno == EINTR) continue;
      fail("{}: writing at byte {}: {}", path_, offset, errno_text());
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<Bytes>(put);
  }
}

void File::write_all(std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
    if (put < 0) {
      if (errno == EINTR) continue;
      fail("{}: writing: {}", path_, errno_text());
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void File::truncate(Bytes size) const {
  if (uninterrupted([&] { return ::ftruncate(fd_, static_cast<off_t>(size)); }) != 0) {
    fail("{}: setting its length to {}: {}", path_, size, errno_text());
  }
}

void File::sync() const {
  if (uninterrupted([&] { return ::fsync(fd_); }) != 0) fail("{}: fsync: {}", path_, errno_text());
}

bool is_there(const std::filesystem::path& path) {
  std::error_code failed;
  const std::filesystem::file_status status = std::filesystem::status(path, failed);
  if (status.type() == std::filesystem::file_type::none) {
    fail_user("{}: cannot be looked at: {}", path.string(), failed.message());
  }
  return std::filesystem::exists(status);
}

void make_way(const std::filesystem::path& path) {
  struct stat status {};
  if (uninterrupted([&] { return ::lstat(path.c_str(), &status); }) != 0) return;  // nothing there
  if (S_ISLNK(status.st_mode)) refuse_link(path.string());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    fail_user("{}: in the way of a new file, and cannot be removed: {}", path.string(),
              errno_text());
  }
}

std::string read_text(const std::filesystem::path& path, Bytes cap) {
  const File file = File::open_read(path);
  const Bytes size = file.size();
  if (size > cap) fail_user("{}: {} bytes long, at most {} are allowed", file.path(), size, cap);
  std::string text = allocating(file.path(), size, [&] { return std::string(size, '\0'); });
  file.pread_all(std::as_writable_bytes(std::span(text.data(), text.size())), 0);
  return text;
}

void write_named(const std::filesystem::path& path, std::string_view text) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return write_text(path, text);
  if (std::filesystem::is_regular_file(status)) {
    return write_text(std::filesystem::canonical(path), text);
  }
  const int target = uninterrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC); });
  if (target < 0) fail("{}: opening for writing: {}", path.string(), errno_text());
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = uninterrupted(
        [&] { return ::write(target, text.data() + written, text.size() - written); });
    if (n < 0) {
      const std::string reason = errno_text();
      ::close(target);
      fail("{}: writing: {}", path.string(), reason);
    }
    written += static_cast<std::size_t>(n);
  }
  ::close(target);
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::path partial = path;
  partial += ".tmp" + std::to_string(::getpid());
  try {
    const File file = File::create(partial);
    file.write_all(bytes_of(text));
    file.sync();
    replace_file(partial, path);
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
}

void replace_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (uninterrupted([&] { return ::rename(from.c_str(), to.c_str()); }) != 0) {
    fail("{}: renaming to {}: {}", from.string(), to.string(), errno_text());
  }
  sync_directory(to.has_parent_path() ? to.parent_path() : std::filesystem::path("."));
}

void copy_file_synced(const std::filesystem::path& from, const std::filesystem::path& to) {
  const File source = File::open_read(from);
  const File target = File::create(to);
  const Bytes size = source.size();
  std::vector<std::byte> piece(std::min<Bytes>(size, kCopyPiece));
  for (Bytes offset = 0; offset < size; offset += piece.size()) {
    const std::span part(piece.data(), std::min<Bytes>(piece.size(), size - offset));
    source.pread_all(part, offset);
    target.write_all(part);
  }
  target.sync();
}

void sync_directory(const std::filesystem::path& directory) {
  const int fd =
      uninterrupted([&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) fail("{}: {}", directory.string(), errno_text());
  const int status = uninterrupted([&] { return ::fsync(fd); });
  const int code = errno;
  ::close(fd);
  // Some network file systems cannot sync a directory; there the rename is durable by itself.
  if (status != 0 && code != EINVAL && code != EROFS && code != ENOTSUP) {
    errno = code;
    fail("{}: fsync: {}", directory.string(), errno_text());
  }
}

LineLog::LineLog(const std::filesystem::path& path) : file_(File::open_append(path)) {
  const Bytes whole = end_of_last_line(file_);
  if (whole != file_.size()) file_.truncate(whole);
}

void LineLog::append(std::string_view line) {
  require(line.find('\n') == std::string_view::npos, "{}: a line with a line feed", file_.path());
  scratch_.assign(line);
  scratch_.push_back('\n');
  file_.write_all(bytes_of(scratch_));
}

}  // namespace weft
