#include "support/run_catch.h"

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

namespace weft::testing {

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
  return session.run();
}

}  // namespace weft::testing
