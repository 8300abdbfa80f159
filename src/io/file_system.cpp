#include "io/file_system.h"

#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace weft {
namespace {

/// statfs(2), f_type.
constexpr std::array<std::uint32_t, 9> kLocal = {
    0xEF53,      // ext2, ext3, ext4
    0x58465342,  // XFS
    0x9123683E,  // Btrfs
    0x2FC12FC1,  // ZFS
    0xF2F52010,  // F2FS
    0x01021994,  // tmpfs
    0x858458F6,  // ramfs
    0x794C7630,  // overlayfs
    0x73717368,  // squashfs
};

}  // namespace

bool on_local_file_system(const std::filesystem::path& path) {
  struct statfs found = {};
  if (::statfs(path.c_str(), &found) != 0) return false;
  return std::find(kLocal.begin(), kLocal.end(), static_cast<std::uint32_t>(found.f_type)) !=
         kLocal.end();
}

}  // namespace weft
