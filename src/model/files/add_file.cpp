#include "model/files/add_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "io/file.h"
#include "model/files/manifest.h"
#include "text/json_file.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

/// The name under which a model directory has the file.
std::string name_of(const fs::path& file) {
  const fs::path plain = fs::absolute(file).lexically_normal();
  std::string name = plain.filename().string();
  if (plain.parent_path().filename() == kTemplateFolder) {
    name = fmt::format("{}/{}", kTemplateFolder, name);
  }
  if (is_tokenizer_file(name)) return name;
  fail_user("{}: a run reads no such file; it reads {} and {}/NAME.jinja", file.string(),
            fmt::join(tokenizer_file_names(), ", "), kTemplateFolder);
}

/// Puts the entry of a file in its place: the order is that of `tokenizer_files_in`.
void list_file(const fs::path& model_dir, const std::string& name, Manifest& manifest) {
  std::erase_if(manifest.tokenizer, [&](const TokenizerFile& file) { return file.name == name; });
  manifest.tokenizer.push_back(describe_tokenizer_file(model_dir, name));
  const std::vector<std::string> order = tokenizer_files_in(model_dir);
  const auto place = [&](const TokenizerFile& file) {
    return std::find(order.begin(), order.end(), file.name);
  };
  std::stable_sort(
      manifest.tokenizer.begin(), manifest.tokenizer.end(),
      [&](const TokenizerFile& a, const TokenizerFile& b) { return place(a) < place(b); });
}

}  // namespace

Digest add_file(const fs::path& model_dir, const fs::path& file) {
  Manifest manifest = read_manifest(model_dir);
  const std::string name = name_of(file);
  const fs::path target = model_dir / name;
  const std::string text = read_tokenizer_file(file);
  if (std::error_code ignored; !fs::equivalent(file, target, ignored)) {
    fs::create_directories(target.parent_path());
    write_text(target, text);
  }
  list_file(model_dir, name, manifest);
  write_manifest(model_dir, manifest);
  return manifest.digest;
}

}  // namespace weft
