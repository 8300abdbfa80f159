#include <fmt/format.h>

#include "app/commands/commands.h"
#include "base/message.h"
#include "model/files/verify.h"

namespace weft {

int command_verify(const VerifyOptions& options) {
  const VerifySummary found = verify(options.model_dir);
  fmt::print("{}: sound: {} tensors in {} shard files, {} bytes of weights, {} tokenizer files\n",
             escaped(options.model_dir.string()), found.tensors, found.shard_files, found.bytes,
             found.tokenizer_files);
  fmt::print("model digest {}\n", found.model.hex());
  return kExitSuccess;
}

}  // namespace weft
