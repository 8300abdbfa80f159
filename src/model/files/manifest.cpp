#include "model/files/manifest.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <string_view>

#include "base/cancelled.h"
#include "base/error.h"
#include "base/progress_counter.h"
#include "base/version.h"
#include "io/file.h"
#include "io/json.h"
#include "model/config/config.h"
#include "model/config/json_fields.h"
#include "text/chat/chat_template.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr Bytes kManifestCap = Bytes{256} << 20;
constexpr std::int64_t kBytesCap = std::int64_t{1} << 60;
constexpr const char* kFormat = "weft model";

// --- writing -------------------------------------------------------------------------------------

/// "0+4096 8192+512": offset+bytes of each extent.
std::string extents_text(const std::vector<ByteExtent>& extents) {
  std::string text;
  for (const ByteExtent& extent : extents) {
    if (!text.empty()) text += ' ';
    text += fmt::format("{}+{}", extent.offset, extent.bytes);
  }
  return text;
}

json numerics_json(const ModelConfig& config, const SegmentCaps& caps) {
  const ModelSegments segments = segments_of(config, caps);
  json counts = {{"hidden", segments.hidden.count()}, {"o", segments.o.count()}};
  if (config.has_dense_layers()) counts["down"] = segments.down.count();
  if (config.has_experts()) counts["expert_down"] = segments.expert_down.count();
  if (segments.shared_down.count() > 0) counts["shared_down"] = segments.shared_down.count();
  return {{"contract", kModelContractVersion},
          {"vocabulary_block", kVocabBlock},
          {"segment_caps", {{"split", caps.split}, {"whole", caps.whole}}},
          {"segments", std::move(counts)}};
}

/// All of the manifest but its digest.
json body_json(const Manifest& manifest) {
  json tokenizer = json::array();
  for (const TokenizerFile& file : manifest.tokenizer) {
    tokenizer.push_back(
        {{"name", file.name}, {"bytes", file.bytes}, {"digest", file.digest.hex()}});
  }
  json shards = json::array();
  for (const ShardFile& shard : manifest.shards) {
    json item = {{"name", shard.name()},
                 {"pp", shard.place.pp},
                 {"tp", shard.place.tp},
                 {"bytes", shard.bytes},
                 {"metadata", extents_text(shard.metadata)},
                 {"metadata_digest", shard.metadata_digest.hex()}};
    if (shard.place.ep > 0) item["ep"] = shard.place.ep;
    shards.push_back(std::move(item));
  }
  json grid = {{"tp", manifest.grid.tp}, {"pp", manifest.grid.pp}};
  if (manifest.grid.ep > 1) grid["ep"] = manifest.grid.ep;
  return {{"format", kFormat},
          {"format_version", kModelFormatVersion},
          {"weft_version", manifest.weft_version},
          {"config", manifest.config},
          {"dtype", name(manifest.dtype)},
          {"numerics", numerics_json(parse_config(manifest.config), manifest.caps)},
          {"shard_grid", std::move(grid)},
          {"tokenizer", std::move(tokenizer)},
          {"shards", std::move(shards)}};
}

/// The one text of a manifest: keys sorted, so equal manifests give equal bytes.
std::string text_of(json body, const Digest& digest) {
  body["digest"] = digest.hex();
  return body.dump(1) + "\n";
}

// --- reading -------------------------------------------------------------------------------------

std::vector<ByteExtent> parse_extents(const JsonFields& fields, Bytes file_bytes) {
  const std::string text = fields.text("metadata");
  std::vector<ByteExtent> extents;
  const char* at = text.data();
  const char* const end = at + text.size();
  Bytes previous_end = 0;
  while (at != end) {
    ByteExtent extent;
    const auto offset = std::from_chars(at, end, extent.offset);
    if (offset.ec != std::errc() || offset.ptr == end || *offset.ptr != '+') break;
    const auto bytes = std::from_chars(offset.ptr + 1, end, extent.bytes);
    if (bytes.ec != std::errc()) break;
    const bool ascends = extents.empty() ? true : extent.offset > previous_end;
    if (!ascends || extent.bytes == 0 || extent.offset > file_bytes ||
        extent.bytes > file_bytes - extent.offset) {
      break;
    }
    previous_end = extent.end();
    extents.push_back(extent);
    at = bytes.ptr;
    if (at != end && *at == ' ' && at + 1 != end) ++at;
  }
  if (at != end || extents.empty()) {
    fail_user("{}: metadata: not a list of ascending extents within the file", fields.where());
  }
  return extents;
}

SegmentCaps parse_numerics(const JsonFields& fields) {
  const JsonFields numerics(fields.at("numerics"), fields.where() + ": numerics");
  const std::int64_t version = numerics.integer("contract", 0, 1 << 30);
  if (version != kModelContractVersion) {
    fail_user("{}: written for version {} of the numerics contract; this program reads {}",
              fields.where(), version, kModelContractVersion);
  }
  const JsonFields caps(numerics.at("segment_caps"), numerics.where() + ": segment_caps");
  const auto cap = [&](const char* key) {
    const auto value = static_cast<int>(caps.integer(key, 1, kSegmentCapLimit));
    if (!std::has_single_bit(static_cast<unsigned>(value))) {
      caps.refuse(key, "must be a power of two");
    }
    return value;
  };
  return {cap("split"), cap("whole")};
}

std::vector<TokenizerFile> parse_tokenizer(const JsonFields& fields) {
  const json& list = fields.at("tokenizer");
  if (!list.is_array()) fields.refuse("tokenizer", "must be a list");
  std::vector<TokenizerFile> files;
  for (const json& item : list) {
    const JsonFields file(item, fields.where() + ": tokenizer");
    const std::string name = file.text("name");
    if (!is_tokenizer_file(name)) file.refuse("name", "not a tokenizer file");
    files.push_back({name, static_cast<Bytes>(file.integer("bytes", 0, kBytesCap)),
                     Digest::from_hex(file.text("digest"))});
  }
  return files;
}

std::vector<ShardFile> parse_shards(const JsonFields& fields) {
  const json& list = fields.at("shards");
  if (!list.is_array()) fields.refuse("shards", "must be a list");
  std::vector<ShardFile> shards;
  for (const json& item : list) {
    const JsonFields file(item, fields.where() + ": shards");
    ShardFile shard;
    shard.place = {static_cast<int>(file.integer("pp", 0, 1 << 20)),
                   static_cast<int>(file.integer("tp", 0, 1 << 20)),
                   static_cast<int>(file.integer_or("ep", 0, 1, 1 << 20))};
    shard.bytes = static_cast<Bytes>(file.integer("bytes", 0, kBytesCap));
    shard.metadata = parse_extents(file, shard.bytes);
    shard.metadata_digest = Digest::from_hex(file.text("metadata_digest"));
    shards.push_back(std::move(shard));
  }
  return shards;
}

Manifest parse_manifest(const json& body, const std::string& path) {
  const JsonFields fields(body, path);
  if (fields.text_or("format", "") != kFormat) fail_user("{}: not a weft model", path);
  const std::int64_t version = fields.integer("format_version", 0, 1 << 30);
  if (version != kModelFormatVersion) {
    fail_user("{}: format version {}; this program reads version {}", path, version,
              kModelFormatVersion);
  }
  Manifest manifest;
  manifest.weft_version = fields.text("weft_version");
  manifest.config = fields.at("config");
  manifest.dtype = dtype_from_name(fields.text("dtype"));
  if (manifest.dtype != DType::bf16 && manifest.dtype != DType::f32) {
    fields.refuse("dtype", "must be bf16 or f32");
  }
  manifest.caps = parse_numerics(fields);
  const JsonFields grid(fields.at("shard_grid"), path + ": shard_grid");
  manifest.grid = {static_cast<int>(grid.integer("tp", 1, 1 << 20)),
                   static_cast<int>(grid.integer("pp", 1, 1 << 20)),
                   static_cast<int>(grid.integer_or("ep", 1, 2, 1 << 20))};
  manifest.tokenizer = parse_tokenizer(fields);
  manifest.shards = parse_shards(fields);
  return manifest;
}

/// The shards must be those, and in the order, that the grid implies.
void check_shards(const Manifest& manifest, const std::string& path) {
  const ShardPlan plan(parse_config(manifest.config), manifest.caps, manifest.grid);
  const std::vector<ShardPlace> places = plan.places();
  const bool same = std::equal(
      places.begin(), places.end(), manifest.shards.begin(), manifest.shards.end(),
      [](const ShardPlace& place, const ShardFile& shard) { return place == shard.place; });
  if (!same) fail_user("{}: its shard files are not those of its shard grid", path);
}

}  // namespace

const std::vector<std::string>& tokenizer_file_names() {
  static const std::vector<std::string> names = {
      "tokenizer.json",    "tokenizer.model",       "vocab.json",
      "merges.txt",        "tokenizer_config.json", "special_tokens_map.json",
      "added_tokens.json", "chat_template.jinja",   "generation_config.json"};
  return names;
}

bool is_tokenizer_file(const std::string& name) {
  const auto& known = tokenizer_file_names();
  if (std::find(known.begin(), known.end(), name) != known.end()) return true;
  const std::filesystem::path path(name);
  return path.parent_path() == kTemplateFolder && path.extension() == ".jinja" &&
         name == fmt::format("{}/{}", kTemplateFolder, path.filename().string());
}

std::vector<std::string> tokenizer_files_in(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<std::string> names;
  for (const std::string& name : tokenizer_file_names()) {
    // A dangling link counts: whoever reads it says what is wrong.
    if (fs::exists(fs::symlink_status(directory / name, ignored))) names.push_back(name);
  }
  const auto templates = static_cast<std::ptrdiff_t>(names.size());
  for (const auto& entry : fs::directory_iterator(directory / kTemplateFolder, ignored)) {
    const std::string name =
        fmt::format("{}/{}", kTemplateFolder, entry.path().filename().string());
    if (is_tokenizer_file(name)) names.push_back(name);
  }
  std::sort(names.begin() + templates, names.end());
  return names;
}

void refuse_unlisted_files(const std::filesystem::path& directory, const Manifest& manifest) {
  std::string lines;
  for (const std::string& name : tokenizer_files_in(directory)) {
    const auto& listed = manifest.tokenizer;
    if (std::any_of(listed.begin(), listed.end(),
                    [&](const TokenizerFile& file) { return file.name == name; })) {
      continue;
    }
    const std::string path = (directory / name).string();
    lines += fmt::format(
        "{}{}: would change results, and {} does not list it: take it away, or list it with: weft "
        "convert --add-file {} {}",
        lines.empty() ? "" : "\n  ", path, Manifest::kFileName, directory.string(), path);
  }
  if (!lines.empty()) throw UserError(lines);
}

TokenizerFile describe_tokenizer_file(const std::filesystem::path& directory,
                                      const std::string& name) {
  const std::filesystem::path path = directory / name;
  return {name, std::filesystem::file_size(path), digest_of_file(path)};
}

Digest digest_of_file(const std::filesystem::path& path, const std::function<bool()>& stop) {
  constexpr Bytes piece = Bytes{1} << 20;
  const File file = File::open_read(path);
  const Bytes size = file.size();
  std::vector<std::byte> buffer(std::min(piece, size));
  Digester digester;
  for (Bytes offset = 0; offset < size; offset += piece) {
    const std::span part(buffer.data(), std::min(piece, size - offset));
    count_progress();
    if (stop && stop()) throw Cancelled();
    file.pread_all(part, offset);
    digester.add(part);
  }
  return digester.result();
}

void write_manifest(const std::filesystem::path& directory, Manifest& manifest) {
  const json body = body_json(manifest);
  manifest.digest = digest_of(body.dump());
  write_text(directory / Manifest::kFileName, text_of(body, manifest.digest));
}

Manifest read_manifest(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / Manifest::kFileName;
  if (std::error_code ignored; !std::filesystem::exists(path, ignored)) {
    fail_user("{}: not a model directory: it has no {}", directory.string(), Manifest::kFileName);
  }
  const std::string text = read_text(path, kManifestCap);
  const json whole = parse_json(text, path.string(), {kManifestCap, 64});
  Manifest manifest = parse_manifest(whole, path.string());
  // What was understood, written again, must be what was read: then no byte is damaged.
  const json body = body_json(manifest);
  manifest.digest = digest_of(body.dump());
  if (text_of(body, manifest.digest) != text) {
    fail_user("{}: damaged, or changed since it was written", path.string());
  }
  check_shards(manifest, path.string());
  return manifest;
}

}  // namespace weft
