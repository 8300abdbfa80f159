#include "model/files/verify.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "io/file.h"
#include "io/json.h"
#include "model/config/config.h"
#include "model/files/finite.h"
#include "model/files/manifest.h"
#include "model/files/shard_plan.h"
#include "model/files/shard_reader.h"

namespace weft {
namespace {

/// Collects what is wrong instead of stopping at the first fault.
class Faults {
 public:
  /// Runs `check`; its exception becomes a fault.
  template <class Check>
  void collect(const Check& check) {
    try {
      check();
    } catch (const std::exception& error) {
      lines_.emplace_back(error.what());
    }
  }

  /// Throws UserError with all faults, if there are any.
  void report(const std::string& directory) const {
    constexpr std::size_t shown = 20;
    if (lines_.empty()) return;
    std::string text = fmt::format("{}: {} fault{} found:", directory, lines_.size(),
                                   lines_.size() == 1 ? "" : "s");
    for (std::size_t i = 0; i < lines_.size() && i < shown; ++i) text += "\n  " + lines_[i];
    if (lines_.size() > shown) text += fmt::format("\n  and {} more", lines_.size() - shown);
    throw UserError(text);
  }

 private:
  std::vector<std::string> lines_;
};

void check_tokenizer_file(const std::filesystem::path& path, const TokenizerFile& file,
                          std::int64_t vocab) {
  if (const Bytes size = std::filesystem::file_size(path); size != file.bytes) {
    fail_user("{}: {} bytes long, but {} were written", path.string(), size, file.bytes);
  }
  if (digest_of_file(path) != file.digest) {
    fail_user("{}: damaged, or changed since it was written", path.string());
  }
  if (file.name == "generation_config.json") parse_generation_config(read_json(path), vocab);
}

void check_shard(const std::filesystem::path& directory, const Manifest& manifest,
                 const ShardPlan& plan, const ShardFile& file, Faults& faults,
                 VerifySummary& summary) {
  const ShardReader shard(directory, file, plan.pieces_at(file.place), plan.tensors(),
                          manifest.dtype);
  for (std::size_t i = 0; i < shard.pieces().size(); ++i) {
    const Piece& piece = shard.pieces()[i];
    const RowSink check = [&](std::int64_t first, std::span<const std::byte> rows,
                              std::int64_t count) {
      check_finite(plan.tensors()[piece.tensor], {first, first + count}, piece.columns,
                   manifest.dtype, rows);
    };
    faults.collect([&] { summary.bytes += shard.read(i, piece.rows, check); });
  }
}

}  // namespace

VerifySummary verify(const std::filesystem::path& directory) {
  const Manifest manifest = read_manifest(directory);
  const ModelConfig config = parse_config(manifest.config);
  const ShardPlan plan(config, manifest.caps, manifest.grid);
  VerifySummary summary{plan.tensors().size(), manifest.shards.size(), manifest.tokenizer.size(), 0,
                        manifest.digest};
  Faults faults;
  faults.collect([&] { refuse_unlisted_files(directory, manifest); });
  for (const TokenizerFile& file : manifest.tokenizer) {
    faults.collect([&] { check_tokenizer_file(directory / file.name, file, config.vocab); });
  }
  for (const ShardFile& file : manifest.shards) {
    faults.collect([&] { check_shard(directory, manifest, plan, file, faults, summary); });
  }
  faults.report(directory.string());
  return summary;
}

}  // namespace weft
