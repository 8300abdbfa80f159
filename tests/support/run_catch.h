// Catch2's session, compiled once for all test programs.
#pragma once

#include <string>

namespace weft::testing {

/// Runs the tests that the command line asks for and gives Catch2's exit status. The report goes to
/// `report`, or to the standard output where that is empty.
int run_catch(int argc, char** argv, const std::string& report = {});

}  // namespace weft::testing
