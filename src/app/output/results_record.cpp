#include "app/output/results_record.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "io/file.h"
#include "io/json.h"
#include "model/files/manifest.h"

namespace weft {
namespace {

using Path = std::filesystem::path;

Path record_of(const Path& output) { return output / "journal" / "results.json"; }

/// A record as it is stored: the digest in hexadecimal.
struct Stored {
  Bytes bytes = 0;
  std::string digest;
};

/// The newest first.
std::vector<Stored> stored_records(const Path& output) {
  const Path path = record_of(output);
  if (!is_there(path)) return {};
  const nlohmann::json file = read_json(path);
  std::vector<Stored> records;
  try {
    for (const nlohmann::json& one : file.at("results")) {
      records.push_back({one.at("bytes").get<Bytes>(), one.at("digest").get<std::string>()});
    }
  } catch (const nlohmann::json::exception&) {
    fail_user("{}: not a record of results of this version", path.string());
  }
  return records;
}

}  // namespace

void record_results(const Path& output_dir, const ResultsRecord& made) {
  nlohmann::ordered_json records = nlohmann::ordered_json::array();
  const auto add = [&](Bytes bytes, const std::string& digest) {
    records.push_back({{"bytes", bytes}, {"digest", digest}});
  };
  add(made.bytes, made.digest.hex());
  const Path results = output_dir / "results.jsonl";
  if (is_there(results)) {
    const File file = File::open_read(results);
    add(file.size(), digest_of_file(results).hex());
  }
  const nlohmann::ordered_json file = {{"format", 1}, {"results", records}};
  write_text(record_of(output_dir), file.dump(2) + "\n");
}

ResultsOrigin results_origin(const Path& output_dir) {
  const Path results = output_dir / "results.jsonl";
  if (!is_there(results)) return ResultsOrigin::missing;
  const std::vector<Stored> records = stored_records(output_dir);
  if (records.empty()) return ResultsOrigin::journal;
  const Bytes size = File::open_read(results).size();
  std::optional<std::string> digest;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].bytes != size) continue;
    if (!digest) digest = digest_of_file(results).hex();
    if (records[i].digest == *digest)
      return i == 0 ? ResultsOrigin::journal : ResultsOrigin::earlier;
  }
  return ResultsOrigin::foreign;
}

}  // namespace weft
