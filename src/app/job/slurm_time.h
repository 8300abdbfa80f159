// Slurm's notation of times, and how long Slurm lets a job run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

/// Seconds of "MM:SS", "HH:MM:SS", "D-HH", "D-HH:MM" or "D-HH:MM:SS", as sbatch --time has them;
/// nothing for any other text. (A number alone is minutes to Slurm, and left to the caller.)
std::optional<std::int64_t> slurm_duration(std::string_view text);

/// Where to learn when Slurm ends the job; tests have their own.
struct SlurmSources {
  std::function<const char*(const char*)> variable;        ///< the environment; null: not set
  std::function<std::string(const std::string& job)> ask;  ///< what squeue says of the time left
  std::int64_t now = 0;                                    ///< seconds since 1970
};
SlurmSources own_slurm_sources();

/// Seconds until a job that is to stop by itself in time should do so: what Slurm leaves it, less
/// two minutes or a tenth, whichever is less. Nothing when Slurm sets no limit. By
/// SLURM_JOB_END_TIME, else by asking squeue. Throws UserError outside of a job, and when neither
/// tells.
std::optional<double> slurm_time_limit(const SlurmSources& sources = own_slurm_sources());

}  // namespace weft
