#include "app/job/job_reference.h"

#include <algorithm>
#include <vector>

#include "app/job/job.h"
#include "app/job/yaml_document.h"
#include "base/error.h"

namespace weft {
namespace {

std::string default_of(const JobKey& key) { return key.required ? "required" : key.write({}); }

std::string text_of(const JobKey& key) {
  return fmt::format("{}\n  {}\n  type     {}\n  default  {}\n", key.path, plain_text(key.meaning),
                     plain_text(in_words(key.type)), default_of(key));
}

}  // namespace

std::string job_keys_markdown() {
  std::string text = "| key | type | default | meaning |\n|---|---|---|---|\n";
  for (const JobKey& key : job_keys()) {
    const std::string standard = key.required ? "required" : '`' + default_of(key) + '`';
    text += fmt::format("| `{}` | {} | {} | {} |\n", key.path, in_words(key.type), standard,
                        key.meaning);
  }
  return text;
}

std::string job_keys_text() {
  std::size_t width = 0;
  for (const JobKey& key : job_keys()) width = std::max(width, key.path.size());
  std::string text;
  for (const JobKey& key : job_keys()) {
    text += fmt::format("  {:<{}}  {} ({}{})\n", key.path, width, plain_text(in_words(key.type)),
                        key.required ? "" : "default ", default_of(key));
  }
  return text;
}

std::string job_key_help(std::string_view name) {
  std::string text;
  for (const JobKey& key : job_keys()) {
    const std::string_view path = key.path;
    const bool is_it = path == name || path.ends_with(fmt::format(".{}", name)) ||
                       path.starts_with(fmt::format("{}.", name));
    if (is_it) text += (text.empty() ? "" : "\n") + text_of(key);
  }
  return text;
}

std::string job_key_hint(std::string_view name) {
  std::vector<std::string_view> paths;
  for (const JobKey& key : job_keys()) paths.push_back(key.path);
  return nearest_key_hint(name, paths);
}

}  // namespace weft
