// What there is to write when every request has its row: needs no weights.
#pragma once

#include <filesystem>

#include "app/deployment.h"
#include "app/job/job.h"
#include "app/output/journal.h"
#include "app/output/report.h"

namespace weft {

/// The report of a run as it begins: what runs where, and the rows that earlier runs have made.
RunReport begin_report(const Job& job, const Deployment& deployment,
                       const std::vector<RowState>& rows);

/// Makes results.jsonl of a journal with a row for each request. Summary and timings of earlier
/// runs go first: they never stand beside newer results, and are made again.
RowCounts make_results(Journal& journal);

/// Makes what is missing beside a complete results.jsonl, for runs that are not here any more:
/// timings.h5, and summary.json with the tokens and times of all of them.
void make_missing_files(const Job& job, const Deployment& deployment, const Journal& journal);

}  // namespace weft
