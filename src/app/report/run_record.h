// Directories of runs and of studies, as `weft report` reads them.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace weft {

/// One run: a point of a study, or a directory of `weft run`.
struct RunRecord {
  std::filesystem::path directory;
  nlohmann::json summary;  ///< of summary.json; null when there was no run to report
  std::string digest;      ///< of results.jsonl; empty when the job is not complete
  std::map<std::string, std::string> factors;  ///< of a study's point
  std::string status = "ok";                   ///< "ok", "failed" or "illegal"
  std::string reason;                          ///< why not "ok"
};

/// A figure of summary.json: {"seconds", "wall"}; 0 where it has none.
double figure(const nlohmann::json& summary, const std::vector<std::string>& path);

/// The runs of a directory: its own, or all points of a study, whose points.jsonl is there. Adds a
/// sentence to `notes` for what is left out. Throws UserError when there is nothing to report of, a
/// summary is damaged, or of another kind.
std::vector<RunRecord> read_runs(const std::filesystem::path& directory,
                                 std::vector<std::string>& notes);

/// UserError when the runs are of several numerics contracts: their work differs.
void check_one_contract(const std::vector<RunRecord>& runs);

/// How many requests failed, by the code of their error, as results.jsonl has them.
std::map<std::string, int> failures_by_code(const std::filesystem::path& directory);

}  // namespace weft
