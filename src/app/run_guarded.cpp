#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string_view>
#include <thread>

#include "app/commands/cli.h"
#include "base/error.h"
#include "base/exit_status.h"
#include "base/message.h"
#include "comm/launch.h"

namespace weft {
namespace {

/// What a launcher needs to pass on the first rank's message before it ends everybody.
constexpr std::chrono::milliseconds kHeadStart(500);

}  // namespace

bool launched_as_rank() { return own_launch().rank >= 0; }

bool launched_as_rank_zero() { return own_launch().rank <= 0; }

int report_bad_command_line(std::string_view message) {
  if (launched_as_rank_zero()) {
    print_error(message);
  } else {
    std::this_thread::sleep_for(kHeadStart);
  }
  return kExitUserError;
}

int run_guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const UserError& error) {
    print_error(error.what());
    return kExitUserError;
  } catch (const std::exception& error) {
    print_error(fmt::format("error: {}", error.what()));
    return kExitFailure;
  }
}

}  // namespace weft
