#include "app/output/output_directory.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "io/file.h"

namespace weft {
namespace {

using Path = std::filesystem::path;
using std::filesystem::file_type;

/// Files that are written under another name first, ".tmp" and perhaps a number behind theirs.
constexpr std::array kReplaced = {"results.jsonl", "summary.json", "timings.h5", "trace.json",
                                  "job.yaml"};
constexpr std::array kReplacedInJournal = {"identity.json", "results.json"};

bool is_digits(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

file_type type_of(const Path& path) {
  std::error_code failed;
  const file_type type = std::filesystem::symlink_status(path, failed).type();
  if (type == file_type::none) {
    fail_user("{}: cannot be looked at: {}", path.string(), failed.message());
  }
  return type;
}

[[noreturn]] void refuse(const Path& path, file_type type, std::string_view wanted) {
  const std::string_view found = type == file_type::directory ? "a folder"
                                 : type == file_type::symlink ? "a symbolic link"
                                 : type == file_type::regular ? "a file"
                                                              : "something else";
  fail_user("{}: {} stands where {} is to be written: move it away", path.string(), found, wanted);
}

/// What is appended to or made new must be no link; what is replaced by renaming may be one.
void check_file(const Path& path, bool link_allowed) {
  std::error_code ignored;
  file_type type = type_of(path);
  if (type == file_type::symlink && link_allowed) {
    type = std::filesystem::status(path, ignored).type();
  }
  if (type != file_type::not_found && type != file_type::regular) refuse(path, type, "a file");
}

void check_folder(const Path& path) {
  const file_type type = type_of(path);
  if (type != file_type::not_found && type != file_type::directory) {
    refuse(path, type, "a folder");
  }
}

std::vector<Path> entries_of(const Path& folder) {
  std::vector<Path> paths;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    paths.push_back(entry->path());
  }
  if (failed && failed != std::errc::no_such_file_or_directory) {
    fail_user("{}: cannot be read: {}", folder.string(), failed.message());
  }
  return paths;
}

/// The name without ".tmp" and the digits behind it; empty when it does not end so.
std::string final_name(const std::string& name) {
  const std::size_t at = name.rfind(".tmp");
  if (at == std::string::npos || !is_digits(std::string_view(name).substr(at + 4))) return {};
  return name.substr(0, at);
}

/// Half-written files in a folder; UserError for one that is no file.
std::vector<Path> half_written(const Path& folder,
                               const std::function<bool(std::string)>& is_ours) {
  std::vector<Path> found = entries_of(folder);
  std::erase_if(found,
                [&](const Path& path) { return !is_ours(final_name(path.filename().string())); });
  for (const Path& path : found) check_file(path, false);
  return found;
}

std::vector<Path> all_half_written(const Path& output) {
  const auto is_one_of = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<Path> found =
      half_written(output, [&](const std::string& name) { return is_one_of(kReplaced, name); });
  const std::vector<Path> others = half_written(output / "journal", [&](const std::string& name) {
    return is_one_of(kReplacedInJournal, name) || is_numbered_name(name, "part", ".jsonl");
  });
  found.insert(found.end(), others.begin(), others.end());
  return found;
}

}  // namespace

void prepare_output_directory(const Path& output) {
  const Path journal = output / "journal";
  check_folder(journal);
  std::error_code failed;
  std::filesystem::create_directories(journal, failed);
  if (failed) fail_user("{}: cannot be created: {}", journal.string(), failed.message());
  check_folder(journal / "timings");
  for (const char* name : kReplaced) check_file(output / name, true);
  for (const char* name : kReplacedInJournal) check_file(journal / name, true);
  for (const Path& path : entries_of(journal)) {
    const std::string name = path.filename().string();
    if (name == "lock" || is_numbered_name(name, "part", ".jsonl")) check_file(path, false);
  }
  for (const Path& path : entries_of(journal / "timings")) {
    const std::string name = path.filename().string();
    for (const char* stem : {"requests", "steps", "runs", "experts"}) {
      if (is_numbered_name(name, stem, ".bin")) check_file(path, false);
    }
  }
  all_half_written(output);
}

void remove_half_written(const Path& output) {
  for (const Path& path : all_half_written(output)) make_way(path);
}

bool is_numbered_name(const std::string& name, const std::string& stem,
                      const std::string& extension) {
  if (!name.starts_with(stem) || !name.ends_with(extension)) return false;
  if (name.size() == stem.size() + extension.size()) return true;
  if (name.size() < stem.size() + extension.size() + 2 || name[stem.size()] != '-') return false;
  return is_digits(std::string_view(name).substr(stem.size() + 1,
                                                 name.size() - stem.size() - 1 - extension.size()));
}

}  // namespace weft
