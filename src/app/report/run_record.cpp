#include "app/report/run_record.h"

#include <fstream>
#include <span>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "base/message.h"
#include "io/file.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Bytes kMostText = Bytes{1} << 30;

json parsed(const fs::path& path, const std::string& text) {
  json value = json::parse(text, nullptr, false);
  if (!value.is_object()) {
    fail_user("{}: it is damaged or was cut off: no JSON object", escaped(path.string()));
  }
  return value;
}

/// Digest of a whole file; empty when it is not there.
std::string digest_of_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "";
  Digester digest;
  std::vector<char> buffer(1 << 20);
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    digest.add(std::as_bytes(std::span(buffer.data(), static_cast<std::size_t>(file.gcount()))));
  }
  return digest.result().hex();
}

void check_summary(const fs::path& path, const json& summary) {
  const auto need = [&](std::string_view pointer, bool (json::*is)() const noexcept) {
    const json::json_pointer at{std::string(pointer)};
    if (summary.contains(at) && (summary.at(at).*is)()) return;
    fail_user("{}: it has no '{}' as a run of weft writes it", escaped(path.string()), pointer);
  };
  for (const char* number :
       {"/contract", "/layout/tp", "/layout/pp", "/layout/sp", "/layout/ep", "/layout/dp",
        "/seconds/wall", "/seconds/load", "/requests/total", "/requests/failed",
        "/requests/resumed", "/tokens/prompt", "/tokens/completion"}) {
    need(number, &json::is_number);
  }
  need("/hosts", &json::is_array);
  need("/weft", &json::is_string);
}

RunRecord read_run(const fs::path& directory) {
  const fs::path path = directory / "summary.json";
  if (!is_there(path)) {
    fail_user("{}: there is no summary.json: no run has come to its end there",
              escaped(directory.string()));
  }
  RunRecord run;
  run.directory = directory;
  run.summary = parsed(path, read_text(path, kMostText));
  check_summary(path, run.summary);
  run.digest = digest_of_file(directory / "results.jsonl");
  return run;
}

/// "2" of a number, "tp" of a text.
std::string plain_text(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

RunRecord read_point(const fs::path& study, const json& point) {
  RunRecord run;
  const fs::path directory = point.value("dir", "");
  run.directory = study / directory;
  run.status = point.value("status", "failed");
  run.reason = point.contains("reason") ? plain_text(point.at("reason")) : "";
  if (run.status == "ok") {
    try {
      const RunRecord found = read_run(run.directory);
      run.summary = found.summary;
      run.digest = found.digest;
    } catch (const UserError& error) {
      run.status = "failed";
      run.reason = error.what();
    }
  }
  if (point.contains("factors")) {
    for (const auto& [name, value] : point.at("factors").items())
      run.factors[name] = plain_text(value);
  }
  return run;
}

std::vector<RunRecord> read_study(const fs::path& study, std::vector<std::string>& notes) {
  const fs::path path = study / "points.jsonl";
  std::ifstream file(path);
  std::map<std::pair<std::int64_t, std::int64_t>, RunRecord> points;  // the last line of each
  std::int64_t damaged = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    try {
      const json point = json::parse(line);
      const std::pair key(point.at("point").get<std::int64_t>(),
                          point.at("repeat").get<std::int64_t>());
      points[key] = read_point(study, point);
    } catch (const json::exception&) {
      ++damaged;
    }
  }
  if (damaged > 0) {
    notes.push_back(fmt::format("{}: {} damaged line{} left out", escaped(path.string()), damaged,
                                damaged == 1 ? " is" : "s are"));
  }
  std::vector<RunRecord> runs;
  for (auto& [key, run] : points) runs.push_back(std::move(run));
  if (runs.empty()) fail_user("{}: no point has been measured yet", escaped(path.string()));
  return runs;
}

}  // namespace

double figure(const json& summary, const std::vector<std::string>& path) {
  const json* at = &summary;
  for (const std::string& name : path) {
    if (!at->is_object() || !at->contains(name)) return 0;
    at = &at->at(name);
  }
  return at->is_number() ? at->get<double>() : 0;
}

std::vector<RunRecord> read_runs(const fs::path& directory, std::vector<std::string>& notes) {
  if (!fs::is_directory(directory)) {
    fail_user("{}: there is no such directory", escaped(directory.string()));
  }
  if (is_there(directory / "points.jsonl")) return read_study(directory, notes);
  std::vector<RunRecord> runs;
  runs.push_back(read_run(directory));
  return runs;
}

void check_one_contract(const std::vector<RunRecord>& runs) {
  const RunRecord* first = nullptr;
  for (const RunRecord& run : runs) {
    if (run.summary.is_null()) continue;
    if (first == nullptr) first = &run;
    const double contract = figure(run.summary, {"contract"});
    const double before = figure(first->summary, {"contract"});
    if (contract == before) continue;
    fail_user("{} is of numerics contract {:.0f}, {} of {:.0f}: they did not do the same work",
              escaped(first->directory.string()), before, escaped(run.directory.string()),
              contract);
  }
}

std::map<std::string, int> failures_by_code(const fs::path& directory) {
  std::map<std::string, int> failures;
  std::ifstream file(directory / "results.jsonl");
  for (std::string line; std::getline(file, line);) {
    const json row = json::parse(line, nullptr, false);
    if (!row.is_object() || !row.contains("error") || !row.at("error").is_object()) continue;
    ++failures[row.at("error").value("code", "unknown")];
  }
  return failures;
}

}  // namespace weft
