#include "app/output/progress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <span>
#include <system_error>

#include "app/commands/cli.h"
#include "app/output/journal_frame.h"
#include "base/error.h"
#include "io/file.h"

namespace weft {
namespace {

constexpr std::size_t kReadPiece = std::size_t{64} << 10;
constexpr double kFirst = 1.0;    ///< seconds until the first line
constexpr double kRewrite = 0.5;  ///< between two versions of a terminal's line
constexpr int kUnknownColumns = 80;

std::uintmax_t size_of(const std::filesystem::path& path) {
  std::error_code missing;
  const std::uintmax_t size = std::filesystem::file_size(path, missing);
  return missing ? 0 : size;
}

/// "45 s", "3 min 20 s", "2 h 5 min".
std::string rounded(double seconds) {
  const auto whole = std::int64_t{std::lround(seconds)};
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

int columns_of(int terminal) {
  winsize size{};
  const bool known = ::ioctl(terminal, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : kUnknownColumns;
}

/// The number behind the last `key` in `text`; 0 when there is none.
std::int64_t last_number(std::string_view text, std::string_view key) {
  const std::size_t at = text.rfind(key);
  std::int64_t number = 0;
  if (at != std::string_view::npos) {
    std::from_chars(text.data() + at + key.size(), text.data() + text.size(), number);
  }
  return number;
}

}  // namespace

JournalWatch::JournalWatch(const std::filesystem::path& output_dir, int replicas) {
  for (int replica = 0; replica < replicas; ++replica) {
    const std::filesystem::path path = journal_part_path(output_dir / "journal", replica);
    parts_.push_back({path, size_of(path), {}});
  }
}

ProgressCounts JournalWatch::read() {
  for (Part& part : parts_) read(part);
  return counts_;
}

void JournalWatch::read(Part& part) {
  const std::uintmax_t size = size_of(part.path);
  // A torn end of an earlier run is cut off by the part's writer.
  if (size < part.read) part = {part.path, size, {}};
  if (size == part.read) return;
  const File file = File::open_read(part.path);
  std::string piece;
  while (part.read < size) {
    piece.resize(std::min<std::uintmax_t>(kReadPiece, size - part.read));
    file.pread_all(std::as_writable_bytes(std::span(piece)), part.read);
    part.read += piece.size();
    part.torn += piece;
    std::size_t start = 0;
    for (std::size_t end = 0; (end = part.torn.find('\n', start)) != std::string::npos;) {
      count(std::string_view(part.torn).substr(start, end - start));
      start = end + 1;
    }
    part.torn.erase(0, start);
  }
}

void JournalWatch::count(std::string_view line) {
  ++counts_.done;
  if (line.substr(0, 60).find(R"("ok":false)") != std::string_view::npos) ++counts_.failed;
  // Behind the text, so what a model writes cannot be taken for it.
  counts_.tokens += last_number(line, R"("completion_tokens":)");
}

std::string progress_text(const ProgressCounts& counts, std::int64_t before, std::int64_t requests,
                          double seconds, double busy) {
  const auto rate = [&](std::int64_t count) { return static_cast<double>(count) / busy; };
  const std::int64_t left = requests - before - counts.done;
  std::string text =
      fmt::format("{}: {} of {} requests done", rounded(seconds), before + counts.done, requests);
  if (counts.failed > 0) text += fmt::format(", {} failed", counts.failed);
  text += fmt::format("; {:.1f} tokens/s", rate(counts.tokens));
  if (counts.done > 0 && left > 0) {
    text += fmt::format("; about {} to go", rounded(static_cast<double>(left) / rate(counts.done)));
  }
  return text;
}

ProgressLine::ProgressLine(const Job& job, double interval)
    : job_(job), interval_(interval), journal_(job.output_dir, job.replicas) {
  if (interval > 0) thread_ = std::thread([this] { watch(); });
}

ProgressLine::~ProgressLine() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ProgressLine::watch() {
  std::chrono::duration<double> pause(std::min(kFirst, interval_));
  std::unique_lock lock(mutex_);
  bool printed = false;
  while (!wake_.wait_for(lock, pause, [this] { return ended_; })) {
    print(clock_.seconds());
    printed = true;
    pause = std::chrono::duration<double>(job_.columns > 0 ? kRewrite : interval_);
  }
  if (printed && job_.columns > 0) {
    std::fputs("\r\x1b[K", stdout);
    std::fflush(stdout);
  }
}

void ProgressLine::print(double seconds) {
  const char* activity = activity_;
  std::string text;
  if (activity != nullptr) {
    text = fmt::format("{}: {}", rounded(seconds), activity);
  } else {
    try {
      text = progress_text(journal_.read(), job_.done, job_.requests, seconds, seconds - since_);
    } catch (const std::exception&) {
      return;  // the next time, perhaps: progress must not end a job
    }
  }
  text = "weft: " + text;
  if (job_.columns > 0) {  // what wraps would not be rewritten
    fmt::print("\r\x1b[K{}", text.substr(0, static_cast<std::size_t>(job_.columns - 1)));
  } else {
    fmt::print("{}\n", text);
  }
  std::fflush(stdout);
}

int terminal_columns() {
  if (::isatty(STDOUT_FILENO) == 0) return 0;
  if (!launched_as_rank()) return columns_of(STDOUT_FILENO);
  // Launchers give their ranks terminals of their own whatever becomes of the output.
  std::error_code unknown;
  const std::filesystem::path launcher = std::filesystem::read_symlink(
      fmt::format("/proc/{}/fd/{}", ::getppid(), STDOUT_FILENO), unknown);
  const std::string target = launcher.string();
  if (unknown || !(target.starts_with("/dev/pts/") || target.starts_with("/dev/tty"))) return 0;
  const int terminal = ::open(target.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
  const int columns = columns_of(terminal);
  if (terminal >= 0) ::close(terminal);
  return columns;
}

}  // namespace weft
