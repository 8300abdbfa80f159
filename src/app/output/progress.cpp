#include "app/output/progress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "app/commands/cli.h"

namespace weft {
namespace {

constexpr double kFirst = 1.0;    ///< seconds until the first line
constexpr double kRewrite = 0.5;  ///< between two versions of a terminal's line
constexpr int kUnknownColumns = 80;

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

}  // namespace

std::string progress_text(const Progress& counts, std::int64_t before, std::int64_t requests,
                          double seconds, double busy) {
  const std::int64_t left = requests - before - counts.rows;
  const double rate = static_cast<double>(counts.generated_tokens) / busy;
  std::string text =
      fmt::format("{}: {} of {} requests done", rounded(seconds), before + counts.rows, requests);
  if (counts.failed > 0) text += fmt::format(", {} failed", counts.failed);
  text += fmt::format("; {:.1f} tokens/s", rate);
  if (counts.rows <= counts.open || left == 0) return text;
  // What is left is taken to be as long as what is done.
  const double length =
      static_cast<double>(counts.completion_tokens) / static_cast<double>(counts.rows);
  const double tokens =
      static_cast<double>(left) * length - static_cast<double>(counts.open_tokens);
  const double to_go = rate > 0
                           ? std::max(tokens, 0.0) / rate
                           : static_cast<double>(left) * busy / static_cast<double>(counts.rows);
  return text + fmt::format("; about {} to go", rounded(to_go));
}

ProgressLine::ProgressLine(const Job& job, const JobControl& control, double interval)
    : job_(job), interval_(interval), control_(control) {
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
  std::string text = activity != nullptr ? fmt::format("{}: {}", rounded(seconds), activity)
                                         : progress_text(control_.progress(), job_.done,
                                                         job_.requests, seconds, seconds - since_);
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
