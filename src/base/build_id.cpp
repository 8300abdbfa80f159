#include "base/build_id.h"

#include <elf.h>
#include <fmt/format.h>
#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace weft {
namespace {

/// Notes are padded to multiples of four bytes.
std::size_t padded(std::size_t bytes) { return (bytes + 3) / 4 * 4; }

/// The build id in a segment of notes, as digits; empty when none of them is it.
std::string id_in(std::string_view notes) {
  constexpr std::string_view owner("GNU\0", 4);
  while (notes.size() > sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) head;
    std::memcpy(&head, notes.data(), sizeof head);
    notes.remove_prefix(sizeof head);
    const std::size_t name = padded(head.n_namesz);
    if (notes.size() < name + head.n_descsz) return {};
    if (head.n_type == NT_GNU_BUILD_ID && notes.substr(0, head.n_namesz) == owner) {
      std::string digits;
      for (const char byte : notes.substr(name, head.n_descsz)) {
        digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
      }
      return digits;
    }
    notes.remove_prefix(std::min(notes.size(), name + padded(head.n_descsz)));
  }
  return {};
}

/// Called for each loaded object, the program first.
int look(dl_phdr_info* info, std::size_t /*size*/, void* result) {
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* const begin = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
    const std::string found = id_in({begin, segment.p_memsz});
    if (!found.empty()) *static_cast<std::string*>(result) = found;
  }
  return 1;  // no further object
}

}  // namespace

std::string build_id() {
  std::string found;
  dl_iterate_phdr(look, &found);
  return found.empty() ? "unknown" : found;
}

}  // namespace weft
