// `weft convert` and `weft synth`: two sources of one kind of directory.
#include "model/files/convert.h"

#include <fmt/format.h>

#include <bit>

#include "app/commands/commands.h"
#include "app/model_text.h"
#include "base/error.h"
#include "base/message.h"
#include "model/files/add_file.h"
#include "model/files/synth.h"

namespace weft {
namespace {

ModelOptions model_options(const ConvertOptions& options) {
  ModelOptions model;
  model.dtype = options.dtype;
  model.seed = options.seed;
  model.tp = options.tp;
  model.pp = options.pp;
  model.ep = options.ep;
  if (options.segments) {
    if (!std::has_single_bit(static_cast<unsigned>(*options.segments))) {
      fail_user("--segments: must be a power of two, not {}", *options.segments);
    }
    model.caps.split = *options.segments;
  }
  return model;
}

int done(const ConvertOptions& options) {
  const std::string directory = escaped(options.model_dir.string());
  fmt::print("wrote {}; weft verify {} checks it\n", directory, directory);
  return kExitSuccess;
}

}  // namespace

int command_convert(const ConvertOptions& options) {
  if (options.added) {
    const Digest digest = add_file(options.model_dir, *options.added);
    fmt::print("{} is listed; the model digest is now {}: jobs begun before do not go on with it\n",
               options.added->string(), digest.hex());
    check_text(ModelReader(options.model_dir));
    return kExitSuccess;
  }
  check_text_of(options.source);
  convert(options.source, options.model_dir, model_options(options));
  return done(options);
}

int command_synth(const ConvertOptions& options) {
  check_text_of(options.source.has_parent_path() ? options.source.parent_path() : ".");
  synth(options.source, options.model_dir, model_options(options));
  return done(options);
}

}  // namespace weft
