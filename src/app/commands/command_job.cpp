// `weft job`: what there is to know of job files.
#include <fmt/format.h>

#include "app/commands/commands.h"
#include "app/job/job_reference.h"

namespace weft {

int command_job(const JobOptions& options) {
  fmt::print("{}", options.schema     ? job_schema()
                   : options.markdown ? job_keys_markdown()
                                      : job_keys_text());
  return kExitSuccess;
}

}  // namespace weft
