#include "support/run_catch.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "support/skip.h"

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#include <catch2/interfaces/catch_interfaces_capture.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

namespace weft::testing {
namespace {

std::vector<std::string>& skipped() {
  static std::vector<std::string> tests;
  return tests;
}

}  // namespace

void note_skipped(const std::string& reason) {
  skipped().push_back(
      fmt::format("{}: {}", Catch::getResultCapture().getCurrentTestName(), reason));
}

int run_catch(int argc, char** argv, const std::string& report) {
  Catch::Session session;
  const int status = session.applyCommandLine(argc, argv);
  if (status != 0) return status;
  if (!report.empty()) {
#if __has_include(<catch2/catch_session.hpp>)
    session.configData().defaultOutputFilename = report;
#else
    session.configData().outputFilename = report;
#endif
  }
  const int result = session.run();
  if (report.empty() && !skipped().empty()) {
    fmt::print("skipped, {} in all:\n", skipped().size());
    for (const std::string& test : skipped()) fmt::print("  {}\n", test);
  }
  return result;
}

}  // namespace weft::testing
