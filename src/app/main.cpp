#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <new>

#include "app/commands/cli.h"

namespace weft {
namespace {

/// Holds its text itself: there is no memory left.
class OutOfMemory final : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::size_t bytes) noexcept {
    *fmt::format_to_n(text_.data(), text_.size() - 1, "out of host memory: {} bytes asked for",
                      bytes)
         .out = '\0';
  }
  [[nodiscard]] const char* what() const noexcept override { return text_.data(); }

 private:
  std::array<char, 80> text_{};
};

}  // namespace
}  // namespace weft

// Like the library's, but the exception says how much was asked for.
void* operator new(std::size_t bytes) {
  for (;;) {
    if (void* const memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw weft::OutOfMemory(bytes);
    handler();
  }
}

void operator delete(void* memory) noexcept { std::free(memory); }

void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }

int main(int argc, char** argv) { return weft::run_command_line(argc, argv); }
