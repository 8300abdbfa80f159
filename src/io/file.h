// Files: whole reads and writes, replacement in one step, and append-only logs.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/types.h"

namespace weft {

/// An open file descriptor with its path (for messages). Closed by the destructor. The positioned
/// reads and writes are safe from several threads.
class File {
 public:
  File() = default;
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(path_, other.path_);
    return *this;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  /// Opens an existing regular file. Throws UserError when that is impossible.
  static File open_read(const std::filesystem::path& path);
  // What is opened for writing is a regular file, and no symbolic link: UserError otherwise.
  // Whoever may write into an output directory could have other files overwritten.
  /// Opens an existing file for reading and writing, contents kept. Throws UserError.
  static File open_update(const std::filesystem::path& path);
  /// Creates the file; an existing one of that name goes. Throws UserError.
  static File create(const std::filesystem::path& path);
  /// Opens for appending, creating the file where there is none. Throws UserError.
  static File open_append(const std::filesystem::path& path);

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Length in bytes.
  [[nodiscard]] Bytes size() const;
  /// Fills `out` from `offset`. Throws UserError when the file ends before that or is unreadable.
  void pread_all(std::span<std::byte> out, Bytes offset) const;
  /// Says that these bytes will be read soon: what is not in the page cache is read ahead. A hint.
  void expect(Bytes offset, Bytes bytes) const;
  /// Writes all of `bytes` at `offset`. Throws Error (disk full, …).
  void pwrite_all(std::span<const std::byte> bytes, Bytes offset) const;
  /// Writes `bytes` at the file's position, or at its end when opened for appending. Throws Error.
  void write_all(std::span<const std::byte> bytes) const;
  /// Cuts or extends the file. Throws Error.
  void truncate(Bytes size) const;
  /// Returns when contents and length are on the disk. Throws Error.
  void sync() const;

 private:
  File(const std::filesystem::path& path, int flags, std::string_view verb);

  int fd_ = -1;
  std::string path_;
};

/// Whether anything has that name; a symbolic link that leads nowhere is nothing. Throws UserError
/// when the path cannot be looked at.
bool is_there(const std::filesystem::path& path);

/// Removes a file that a new one is to take the place of, where there is one. Throws UserError when
/// it is a symbolic link, a directory or cannot be removed.
void make_way(const std::filesystem::path& path);

/// The whole text of a file. Throws UserError when it cannot be read or is longer than `cap` bytes.
std::string read_text(const std::filesystem::path& path, Bytes cap);

/// Replaces or creates a file in one step: after a crash it has either its old contents or all of
/// `text`. (Temporary file beside it, fsync, rename, fsync of the directory.)
void write_text(const std::filesystem::path& path, std::string_view text);

/// The same where a user names the path: links are followed, and what is no regular file (a pipe,
/// /dev/stdout) is written to and stays what it is.
void write_named(const std::filesystem::path& path, std::string_view text);

/// Renames a file, whose contents must be on the disk, over `to`, durably. Throws Error.
void replace_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Copies a file's contents, fsync'ed. Throws UserError (source) or Error (target).
void copy_file_synced(const std::filesystem::path& from, const std::filesystem::path& to);

/// Makes a directory's entries (new files, renames) durable.
void sync_directory(const std::filesystem::path& directory);

/// An append-only file of lines: each line is one write(2), so that a reader, or a successor of a
/// killed process, sees whole lines and at most one torn line at the end.
class LineLog {
 public:
  /// Opens or creates. A torn last line (without '\n') of a killed process is cut off.
  explicit LineLog(const std::filesystem::path& path);

  /// Appends `line` and '\n'; `line` must not contain '\n'. Throws Error.
  void append(std::string_view line);
  /// Returns when all lines so far are on the disk.
  void sync() const { file_.sync(); }

 private:
  File file_;
  std::string scratch_;
};

}  // namespace weft
