#include "app/stop_request.h"

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>

namespace weft {
namespace {

constexpr std::array kSignals = {SIGTERM, SIGINT, SIGUSR1};

// Written by signal handlers and the main thread, read by the service thread too.
std::atomic<bool> asked = false;
static_assert(std::atomic<bool>::is_always_lock_free);
std::array<struct sigaction, kSignals.size()> previous;

using Clock = std::chrono::steady_clock;
Clock::time_point begin;
std::atomic<Clock::time_point> deadline = Clock::time_point::max();

void note(int /*signal*/) { asked = true; }

void hold_back(bool held) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(held ? SIG_BLOCK : SIG_UNBLOCK, &signals, nullptr);
}

/// Runs before the initialisers of all libraries, which take longer than a signal does.
void begin_program(int /*argc*/, char** /*argv*/, char** /*environment*/) { hold_back(true); }
[[gnu::section(".preinit_array"), gnu::used]] void (*const kFirst)(int, char**,
                                                                   char**) = begin_program;

}  // namespace

StopRequest::StopRequest() {
  asked = false;
  begin = Clock::now();
  deadline = Clock::time_point::max();
  struct sigaction action = {};
  action.sa_handler = note;
  // Blocking system calls go on: the flag is looked at between steps.
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &previous[i]);
  hold_back(false);
}

StopRequest::~StopRequest() {
  hold_back(true);
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

void StopRequest::let_through() { hold_back(false); }

void StopRequest::limit(double seconds) {
  const std::chrono::duration<double> length(seconds);
  deadline = begin + std::chrono::duration_cast<Clock::duration>(length);
}

bool StopRequest::pending() { return asked || Clock::now() >= deadline.load(); }

bool StopRequest::signalled() { return asked; }

}  // namespace weft
