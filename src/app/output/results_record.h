// What results.jsonl was when it was made, so that one that was changed by hand is noticed.
#pragma once

#include <filesystem>

#include "base/digest.h"
#include "base/types.h"

namespace weft {

/// Length and digest of a results.jsonl.
struct ResultsRecord {
  Bytes bytes = 0;
  Digest digest;
  bool operator==(const ResultsRecord&) const = default;
};

/// Writes OUT/journal/results.json for the results.jsonl that is about to be renamed to its place.
/// The file still knows the results before these, in case the rename does not come to pass.
void record_results(const std::filesystem::path& output_dir, const ResultsRecord& made);

enum class ResultsOrigin {
  missing,  ///< there is no results.jsonl
  journal,  ///< made from this journal; also when the journal has no record of it
  earlier,  ///< made from this journal, before it was made anew
  foreign,  ///< something else
};

/// Where the results.jsonl of an output directory comes from. Reads it as a whole when its length
/// is a known one. Throws UserError when the record cannot be read.
ResultsOrigin results_origin(const std::filesystem::path& output_dir);

}  // namespace weft
