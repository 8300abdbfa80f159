#include <fmt/format.h>

#include "app/commands/commands.h"
#include "app/model_text.h"
#include "base/message.h"
#include "model/files/crash_guard.h"
#include "model/files/verify.h"

namespace weft {

int command_verify(const VerifyOptions& options) {
  try_shards_apart(options.model_dir, read_manifest(options.model_dir));
  const VerifySummary found = verify(options.model_dir);
  check_text(ModelReader(options.model_dir));
  fmt::print("{}: sound: {} tensors in {} shard files, {} bytes of weights, {} tokenizer files\n",
             escaped(options.model_dir.string()), found.tensors, found.shard_files, found.bytes,
             found.tokenizer_files);
  fmt::print("model digest {}\n", found.model.hex());
  return kExitSuccess;
}

}  // namespace weft
