// What `weft report` writes, in each of its formats.
#pragma once

#include <string>
#include <vector>

#include "app/report/scaling_table.h"

namespace weft {

/// All there is to say of some runs.
struct Report {
  std::vector<RunRecord> runs;
  ScalingTable table;
  std::vector<WorkLine> work;
  std::vector<std::string> notes;       ///< what is left out, a sentence each
  std::vector<std::string> comparison;  ///< of two sets of runs, a line each
};

/// One column of the full table: docs/reference/formats.md describes each.
struct ReportColumn {
  const char* name;
  std::string (*of)(const ScalingRow& row);  ///< empty: it has no value
};
const std::vector<ReportColumn>& report_columns();

std::string report_text(const Report& report);
/// The columns, a line for each row; points without a run at the end, with status and reason.
std::string report_csv(const Report& report);
std::string report_json(const Report& report);
/// One page that needs no other file.
std::string report_html(const Report& report);

}  // namespace weft
