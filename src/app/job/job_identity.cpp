// What must be the same for a rerun to go on where an earlier run stopped.
#include <algorithm>
#include <array>
#include <string_view>

#include "app/output/journal.h"
#include "base/version.h"
#include "text/library_versions.h"

namespace weft {
namespace {

/// Keys of the job file that decide which bits come out, besides those of "sampling".
constexpr std::array<std::string_view, 8> kDecisiveKeys = {"input.format",
                                                           "input.special_tokens",
                                                           "input.lost_messages",
                                                           "engine.numerics",
                                                           "engine.max_sequence_length",
                                                           "engine.layers",
                                                           "output.digest",
                                                           "output.created"};

bool is_decisive(const Job& job, std::string_view key) {
  if (key == "input.field") return job.input.format == InputFormat::jsonl;
  return key.starts_with("sampling.") ||
         std::find(kDecisiveKeys.begin(), kDecisiveKeys.end(), key) != kDecisiveKeys.end();
}

}  // namespace

JobIdentity identity_of(const Job& job, const Digest& model, const Digest& prompts,
                        std::string_view kind) {
  JobIdentity identity = {{"the model", model.hex()},
                          {"the prompt file", prompts.hex()},
                          {"the kind of processor", std::string(kind)},
                          {"the numerics contract", std::to_string(kContractVersion)},
                          {"the version of weft", std::string(kVersion)},
                          {"the text libraries", text_library_versions()}};
  for (const JobKey& key : job_keys()) {
    if (is_decisive(job, key.path)) identity.push_back({std::string(key.path), key.write(job)});
  }
  return identity;
}

}  // namespace weft
