// Shard files from elsewhere: libhdf5 has crashed on files that were made to crash it.
#pragma once

#include <filesystem>
#include <functional>

#include "model/files/manifest.h"

namespace weft {

/// Calls `open` in a child process. Throws UserError naming `path` when the child dies of a signal,
/// or takes longer than a minute; what else goes wrong in it is left to the caller's own try. To be
/// called before MPI starts, whose memory a fork may not share.
void try_apart(const std::filesystem::path& path, const std::function<void()>& open);

/// Lets the HDF5 library look at each shard file of a model directory in a child process first.
/// Files whose length or metadata digest is wrong are passed over: nobody opens them. Throws
/// UserError as above.
void try_shards_apart(const std::filesystem::path& directory, const Manifest& manifest);

}  // namespace weft
