#include "app/stop_request.h"

#include <array>
#include <csignal>

namespace weft {
namespace {

constexpr std::array kSignals = {SIGTERM, SIGINT, SIGUSR1};

volatile std::sig_atomic_t asked = 0;
std::array<struct sigaction, kSignals.size()> previous;

void note(int /*signal*/) { asked = 1; }

}  // namespace

StopRequest::StopRequest() {
  asked = 0;
  struct sigaction action = {};
  action.sa_handler = note;
  // Blocking system calls go on: the flag is looked at between steps.
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &previous[i]);
}

StopRequest::~StopRequest() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &previous[i], nullptr);
}

bool StopRequest::pending() { return asked != 0; }

}  // namespace weft
