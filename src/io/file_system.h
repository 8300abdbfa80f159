// What kind of file system a path lies on.
#pragma once

#include <filesystem>

namespace weft {

/// Whether the path lies on a disk, or in memory, of this host: ext, XFS, Btrfs, ZFS, F2FS, tmpfs,
/// overlays of containers. False for everything else, such as NFS, Lustre or FUSE, and for paths
/// that cannot be looked at.
bool on_local_file_system(const std::filesystem::path& path);

}  // namespace weft
