// Tests that cannot check anything here.
#pragma once

#include <string>

namespace weft::testing {

/// Notes that the test at hand has not checked what it is for; run_catch reports it at the end.
void note_skipped(const std::string& reason);

}  // namespace weft::testing

/// Leaves a test that cannot check anything here, such as one of more ranks than there are.
#define WEFT_SKIP_IF(condition, reason)      \
  do {                                       \
    if (condition) {                         \
      ::weft::testing::note_skipped(reason); \
      return;                                \
    }                                        \
  } while (false)
