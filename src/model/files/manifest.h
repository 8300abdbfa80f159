// weft.json: what a model directory holds, and the digests that everything in it hangs on.
//
// The digests form a tree. The manifest's own digest covers the manifest; the manifest has, for
// each shard file, the extents and the digest of its metadata region (every byte that is not the
// raw data of a dataset); the metadata region has the datasets' `digests` attributes, one XXH3-128
// for each MiB of raw data. So every byte of the directory is covered, and a reader that wants one
// row checks the manifest, one metadata region and one MiB.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/dtype.h"
#include "base/types.h"
#include "model/files/shard_plan.h"
#include "model/tensors.h"

namespace weft {

inline constexpr int kModelFormatVersion = 1;
/// Largest segment cap that a manifest may hold.
inline constexpr int kSegmentCapLimit = 64;

/// A run of bytes of a file.
struct ByteExtent {
  Bytes offset = 0;
  Bytes bytes = 0;

  [[nodiscard]] Bytes end() const { return offset + bytes; }
  bool operator==(const ByteExtent&) const = default;
};

/// A tokenizer file beside the weights.
struct TokenizerFile {
  std::string name;  ///< plain file name
  Bytes bytes = 0;
  Digest digest;
};

/// A shard file.
struct ShardFile {
  ShardPlace place;
  Bytes bytes = 0;
  std::vector<ByteExtent> metadata;  ///< ascending, not adjacent: all but the raw data
  Digest metadata_digest;            ///< of the extents' bytes, one after the other

  [[nodiscard]] std::string name() const { return shard_name(place); }
};

struct Manifest {
  std::string weft_version;
  nlohmann::json config;  ///< the Hugging Face config.json as given
  DType dtype = DType::bf16;
  SegmentCaps caps;
  ShardGrid grid;
  std::vector<TokenizerFile> tokenizer;
  std::vector<ShardFile> shards;  ///< in the order of ShardPlan::places()
  Digest digest;                  ///< of all the rest: the identity of the model

  static constexpr const char* kFileName = "weft.json";
};

/// Names of the files that a run reads beside the weights; they are copied where the source has
/// them. So are the files of the folder kTemplateFolder.
const std::vector<std::string>& tokenizer_file_names();
/// Folder of named chat templates, each NAME.jinja.
inline constexpr const char* kTemplateFolder = "additional_chat_templates";

/// Whether a manifest may list a file of that name, relative to the model directory: one of
/// `tokenizer_file_names()`, or a template of kTemplateFolder.
bool is_tokenizer_file(const std::string& name);

/// Names of all such files that `directory` has: in the order of `tokenizer_file_names()`, then the
/// templates by name.
std::vector<std::string> tokenizer_files_in(const std::filesystem::path& directory);

/// Refuses files that a run would read although `manifest`, the one of `directory`, does not list
/// them: they would change results without a word. Throws UserError with their names and the
/// commands that list them.
void refuse_unlisted_files(const std::filesystem::path& directory, const Manifest& manifest);

/// Size and digest of a file of `directory` as a manifest lists it.
TokenizerFile describe_tokenizer_file(const std::filesystem::path& directory,
                                      const std::string& name);

/// Whole digest of a file, read in pieces. Throws Cancelled when `stop`, asked before each, says
/// so.
Digest digest_of_file(const std::filesystem::path& path,
                      const std::function<bool()>& stop = nullptr);

/// Writes `directory`/weft.json in one step, sets `manifest.digest`.
void write_manifest(const std::filesystem::path& directory, Manifest& manifest);

/// Reads and checks `directory`/weft.json. Throws UserError when it is missing, damaged (not byte
/// for byte what `write_manifest` writes), of another format or contract version, or inconsistent.
Manifest read_manifest(const std::filesystem::path& directory);

}  // namespace weft
